"""Convolutions of one, two and three dimensions, in all their forms."""

from __future__ import annotations

from collections.abc import Sequence

from convert.layers.activations import ACTIVATION
from convert.layers.kinds.elementwise import bias
from convert.layers.options import CHANNELS, USE_BIAS, Key, choice, output_padding, size, sizes
from convert.layers.rows import (
    Kind,
    Options,
    Shape,
    ShapeError,
    Weight,
    channels,
    space,
    spatial,
)
from convert.weights.ops import permute


def window(size: int | None, kernel: int, stride: int, dilation: int, padding: str) -> int | None:
    """How many places a window has along an axis."""
    if size is None:
        return None
    if padding == "valid":
        size -= (kernel - 1) * dilation
    return max(0, -(-size // stride))


def transposed(
    size: int | None, kernel: int, stride: int, dilation: int, padding: str, more: int | None
) -> int | None:
    """How many cells a transposed convolution makes along an axis."""
    if size is None:
        return None
    kernel = (kernel - 1) * dilation + 1
    if more is None:
        return size * stride + (max(kernel - stride, 0) if padding == "valid" else 0)
    half = kernel // 2 if padding == "same" else 0
    return (size - 1) * stride + kernel - 2 * half + more


def _conv_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    found = [
        window(*one, options["padding"])
        for one in zip(
            space(options, shapes[0]), options["kernel_size"], options["strides"],
            options["dilation_rate"], strict=True,
        )
    ]  # fmt: skip
    return [spatial(options, shapes[0], found, _width(options, shapes[0]))]


def _width(options: Options, shape: Shape) -> int:
    width: int = options.get("filters") or options["depth_multiplier"] * channels(options, shape)
    return width


def _transposed_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    more = options["output_padding"] or [None] * len(options["kernel_size"])
    found = [
        transposed(size, kernel, stride, dilation, options["padding"], extra)
        for size, kernel, stride, dilation, extra in zip(
            space(options, shapes[0]), options["kernel_size"], options["strides"],
            options["dilation_rate"], more, strict=True,
        )
    ]  # fmt: skip
    return [spatial(options, shapes[0], found, options["filters"])]


def _out_first(rank: int) -> tuple[int, ...]:
    """(spatial, in, out) -> (out, in, spatial)."""
    return (rank + 1, rank, *range(rank))


def _conv_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    kernel, groups = options["kernel_size"], options["groups"]
    width, filters = channels(options, shapes[0]), options["filters"]
    if width % groups or filters % groups:
        raise ShapeError(f"{width} channels and {filters} filters are no {groups} groups")
    shape = (*kernel, width // groups, filters)
    return [Weight("weight", shape, permute(*_out_first(len(kernel)))), *bias(options, filters)]


def _transposed_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    """Keras stores (spatial, out, in); the result has (in, out, spatial)."""
    kernel, filters = options["kernel_size"], options["filters"]
    shape = (*kernel, filters, channels(options, shapes[0]))
    return [Weight("weight", shape, permute(*_out_first(len(kernel)))), *bias(options, filters)]


def _depthwise_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    """Keras stores (spatial, in, multiplier); the result has (in, multiplier, spatial)."""
    kernel, width = options["kernel_size"], channels(options, shapes[0])
    rank, multiplier = len(kernel), options["depth_multiplier"]
    op = permute(rank, rank + 1, *range(rank))
    return [
        Weight("weight", (*kernel, width, multiplier), op),
        *bias(options, width * multiplier),
    ]


def _separable_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    depthwise = _depthwise_weights({**options, "use_bias": False}, shapes)[0]
    rank, filters = len(options["kernel_size"]), options["filters"]
    inner = channels(options, shapes[0]) * options["depth_multiplier"]
    pointwise = Weight("pointwise", (*[1] * rank, inner, filters), permute(*_out_first(rank)))
    return [depthwise, pointwise, *bias(options, filters)]


def _table(rank: int) -> dict[str, Kind]:
    """The kinds of one number of dimensions."""
    words = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
    ones = [1] * rank
    common = {
        "kernel_size": Key(sizes(rank), hidden=True),
        "strides": Key(sizes(rank), ones),
        "dilation_rate": Key(sizes(rank), ones),
        "use_bias": USE_BIAS,
        "activation": ACTIVATION,
        "data_format": CHANNELS,
    }
    padding = {"padding": Key(choice(*words), "valid")}
    filters = {"filters": Key(size, hidden=True)}
    multiplier = {"depth_multiplier": Key(size, 1, hidden=True)}
    axes = (rank + 2,)
    plain = {
        f"Conv{rank}D": Kind(
            "conv",
            {**filters, **common, **padding, "groups": Key(size, 1)},
            _conv_shape, _conv_weights, rank=axes, mask="stop",
        ),
        f"Conv{rank}DTranspose": Kind(
            "conv_transpose",
            {**filters, **common, "padding": Key(choice("valid", "same"), "valid"),
             "output_padding": Key(output_padding(rank), None)},
            _transposed_shape, _transposed_weights, rank=axes, mask="stop",
        ),
    }  # fmt: skip
    split = {
        f"DepthwiseConv{rank}D": Kind(
            "depthwise_conv", {**multiplier, **common, **padding},
            _conv_shape, _depthwise_weights, rank=axes, mask="stop",
        ),
        f"SeparableConv{rank}D": Kind(
            "separable_conv", {**filters, **multiplier, **common, **padding},
            _conv_shape, _separable_weights, rank=axes, mask="stop",
        ),
    }  # fmt: skip
    return plain | (split if rank < 3 else {})


TABLE = {name: kind for rank in (1, 2, 3) for name, kind in _table(rank).items()}
