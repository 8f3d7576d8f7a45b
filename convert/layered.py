"""From a Keras model of any layers to a folder of `LayersModel`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.layers.opening import KerasModel
from convert.layers.settings import ARCHITECTURE, settings
from convert.layers.summary import FAMILY
from convert.parity import require
from convert.weights.steps import as_table, parameters
from convert.writers.safetensors import kinds_of, write

if TYPE_CHECKING:
    from convert.parity import Parity
    from convert.weights.steps import Plan

#: The module of the class that loads the result.
HOME = "zoo.models.images.modeling_layers"


@dataclass
class LayersReport:
    """What became of a Keras model.

    Attributes:
        source: what was converted.
        out: the folder made.
        format: of the weights.
        plan: what became of every tensor.
        layers: number of layers that compute something.
        notes: what a person should know.
        warnings: those of the notes that a person should see in any case.
        files: names in the folder.
        parity: outputs compared with recorded ones, where that was asked for.
    """

    source: Path
    out: Path
    format: str
    plan: Plan
    layers: int
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    parity: list[Parity] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON has, without places on this machine."""
        return {
            "source": self.source.name,
            "format": self.format,
            "family": FAMILY,
            "architecture": ARCHITECTURE,
            "layers": self.layers,
            "parameters": parameters(self.plan.steps),
            "tensors": as_table(self.plan.steps),
            "dropped": self.plan.dropped,
            "notes": self.notes,
            "warnings": self.warnings,
            "parity": [parity.to_dict() for parity in self.parity],
        }

    def summary(self) -> str:
        """One line: the result, what became of its tensors, what was compared."""
        left = f", {len(self.plan.dropped)} left out" if self.plan.dropped else ""
        parts = [f"{ARCHITECTURE}, {self.layers} layers, {len(self.plan.steps)} weights{left}"]
        if self.parity:
            largest = max(one.max_relative for one in self.parity)
            parts.append(
                f"{len(self.parity)} recorded outputs agree, to {largest:.1e} of the largest value"
            )
        return f"{self.out}: {'; '.join(parts)}; conversion.json has the map"


def convert_model(
    model: KerasModel,
    out: Path,
    *,
    verify: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    max_shard_bytes: int,
    progress: Callable[[int], Any] | None = None,
) -> LayersReport:
    """Write the folder of a model; arguments and errors as `convert_checkpoint`.

    Args:
        model: as `opening.open_model` gives it.
        out: the new folder.
        verify: a `.npz` with recorded inputs (`in0` ...) and outputs (`out0` ..., `out0_f64` ...).
        dtype: of every floating-point tensor; None keeps them.
        max_shard_bytes: of a file.
        progress: as `convert_checkpoint`.
    """
    from zoo.staging import new_folder

    network, checkpoint, plan = model.require()
    notes = [*model.notes, *checkpoint.notes]
    report = LayersReport(
        model.path, out, checkpoint.format, plan, len(network.layers), notes=notes
    )
    kinds = {str(kind) for kind in kinds_of(plan.steps, checkpoint, dtype).values()}
    result = settings(network) | {"dtype": kinds.pop() if len(kinds) == 1 else "float32"}
    with new_folder(out) as folder:
        total = sum(checkpoint[name].nbytes for step in plan.steps for name in {*step.sources})
        unsound: list[str] = []
        with progress(total) if progress else nullcontext(lambda written: None) as advance:
            report.files = write(
                folder,
                plan.steps,
                checkpoint,
                dtype=dtype,
                max_shard_bytes=max_shard_bytes,
                advance=advance,
                unsound=unsound,
            )
        if unsound:
            some = ", ".join(unsound[:3]) + (" ..." if len(unsound) > 3 else "")
            words = f"{len(unsound)} weights contain values that are no finite numbers: {some}"
            report.notes.append(words)
            report.warnings.append(words)
        _write_json(folder / "config.json", result)
        if verify is not None:
            from convert.verify import compare_layers

            report.parity = compare_layers(folder, verify)
            require(report.parity, "Was it recorded of this model, in inference?")
        _write_json(folder / "conversion.json", report.to_dict())
        report.files += ["config.json", "conversion.json"]
    return report


def _write_json(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
