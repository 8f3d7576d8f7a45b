"""Measurements for people, for programs and for cards."""

import datetime
import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .metrics import METRICS

if TYPE_CHECKING:
    from .measuring import Measurement


def as_dict(measurement: "Measurement") -> dict[str, Any]:
    """A measurement for JSON: not-a-number, which JSON lacks, is None."""
    fields = asdict(measurement)
    for name in ("measured", "floor"):
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
        model: id that the protocol names.
        device: what it was measured on.
        version: genae's.

    Returns:
        TOML text. A tolerance that was stated is kept; a new one is the metric's suggestion.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {"date": today, "device": device, "genae": version}
    blocks = []
    for measurement in measurements:
        metric = METRICS[measurement.name]
        value = round(measurement.measured, metric.digits)
        tolerance = measurement.tolerance
        if tolerance is None:
            tolerance = metric.suggested_tolerance(value)
        fields = {
            "dataset": measurement.dataset,
            "split": measurement.split,
            "metric": measurement.name,
            "unit": measurement.unit,
            "value": value,
            "tolerance": tolerance,
            "seed": measurement.seed,
            "options": measurement.options,
            "protocol": f"genae evaluate {shlex.quote(model)} --metric {measurement.name}",
            "measured": made,
        }
        lines = [f"{key} = {_toml(value)}" for key, value in fields.items() if value != {}]
        if measurement.floor is not None:
            lines.append(f"# floor, train pictures against {measurement.split}: "
                         f"{measurement.floor:.{metric.digits}f}")  # fmt: skip
        blocks.append("\n".join(["[[results]]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _toml(value: Any) -> str:
    """A TOML value; options that are None say nothing and are left out."""
    if isinstance(value, dict):
        inner = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}"
    # JSON's text, numbers and booleans are TOML's too.
    return json.dumps(value)


def options_text(options: dict[str, Any]) -> str:
    """Options in few words: those that say how the number was made, without the features."""
    shown = {k: v for k, v in options.items() if k != "features" and v is not None}
    return ", ".join(f"{k} {v:,}" if type(v) is int else f"{k} {v}" for k, v in shown.items())
