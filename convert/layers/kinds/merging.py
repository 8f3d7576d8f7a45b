"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.layers.options import Key, axis, flag
from convert.layers.rows import Kind, Options, Shape, ShapeError, positive

MANY = 1000


def broadcast(first: Shape, second: Shape) -> Shape:
    """The shape that two tensors have together, as NumPy has it.

    Raises:
        ShapeError: they have none.
    """
    rank = max(len(first), len(second))
    rows = [(None, *[1] * (rank - len(one)), *one[1:]) for one in (first, second)]
    found: list[int | None] = []
    for one, other in zip(*rows, strict=True):
        if one is not None and other is not None and one != other and 1 not in (one, other):
            raise ShapeError(f"{first} and {second} do not go together")
        found.append(other if one == 1 else one if other in (1, None) or one == other else other)
    return tuple(found)


def _together(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    found = shapes[0]
    for shape in shapes[1:]:
        found = broadcast(found, shape)
    return [found]


def _concatenated(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    place = positive(options["axis"], len(shapes[0]))
    total: int | None = 0
    for shape in shapes:
        if len(shape) != len(shapes[0]):
            raise ShapeError(f"{shapes[0]} and {shape} have other numbers of axes")
        for at, (one, other) in enumerate(zip(shape, shapes[0], strict=True)):
            if at != place and None not in (one, other) and one != other:
                raise ShapeError(f"{shapes[0]} and {shape} differ in axis {at}")
        size = shape[place]
        total = None if total is None or size is None else total + size
    return [(*shapes[0][:place], total, *shapes[0][place + 1 :])]


def _dot_axes(value: Any, keras: int = 2) -> list[int]:
    values = value if isinstance(value, list) else [value, value]
    if len(values) != 2:
        raise ValueError("one axis or two")
    return [axis(one) for one in values]


def _dot(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    pairs = list(zip(options["axes"], shapes, strict=True))
    places = [positive(one, len(shape)) for one, shape in pairs]
    if 0 in places:
        raise ShapeError("a dot product along the batch")
    first, second = (
        [size for at, size in enumerate(shape) if at not in (0, place)]
        for place, shape in zip(places, shapes, strict=True)
    )
    return [(None, *first, *second) if first or second else (None, 1)]


TABLE = {
    **{
        name: Kind(name.lower(), shape=_together, inputs=(2, MANY), mask="merge")
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
    },
    "Subtract": Kind("subtract", shape=_together, inputs=(2, 2), mask="merge"),
    "Concatenate": Kind(
        "concatenate", {"axis": Key(axis, -1)}, _concatenated, inputs=(1, MANY), mask="concat"
    ),
    "Dot": Kind(
        "dot",
        {"axes": Key(_dot_axes), "normalize": Key(flag, False)},
        _dot,
        inputs=(2, 2),
        mask="stop",
    ),
}
