"""A family's rows held against the architecture that a whole file has."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from convert.images.fitting import Fit, Fitted
from convert.images.rows import AXES, IMAGE
from convert.images.sizes import Image, filled
from convert.layers.form import INPUT, Architecture
from convert.layers.kinds import KINDS
from convert.layers.network import input_shape
from convert.layers.options import read_options
from zoo.errors import IntegrityError

#: Layers that have to be the script's own, in its order; what lies between them is wiring.
COMPARED = (
    *AXES, "LeakyReLU", "Activation", "MaxPooling2D", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
)  # fmt: skip


def check_architecture(found: Fit, architecture: Architecture, path: Path) -> None:
    """Raise unless the layers of a file are those of the script, option by option.

    Raises:
        IntegrityError: one is another.
    """
    own = [
        (layer.name, layer.kind, layer.options)
        for _, layer in architecture.walk()
        if layer.kind in COMPARED
    ]
    script = [
        (name, row.kind, options, _rank(fitted, layer))
        for name, fitted in found.parts.items()
        for layer, row, options in zip_longest(
            fitted.names(), fitted.part.rows, filled(fitted.part.rows, fitted.units)
        )
        if row.kind in COMPARED
    ]
    keras = architecture.keras
    for (name, kind, options), (part, wanted, given, rank) in zip(own, script, strict=False):
        if kind != wanted:
            what = f"a {kind}, and there the {part} of {found.family.name} has a {wanted}"
        else:
            there, here = (_read(kind, one, keras, rank) for one in (options, given))
            key = next((key for key in here if there.get(key) != here[key]), None)
            if key is None:
                continue
            what = f"has {key}={there.get(key)}, and {found.family.name} has {here[key]}"
        raise IntegrityError(
            f"{path}: its layer {name!r} {what}: it is no model of that script; without --family "
            "it converts layer by layer"
        )


def _rank(fitted: Fitted, layer: str | None) -> int:
    """Number of axes of what goes into a layer."""
    placed = fitted.network.layers.get(layer) if fitted.network and layer else None
    return len(placed.inputs[0]) if placed and placed.inputs else 0


def _read(kind: str, options: Mapping[str, Any], keras: int, rank: int) -> dict[str, Any]:
    try:
        read = read_options(KINDS[kind].keys, options, keras)
    except ValueError as error:
        return {"options": str(error)}
    if rank and read.get("axis") == rank - 1:
        read["axis"] = -1
    return {key: value for key, value in read.items() if key != "momentum"}


def image_inside(found: Fit, architecture: Architecture, path: Path) -> Image:
    """What the input of an architecture says of the images.

    Raises:
        IntegrityError: they are not square.
    """
    first = next(iter(found.parts.values())).part
    layers = {layer.name: layer for layer in architecture.layers}
    for one in architecture.inputs:
        shape = input_shape(layers[one.layer]) if layers[one.layer].kind == INPUT else None
        if first.reads == IMAGE and shape is not None and len(shape) == 4:
            _, height, width, channels = shape
            if height != width:
                raise IntegrityError(
                    f"{path}: its images have {height} x {width} pixels, and genae's models read "
                    "square ones; without --family it converts layer by layer"
                )
            return Image(height or 0, channels or 0)
    return Image()


def facts(architecture: Architecture) -> dict[str, Any]:
    """Settings that an architecture tells and shapes of weights do not.

    Discrete codes are reshaped to the numbers and the classes of each.
    """
    for _, layer in architecture.walk():
        target = layer.options.get("target_shape")
        if layer.kind == "Reshape" and isinstance(target, list) and len(target) == 2:
            return {"num_choices": target[1]}
    return {}
