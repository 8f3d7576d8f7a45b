"""Pooling: windows, and whole images or sequences."""

from __future__ import annotations

from collections.abc import Sequence

from convert.layers.kinds.convolution import window
from convert.layers.options import CHANNELS, Key, choice, flag, maybe, sizes
from convert.layers.rows import Kind, Options, Shape, channels, space, spatial


def _pool_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    strides = options["strides"] or options["pool_size"]
    found = [
        window(size, pool, stride, 1, options["padding"])
        for size, pool, stride in zip(
            space(options, shapes[0]), options["pool_size"], strides, strict=True
        )
    ]
    return [spatial(options, shapes[0], found, channels(options, shapes[0]))]


def _global_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    width = shapes[0][1 if options["channels_first"] else -1]
    if not options["keepdims"]:
        return [(shapes[0][0], width)]
    return [spatial(options, shapes[0], [1] * (len(shapes[0]) - 2), width)]


def _table(rank: int, name: str, mode: str) -> dict[str, Kind]:
    axes = (rank + 2,)
    mode_of = {"mode": mode}
    return {
        f"{name}Pooling{rank}D": Kind(
            "pool",
            {"pool_size": Key(sizes(rank), [2] * rank), "strides": Key(maybe(sizes(rank)), None),
             "padding": Key(choice("valid", "same"), "valid"), "data_format": CHANNELS},
            _pool_shape, rank=axes, mask="stop", settings=lambda options, shapes: mode_of,
        ),
        f"Global{name}Pooling{rank}D": Kind(
            "global_pool",
            {"keepdims": Key(flag, False), "data_format": CHANNELS},
            _global_shape, rank=axes, settings=lambda options, shapes: mode_of,
            mask="use" if (rank, mode) == (1, "average") else "stop",
        ),
    }  # fmt: skip


TABLE = {
    kind: row
    for rank in (1, 2, 3)
    for name, mode in (("Max", "max"), ("Average", "average"))
    for kind, row in _table(rank, name, mode).items()
}
