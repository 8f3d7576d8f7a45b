"""Convolutions and pooling of layers, with Keras's ways of padding.

Values lie between layers as the original has them; here they are seen with their channels first,
which is a view: it says nothing of how they lie in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .layer_activations import apply_activation

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX_POOLS: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {
    1: F.avg_pool1d,
    2: F.avg_pool2d,
    3: F.avg_pool3d,
}


def channels_first(x: Tensor, options: Options) -> Tensor:
    """A view of an image or a sequence with the channels behind the batch."""
    return x if options["channels_first"] else x.movedim(-1, 1)


def as_before(x: Tensor, options: Options) -> Tensor:
    """The same back again."""
    return x if options["channels_first"] else x.movedim(1, -1)


def lie_like(x: Tensor, weight: Tensor) -> Tensor:
    """An image, in memory as a kernel lies there, which else is copied in every call.

    A kernel of one cell lies in both ways, and takes images as they come.
    """
    return x.contiguous() if weight.shape[2:].numel() > 1 and weight.is_contiguous() else x


def margins(
    padding: str, size: int, kernel: int, stride: int, dilation: int = 1
) -> tuple[int, int]:
    """Cells that a padding puts before and after an axis."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _padded(
    x: Tensor,
    padding: str,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> tuple[Tensor, Sequence[int]]:
    """The tensor with its margins; and those that the operation can put there itself."""
    if padding == "valid":
        return x, [0] * len(kernel)
    pairs = [
        margins(padding, *one) for one in zip(x.shape[2:], kernel, strides, dilation, strict=True)
    ]
    if all(before == after for before, after in pairs) and not value:
        return x, [before for before, _ in pairs]
    sides = [side for pair in reversed(pairs) for side in pair]
    return F.pad(x, sides, value=value), [0] * len(kernel)


def conv(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A convolution; weight `(out, in / groups, spatial)`."""
    weight = weights["weight"]
    strides, dilation = options["strides"], options["dilation_rate"]
    kernel = weight.shape[2:]
    x = lie_like(channels_first(x, options), weight)
    x, padding = _padded(x, options["padding"], kernel, strides, dilation)
    x = CONVOLUTIONS[len(kernel)](
        x, weight, weights.get("bias"), strides, padding, dilation, options.get("groups", 1)
    )
    return apply_activation(as_before(x, options), options["activation"])


def depthwise_conv(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A convolution of every channel by itself; weight `(in, multiplier, spatial)`."""
    weight = weights["weight"]
    flat = {**weights, "weight": weight.flatten(0, 1).unsqueeze(1)}
    return conv(flat, {**options, "groups": weight.shape[0]}, x)


def separable_conv(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A convolution of every channel, then one of the channels at every place."""
    ones = [1] * len(options["strides"])
    inner = depthwise_conv({"weight": weights["weight"]}, {**options, "activation": None}, x)
    outer = {**options, "strides": ones, "dilation_rate": ones, "padding": "valid"}
    return conv({**weights, "weight": weights["pointwise"]}, outer, inner)


def conv_transpose(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A transposed convolution; weight `(in, out, spatial)`.

    It is computed whole, then cut or filled up with the bias to the size that Keras gives it.
    """
    weight, bias = weights["weight"], weights.get("bias")
    strides, dilation = options["strides"], options["dilation_rate"]
    x = lie_like(channels_first(x, options), weight)
    sizes, rank = x.shape[2:], weight.ndim - 2
    x = TRANSPOSED[rank](x, weight, None, strides, 0, 0, 1, dilation)
    sides: list[int] = []
    more = options["output_padding"] or [None] * rank
    for axis in reversed(range(rank)):
        reach = (weight.shape[2 + axis] - 1) * dilation[axis] + 1
        before, size = _crop(sizes[axis], reach, strides[axis], options["padding"], more[axis])
        sides += [-before, size - (x.shape[2 + axis] - before)]
    x = F.pad(x, sides)
    if bias is not None:
        x = x + bias.reshape(-1, *[1] * rank)
    return apply_activation(as_before(x, options), options["activation"])


def _crop(size: int, reach: int, stride: int, padding: str, more: int | None) -> tuple[int, int]:
    """Cells to cut off before an axis of the whole result, and the size that is left."""
    full = (size - 1) * stride + reach
    if padding == "valid":
        return 0, size * stride + max(reach - stride, 0) if more is None else full + more
    wanted = size * stride if more is None else full - 2 * (reach // 2) + more
    return max(full - wanted, 0) // 2, wanted


def pool(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The largest value or the mean of every window."""
    size = options["pool_size"]
    strides = options["strides"] or size
    x = channels_first(x, options)
    rank, same = len(size), options["padding"] == "same"
    ones = [1] * rank
    if options["mode"] == "max":
        x, _ = _padded(x, options["padding"], size, strides, ones, float("-inf"))
        x = MAX_POOLS[rank](x, size, strides)
    else:
        where = x.new_ones(1, 1, *x.shape[2:]) if same else None
        x = AVERAGE_POOLS[rank](_at_border(x, options, strides), size, strides)
        if where is not None:  # the cells of a window that lie inside
            x = x / AVERAGE_POOLS[rank](_at_border(where, options, strides), size, strides)
    return as_before(x, options)


def _at_border(x: Tensor, options: Options, strides: Sequence[int]) -> Tensor:
    size = options["pool_size"]
    pairs = [
        margins(options["padding"], *one) for one in zip(x.shape[2:], size, strides, strict=True)
    ]
    return F.pad(x, [side for pair in reversed(pairs) for side in pair])


def global_pool(
    weights: Weights, options: Options, x: Tensor, mask: Tensor | None = None
) -> Tensor:
    """The largest value or the mean of all places, or of the steps that a mask leaves."""
    x = channels_first(x, options)
    axes = tuple(range(2, x.ndim))
    keep = options["keepdims"]
    if options["mode"] == "max":
        found = x.amax(axes, keepdim=keep)
    elif mask is not None:
        count = mask.to(x.dtype).unsqueeze(1)
        found = (x * count).sum(axes, keepdim=keep) / count.sum(axes, keepdim=keep)
    else:
        found = x.mean(axes, keepdim=keep)
    return as_before(found, options) if keep else found


COMPUTATIONS = {
    "conv": conv,
    "depthwise_conv": depthwise_conv,
    "separable_conv": separable_conv,
    "conv_transpose": conv_transpose,
    "pool": pool,
    "global_pool": global_pool,
}
