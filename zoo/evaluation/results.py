"""Measurements as text, as JSON and as TOML for cards."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo.card.toml import inline, setting
from zoo.hints import command

from .metrics.table import METRICS

if TYPE_CHECKING:
    from .measure import Measurement


#: The split that is measured on where none is named and the data has it.
DEFAULT_SPLIT = "test"
#: What is said of each kind of label, entity or relation besides its counts, and its decimals.
SCORES, SCORE_DIGITS = ("precision", "recall", "f1"), 4
#: The keys of a result that come before its tolerance.
BEFORE_TOLERANCE = ("dataset", "split", "metric", "unit", "value")


def as_dict(measurement: "Measurement") -> dict[str, Any]:
    """A measurement for JSON: NaN, which JSON lacks, becomes None; kinds have their scores."""
    fields = asdict(measurement)
    for kind, counts in measurement.by_kind.items():
        scores = {name: round(getattr(counts, name), SCORE_DIGITS) for name in SCORES}
        fields["by_kind"][kind] |= scores
    for name in ("measured", "floor", "ceiling"):
        value = fields[name]
        if value is not None and value != value:
            fields[name] = None
    return fields


def results_toml(
    measurements: Iterable["Measurement"],
    model: str,
    *,
    device: str,
    version: str,
    dataset: str | None = None,
) -> str:
    """`[[results]]` blocks to paste into a card.

    Args:
        measurements: what `evaluate` returned.
        model: id of the model.
        device: of the measurement.
        version: of genae.
        dataset: the one that the model's card names, which a command need not say.

    Returns:
        TOML text. A stated tolerance is kept; a new one is the suggestion of the metric.
    """
    measurements = list(measurements)
    blocks = []
    made = results(measurements, model, device=device, version=version, dataset=dataset)
    for measurement, fields in zip(measurements, made, strict=True):
        metric = METRICS[measurement.name]
        tolerance = measurement.tolerance
        if tolerance is None:
            tolerance = metric.suggested_tolerance(fields["value"])
        fields = {"tolerance": tolerance, **fields}
        order = [*BEFORE_TOLERANCE, "tolerance"]
        names = [*order, *(name for name in fields if name not in order)]
        lines = [f"{name} = {_toml(fields[name])}" for name in names if fields[name] != {}]
        for bound in ("floor", "ceiling"):
            if (number := getattr(measurement, bound)) is not None:
                what = getattr(metric, bound)
                lines.append(f"# {bound}, the same of {what}: {number:.{metric.digits}f}")
        blocks.append("\n".join(["[[results]]", *lines]))
    return "\n\n".join(blocks) + "\n"


def results(
    measurements: Iterable["Measurement"],
    model: str,
    *,
    device: str,
    version: str,
    dataset: str | None = None,
) -> list[dict[str, Any]]:
    """Measurements in the form of a card's `[[results]]`, without tolerances.

    The arguments are those of `results_toml`; options that are None are left out.
    """
    made = [
        {
            "dataset": m.dataset,
            "split": m.split,
            "metric": m.name,
            "unit": m.unit,
            "value": round(m.measured, METRICS[m.name].digits),
            "seed": m.seed,
            "options": {name: value for name, value in m.options.items() if value is not None},
        }
        for m in measurements
    ]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    measured = {"date": today, "device": device, "genae": version}
    return [
        {**one, "protocol": protocol(model, dataset, one), "measured": dict(measured)}
        for one in made
    ]


def protocol(model: str, dataset: str | None, result: Mapping[str, Any]) -> str:
    """The command that measures a result again, options included.

    Args:
        model: id of the model.
        dataset: the one that its card names.
        result: in the form of a card.

    Example:
        >>> result = {"dataset": "mnist", "split": "test", "metric": "iwae", "seed": 1}
        >>> protocol("me/vae", "mnist", {**result, "options": {"num_samples": 5}})
        'genae evaluate me/vae --metric iwae --set num_samples=5 --seed 1'
    """
    words = ["genae", "evaluate", model, "--metric", result["metric"]]
    words += ["--data", result["dataset"]] if result["dataset"] != dataset else []
    words += ["--split", result["split"]] if result["split"] != DEFAULT_SPLIT else []
    for name, value in (result.get("options") or {}).items():
        words += ["--set", f"{name}={_as_typed(value)}"]
    words += ["--seed", str(result["seed"])] if result["seed"] else []
    return command(*words)


def _as_typed(value: Any) -> str:
    """A value as `--set` takes it: text as it is where that is read as text."""
    if isinstance(value, str) and setting(f"x={value}") == ("x", value):
        return value
    return inline(value)


def _toml(value: Any) -> str:
    """A TOML value; options that are None say nothing and are left out."""
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v is not None}
    return inline(value)


def options_text(options: dict[str, Any]) -> str:
    """Options in few words: those that say how the number was made, without the features."""
    shown = {k: v for k, v in options.items() if k != "features" and v is not None}
    return ", ".join(f"{k} {v:,}" if type(v) is int else f"{k} {v}" for k, v in shown.items())
