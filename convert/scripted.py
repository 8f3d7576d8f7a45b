"""From the weights of a published script's image model to a folder of a model of genae."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convert.images.opening import ScriptModel
from convert.images.result import beginnings
from convert.layered import comparison
from convert.layers.form import INPUT
from convert.layers.settings import MODEL_TYPE as LAYERS
from convert.layers.summary import Line, Summary
from convert.parity import Parity
from convert.report import Report
from convert.weights.views import InMemory
from convert.writers.safetensors import kinds_of
from convert.writing import write_folder

PROCESSOR = "preprocessor_config.json"
BILINEAR = 2  # of Pillow's filters


def convert_script(
    model: ScriptModel,
    out: Path,
    *,
    verify: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    max_shard_bytes: int,
    progress: Callable[[int], Any] | None = None,
    with_code: bool = False,
) -> Report:
    """Write the folder of a model; arguments and errors as `convert_checkpoint`.

    Args:
        model: as `images.opening.open_script` gives it.
        out: the new folder.
        verify: a `.npz` with what the original computed; see `verify.compare_images`.
        dtype: of every floating-point tensor; None keeps them.
        max_shard_bytes: of a file.
        progress: as `convert_checkpoint`.
        with_code: add the modelling files.
    """
    found, plan = model.require()
    checkpoint, family = model.checkpoint, model.family
    kinds = {str(kind) for kind in kinds_of(plan.steps, checkpoint, dtype).values()}
    result = model.result | {"dtype": kinds.pop() if len(kinds) == 1 else "float32"}
    of_layers = result["model_type"] == LAYERS
    report = Report(
        model.path,
        out,
        checkpoint.format,
        family.name,
        result["architectures"][0],
        plan,
        dict(checkpoint.unreadable),
        {},
        model.notes,
        options=model.given,
        result=result,
        example=[found.file.calls.format(**result)] if found.file.calls else _example(result),
    )
    return write_folder(
        report,
        checkpoint,
        f"{family.title} ({found.holds})",
        [path for path in checkpoint.files if path.is_file()],
        companions={} if of_layers else {PROCESSOR: _processor(result)},
        more={name: InMemory(one, name) for name, one in beginnings(result, plan).items()},
        compare=comparison(verify) if of_layers else _comparison(verify),
        dtype=dtype,
        max_shard_bytes=max_shard_bytes,
        progress=progress,
        paper=family.paper,
        with_code=with_code,
    )


def _comparison(
    verify: str | os.PathLike[str] | None,
) -> Callable[[Path], list[Parity]] | None:
    if verify is None:
        return None
    from convert.verify.layers import compare_images

    return lambda folder: compare_images(folder, verify)


def _example(result: Mapping[str, Any]) -> list[str]:
    """Lines that call a model, each of its parts."""
    if result["model_type"] == LAYERS:
        return []
    channels, size = result["num_channels"], result["image_size"]
    lines = []
    if "encoder_layers" in result:
        lines.append(f"codes = model.encode(torch.rand(1, {channels}, {size}, {size}))")
    if "decoder_layers" in result:
        given = "codes" if lines else f"torch.randn(1, {result['latent_size']})"
        lines.append(f"images = model.decode({given})")
    return lines


def _processor(result: Mapping[str, Any]) -> dict[str, Any]:
    """The image processor that makes the model's images."""
    return {
        "image_processor_type": "GenaeImageProcessor",
        "num_channels": result["num_channels"],
        "resample": BILINEAR,
        "size": result["image_size"],
    }


def summarize_script(model: ScriptModel) -> Summary:
    """Put down what is known of a file: every part's layers, and what is missing."""
    checkpoint, found = model.checkpoint, model.found
    summary = Summary(
        model.path,
        checkpoint.form,
        checkpoint.format,
        model.family.name,
        notes=model.notes,
        missing=[str(problem) for problem in model.problems],
        exit_code=model.problems[0].exit_code if model.problems else 0,
        families=[model.family.name],
    )
    if found is None:
        return summary
    summary.name = f"{model.family.name} ({found.holds})"
    summary.parts = list(found.parts)
    for name, fitted in found.parts.items():
        network = fitted.network
        if network is None:
            for row, unit in fitted.tensors():
                size = sum(map(math.prod, unit.shapes))
                summary.lines.append(Line(f"{name}/{row}", "tensor", [], size, []))
            continue
        for layer in network.architecture.layers:
            placed = network.layers.get(layer.name)
            shapes = placed.outputs if placed is not None else []
            if layer.kind == INPUT:
                shape = network.shapes[network.inputs[0]]
                shapes = [] if shape is None else [shape]
            inputs = [f"{name}/{one.layer}" for call in layer.calls for one in call.all]
            count = placed.parameters if placed is not None else 0
            summary.lines.append(Line(f"{name}/{layer.name}", layer.kind, shapes, count, inputs))
            summary.untrained += sum(
                one.size for one in (placed.weights if placed else ()) if not one.trainable
            )
    summary.parameters = sum(line.parameters for line in summary.lines)
    return summary
