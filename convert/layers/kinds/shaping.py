"""Layers that move values about: shapes, borders, sizes of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from convert.layers.options import (
    CHANNELS,
    CHANNELS_LAST,
    CHANNELS_OF_3,
    Key,
    axes,
    choice,
    pads,
    size,
    sizes,
    target_shape,
    unless_on,
)
from convert.layers.rows import Kind, Options, Shape, ShapeError, channels, known, space, spatial

NEAREST = choice("nearest", "bilinear")


def _flat(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    inner = shapes[0][1:]
    return [(shapes[0][0], None if None in inner else math.prod(known(inner)))]


def _reshaped(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    target, inner = options["target_shape"], shapes[0][1:]
    fixed = math.prod(one for one in target if one != -1)
    if None in inner:
        return [(shapes[0][0], *(None if one == -1 else one for one in target))]
    count = math.prod(known(inner))
    if not fixed or count % fixed or (-1 not in target and count != fixed):
        raise ShapeError(f"{shapes[0]} cannot become {target}")
    return [(shapes[0][0], *(count // fixed if one == -1 else one for one in target))]


def _permuted(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    dims = options["dims"]
    if sorted(dims) != [*range(1, len(shapes[0]))]:
        raise ShapeError(f"dims {dims} are not the axes of {shapes[0]}")
    return [(shapes[0][0], *(shapes[0][axis] for axis in dims))]


def _resized(sizes: Any) -> Any:
    """A shape function: of each size of space, what `sizes(options, size, axis)` gives."""

    def shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
        found = [
            None if one is None else sizes(options, one, axis)
            for axis, one in enumerate(space(options, shapes[0]))
        ]
        return [spatial(options, shapes[0], found, channels(options, shapes[0]))]

    return shape


_padded = _resized(lambda options, one, axis: one + sum(options["pads"][axis]))
_cropped = _resized(lambda options, one, axis: one - sum(options["pads"][axis]))
_upsampled = _resized(lambda options, one, axis: one * options["size"][axis])


def _to_size(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    found = [options["height"], options["width"]]
    return [spatial(options, shapes[0], found, channels(options, shapes[0]))]


def _centred(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """The middle of an image that is large enough; Keras resizes a smaller one first."""
    for wanted, there in zip((options["height"], options["width"]), space(options, shapes[0]),
                             strict=True):  # fmt: skip
        if there is None or there < wanted:
            raise ShapeError(f"an image of {shapes[0]} is not known to hold {wanted} cells")
    return _to_size(options, shapes)


def _unlisted(value: list[Any], keras: int) -> Any:
    """Of one axis its own value."""
    return value[0] if len(value) == 1 else value


def _table(rank: int) -> dict[str, Kind]:
    ones, axes_of = [1] * rank, (rank + 2,)
    return {
        f"ZeroPadding{rank}D": Kind(
            "pad",
            {"padding": Key(pads(rank), ones, "pads", write=_unlisted),
             "data_format": CHANNELS_OF_3 if rank == 1 else CHANNELS},
            _padded, rank=axes_of, mask="stop",
        ),
        f"Cropping{rank}D": Kind(
            "crop",
            {"cropping": Key(pads(rank), ones, "pads", write=_unlisted),
             "data_format": CHANNELS_LAST if rank == 1 else CHANNELS},
            _cropped, rank=axes_of, mask="stop",
        ),
        f"UpSampling{rank}D": Kind(
            "upsample",
            {"size": Key(sizes(rank), [2] * rank, write=_unlisted),
             "data_format": CHANNELS_LAST if rank == 1 else CHANNELS}
            | ({"interpolation": Key(NEAREST, "nearest")} if rank == 2 else {}),
            _upsampled, rank=axes_of, mask="stop",
        ),
    }  # fmt: skip


TABLE = {
    **{name: kind for rank in (1, 2, 3) for name, kind in _table(rank).items()},
    "Flatten": Kind("flatten", {"data_format": CHANNELS}, _flat, mask="stop"),
    "Reshape": Kind(
        "reshape", {"target_shape": Key(target_shape)}, _reshaped, mask="stop",
        settings=lambda options, shapes: {},
    ),
    "Permute": Kind("permute", {"dims": Key(axes)}, _permuted, mask="stop"),
    "RepeatVector": Kind(
        "repeat", {"n": Key(size)},
        lambda options, shapes: [(shapes[0][0], options["n"], shapes[0][1])],
        rank=(2,), mask="stop",
    ),
    "Resizing": Kind(
        "resize",
        {"height": Key(size), "width": Key(size), "interpolation": Key(NEAREST, "bilinear"),
         "data_format": CHANNELS_OF_3, "crop_to_aspect_ratio": unless_on(),
         "pad_to_aspect_ratio": unless_on(), "antialias": unless_on()},
        _to_size, rank=(4,), mask="stop",
    ),
    "CenterCrop": Kind(
        "center_crop", {"height": Key(size), "width": Key(size), "data_format": CHANNELS_OF_3},
        _centred, rank=(4,), mask="stop",
    ),
}  # fmt: skip
