"""Normalisations: of batches, layers, groups, units, and by given statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.layers.options import EPSILON, Key, axes, axis, flag, number, numbers
from convert.layers.rows import Kind, Options, Shape, ShapeError, Weight, known, positive


def _one(value: Any, keras: int = 2) -> int:
    """An axis; tf.keras writes a list of one."""
    found = axes(value)
    if len(found) != 1:
        raise ValueError("one axis")
    return found[0]


def _group_count(value: Any, keras: int = 2) -> int:
    if type(value) is not int or (value < 1 and value != -1):
        raise ValueError("a number of groups, or -1")
    return value


def _affine(options: Options, shape: tuple[int, ...]) -> list[Weight]:
    """Scale and offset, where the options have them."""
    return [Weight("scale", shape)] * options["scale"] + [Weight("offset", shape)] * options[
        "center"
    ]


def _batch_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    width = known([shapes[0][positive(options["axis"], len(shapes[0]))]], "the normalised axis")
    return [
        *_affine(options, width),
        Weight("mean", width, trainable=False),
        Weight("variance", width, trainable=False),
    ]


def _along(options: Options, shape: Shape) -> tuple[int, ...]:
    """Sizes of the normalised axes, in their order in the tensor."""
    places = sorted({positive(one, len(shape)) for one in options["axis"]})
    return known([shape[place] for place in places], "a normalised axis")


def _layer_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    return _affine(options, _along(options, shapes[0]))


def _rms_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    return [Weight("scale", _along(options, shapes[0]))]


def _group_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    width = known([shapes[0][positive(options["axis"], len(shapes[0]))]], "the axis of groups")
    groups = options["groups"]
    if groups != -1 and width[0] % groups:
        raise ShapeError(f"{width[0]} channels are no {groups} groups")
    return _affine(options, width)


def _adapted(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    """Statistics are weights where they are not among the options."""
    if options["mean"] is not None:
        return []
    sizes = _along(options, shapes[0]) if options["axis"] else ()
    return [
        Weight("mean", sizes, trainable=False),
        Weight("variance", sizes, trainable=False),
        Weight("count", (), trainable=False, kept=False),
    ]


_SCALED = {"scale": Key(flag, True, hidden=True), "center": Key(flag, True, hidden=True)}

TABLE = {
    "BatchNormalization": Kind(
        "batch_norm",
        {"axis": Key(_one, -1), "epsilon": EPSILON, "momentum": Key(number, 0.99), **_SCALED},
        weights=_batch_weights,
    ),
    "LayerNormalization": Kind(
        "layer_norm",
        {"axis": Key(axes, -1), "epsilon": EPSILON,
         "rms_scaling": Key(flag, False, since=3), **_SCALED},
        weights=_layer_weights,
    ),
    "RMSNormalization": Kind(
        "rms_norm",
        {"axis": Key(axes, -1), "epsilon": Key(number, 1e-6)},
        weights=_rms_weights,
        versions=(3,),
    ),
    "GroupNormalization": Kind(
        "group_norm",
        {"groups": Key(_group_count, 32), "axis": Key(axis, -1), "epsilon": EPSILON, **_SCALED},
        weights=_group_weights,
    ),
    "UnitNormalization": Kind("unit_norm", {"axis": Key(axes, -1)}),
    "Normalization": Kind(
        "normalize",
        {"axis": Key(lambda value, keras: [] if value is None else axes(value), -1,
                     write=lambda value, keras: value or None),
         "mean": Key(numbers, None), "variance": Key(numbers, None), "invert": Key(flag, False)},
        weights=_adapted,
        mask="stop",
    ),
}  # fmt: skip
