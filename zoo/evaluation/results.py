"""Measurements as text, as JSON and as TOML for cards."""

import datetime
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo.card.toml import inline
from zoo.hints import command

from .metrics.table import METRICS

if TYPE_CHECKING:
    from .measure import Measurement


#: The keys of a result that come before its tolerance.
BEFORE_TOLERANCE = ("dataset", "split", "metric", "unit", "value")


def as_dict(measurement: "Measurement") -> dict[str, Any]:
    """A measurement for JSON: NaN, which JSON lacks, becomes None."""
    fields = asdict(measurement)
    for name in ("measured", "floor", "ceiling"):
        value = fields[name]
        if value is not None and value != value:
            fields[name] = None
    return fields


def results_toml(
    measurements: Iterable["Measurement"], model: str, *, device: str, version: str
) -> str:
    """`[[results]]` blocks to paste into a card.

    Args:
        measurements: what `evaluate` returned.
        model: id of the model.
        device: of the measurement.
        version: of genae.

    Returns:
        TOML text. A stated tolerance is kept; a new one is the suggestion of the metric.
    """
    measurements = list(measurements)
    blocks = []
    for measurement, fields in zip(
        measurements, results(measurements, model, device=device, version=version), strict=True
    ):
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
    measurements: Iterable["Measurement"], model: str, *, device: str, version: str
) -> list[dict[str, Any]]:
    """Measurements in the form of a card's `[[results]]`, without tolerances.

    The arguments are those of `results_toml`; options that are None are left out.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return [
        {
            "dataset": m.dataset,
            "split": m.split,
            "metric": m.name,
            "unit": m.unit,
            "value": round(m.measured, METRICS[m.name].digits),
            "seed": m.seed,
            "options": {name: value for name, value in m.options.items() if value is not None},
            "protocol": command("genae", "evaluate", model, "--metric", m.name),
            "measured": {"date": today, "device": device, "genae": version},
        }
        for m in measurements
    ]


def _toml(value: Any) -> str:
    """A TOML value; options that are None say nothing and are left out."""
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v is not None}
    return inline(value)


def options_text(options: dict[str, Any]) -> str:
    """Options in few words: those that say how the number was made, without the features."""
    shown = {k: v for k, v in options.items() if k != "features" and v is not None}
    return ", ".join(f"{k} {v:,}" if type(v) is int else f"{k} {v}" for k, v in shown.items())
