"""Graphs of models of images, and of graphs of layers, which read tensors of any kind."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo import catalog
from zoo.errors import UsageError
from zoo.exporting.graph import BATCH, LENGTH, Computing, Graph, normal, of_batch, uniform, whole
from zoo.models.images.layer_kinds import OF_IDS

IMAGE_AXES = 3  # channels, height, width


def of_images(model: Any, entry: catalog.Entry, cached: bool) -> list[Graph]:
    """Of an autoencoder encoder and decoder, of an energy itself and its generator, else one."""
    shape, lacks = tuple(model.config.data_shape), getattr(model, "cannot", {})
    if "classifies" in entry.can:
        draw = uniform("pixel_values", shape)
        return [of_batch("model", model, _logits, "pixel_values", draw)]
    if "scores" in entry.can:
        made = [of_batch("energy", model, _energy, "x", uniform("x", shape))]
        if getattr(model, "has_generator", False):
            draw = normal("noise", (model.config.latent_size,))
            made.append(of_batch("generator", model, _generate, "noise", draw))
        return made
    made = []
    if {"encodes", "quantizes"} & set(entry.can) - lacks.keys():
        compute = _taps if hasattr(model, "taps") else _encode
        draw = uniform("pixel_values", shape)
        made.append(of_batch("encoder", model, compute, "pixel_values", draw))
    if hasattr(model, "decode") and ("samples" not in lacks or "reconstructs" not in lacks):
        draw = normal("latents", (model.config.latent_size,))
        if "quantizes" in entry.can:
            draw = whole("latents", model.config.grid_shape, model.config.num_codes)
        made.append(of_batch("decoder", model, _decode, "latents", draw))
        if "quantizes" in entry.can and model.prior is not None:
            codes = whole("codes", model.config.grid_shape, model.config.num_codes)
            made.append(of_batch("prior", model, _prior, "codes", codes))
    return made


def _logits(model: Any, pixel_values: Tensor) -> Any:
    return {"logits": model(pixel_values, return_loss=False).logits}


def _energy(model: Any, x: Tensor) -> Any:
    return {"energy": model.energy(x)}


def _generate(model: Any, noise: Tensor) -> Any:
    return {"samples": model.generator(noise)}


def _encode(model: Any, pixel_values: Tensor) -> Any:
    return {"latents": model.encode(pixel_values)}


def _taps(model: Any, pixel_values: Tensor) -> Any:
    return {tap: model.encode(pixel_values, tap) for tap in model.taps}


def _decode(model: Any, latents: Tensor) -> Any:
    return {"images": model.decode(latents)}


def _prior(model: Any, codes: Tensor) -> Any:
    return {"logits": model.prior(codes)}


def of_tensors(model: Any, entry: catalog.Entry, cached: bool) -> list[Graph]:
    """The graph of a model of layers; axes without a size in the original are lengths."""
    shapes = {f"in{number}": _shape(model.config, one) for number, one in _inputs(model.config)}
    counts = _ids_of(model.config)
    draws = {f"in{number}": counts.get(one["tensor"]) for number, one in _inputs(model.config)}
    axes = {
        name: {0: BATCH} | {axis: LENGTH for axis, size in enumerate(shape, 1) if size is None}
        for name, shape in shapes.items()
    }
    return [Graph("model", Computing(model, _outputs), partial(_draw, shapes, draws), axes)]


def _draw(
    shapes: dict[str, list[int | None]],
    counts: dict[str, int | None],
    batch: int,
    length: int,
    chance: torch.Generator,
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        sizes = [length if size is None else size for size in shape]
        count = counts[name]
        draw = normal(name, sizes) if count is None else whole(name, sizes, count)
        found |= draw(batch, length, chance)
    return found


def _outputs(model: Any, **inputs: Tensor) -> Any:
    return {f"out{number}": value for number, value in enumerate(model(**inputs).outputs)}


def _inputs(config: Any) -> Sequence[tuple[int, Any]]:
    return list(enumerate(config.inputs))


def _shape(config: Any, one: dict[str, Any]) -> list[int | None]:
    """The shape of an input without the batch, as the model takes it."""
    if one["shape"] is None:
        raise UsageError(
            f"the input {one['name']} of this model has no shape in its file, and graphs are made "
            "of examples: run this model in PyTorch"
        )
    shape = list(one["shape"][1:])
    if not config.channels_last and len(shape) >= IMAGE_AXES:
        shape.insert(0, shape.pop())
    return shape


def _ids_of(config: Any) -> dict[int, int]:
    """How many different numbers the inputs take that layers look up, by the inputs' tensors."""
    found: dict[int, int] = {}
    for node in config.nodes:
        layer = config.layers[node["layer"]]
        if layer["kind"] in OF_IDS:
            rows = layer.get("weights", {}).get("weight", [2])[0]
            number = node["inputs"][0]
            found[number] = max(rows, found.get(number, 0))
    return found
