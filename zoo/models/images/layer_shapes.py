"""Layers that move values about, and those that make one tensor of several."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .layer_activations import apply_activation
from .layer_convolutions import as_before, channels_first

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]


def dense(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A linear map of the last axis; weight `(out, in)`."""
    found = F.linear(x, weights["weight"], weights.get("bias"))
    return apply_activation(found, options["activation"])


def embedding(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Rows of a table; weight `(rows, size)`."""
    return F.embedding(x.long(), weights["weight"])


def prelu(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A slope below zero for every place; `slope` has the shape of an image, or broadcasts."""
    return torch.where(x > 0, x, weights["slope"] * x)


def rescale(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Times a scale, plus an offset; one number, or one for each channel."""
    scale: Tensor = x.new_tensor(options["scale"])
    offset: Tensor = x.new_tensor(options["offset"])
    return x * scale + offset


def masking(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Zeros in the steps that are nothing but the mask's value."""
    return x * mask_of_steps(weights, options, x).unsqueeze(-1)


def mask_of_steps(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Which steps, `(B, T)`, are something else than the mask's value."""
    return torch.ne(x, options["mask_value"]).any(-1)


def mask_of_ids(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Which ids, `(B, T)`, are not zero."""
    return x != 0


def flatten(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """One axis behind the batch, in the order of channels last."""
    if options["channels_first"] and x.ndim > 2:
        x = x.movedim(1, -1)
    return x.reshape(x.shape[0], -1)


def reshape(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Other axes behind the batch."""
    return x.reshape(x.shape[0], *options["target_shape"])


def permute(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The axes behind the batch in another order, counted from 1."""
    return x.permute(0, *options["dims"])


def repeat(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Vectors `(B, d)` as `n` equal steps `(B, n, d)`."""
    return x.unsqueeze(1).expand(-1, options["n"], -1)


def _sides(pads: list[list[int]], sign: int) -> list[int]:
    return [sign * side for pair in reversed(pads) for side in pair]


def pad(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Zeros around an image or a sequence."""
    return as_before(F.pad(channels_first(x, options), _sides(options["pads"], 1)), options)


def crop(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """An image or a sequence without its borders."""
    return as_before(F.pad(channels_first(x, options), _sides(options["pads"], -1)), options)


def upsample(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Each cell several times, or values between cells (half-pixel centres)."""
    x = channels_first(x, options)
    size = options["size"]
    if options.get("interpolation") == "bilinear":
        sizes = [one * times for one, times in zip(x.shape[2:], size, strict=True)]
        x = F.interpolate(x, sizes, mode="bilinear", align_corners=False)
    else:
        for axis, times in enumerate(size):
            x = x.repeat_interleave(times, 2 + axis)
    return as_before(x, options)


def resize(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """An image of another size, by the nearest cell or between cells."""
    mode = options["interpolation"]
    exact = {"mode": "nearest-exact"} if mode == "nearest" else {"mode": mode}
    sizes = (options["height"], options["width"])
    return as_before(F.interpolate(channels_first(x, options), sizes, **exact), options)


def center_crop(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The middle of an image."""
    x = channels_first(x, options)
    for axis, size in ((2, options["height"]), (3, options["width"])):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return as_before(x, options)


def concatenate(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
    """Tensors one behind the other along an axis."""
    return torch.cat(xs, options["axis"])


def dot(weights: Weights, options: Options, x: Tensor, y: Tensor) -> Tensor:
    """Products of two tensors along an axis of each."""
    first, second = (axis % one.ndim for axis, one in zip(options["axes"], (x, y), strict=True))
    if options["normalize"]:
        x, y = unit(x, (first,), 1e-12), unit(y, (second,), 1e-12)
    x, y = x.movedim(first, -1), y.movedim(second, -1)
    found = torch.einsum("bik,bjk->bij", _matrix(x), _matrix(y))
    shape = (*x.shape[1:-1], *y.shape[1:-1])
    return found.reshape(x.shape[0], *(shape or (1,)))


def _matrix(x: Tensor) -> Tensor:
    """All axes between the first and the last as one."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def unit(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """Of length 1 along some axes; squares of lengths are at least epsilon."""
    return x * x.square().sum(axes, keepdim=True).clamp(min=epsilon).rsqrt()


def _fold(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def merge(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
        return reduce(operation, xs)

    return merge


def average(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
    """The mean of several tensors, which are broadcast."""
    return reduce(torch.add, xs) / len(xs)


#: Computations that do something in training mode alone; see `layer_training`.
NOISES = ("dropout", "alpha_dropout", "gaussian_dropout", "gaussian_noise")


def identity(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """What goes in."""
    return x


COMPUTATIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("identity", *NOISES), identity),
    "activation": lambda weights, options, x: apply_activation(x, options["activation"]),
    "dense": dense,
    "embedding": embedding,
    "prelu": prelu,
    "rescale": rescale,
    "masking": masking,
    "mask_of_ids": mask_of_ids,
    "mask_of_steps": mask_of_steps,
    "flatten": flatten,
    "reshape": reshape,
    "permute": permute,
    "repeat": repeat,
    "pad": pad,
    "crop": crop,
    "upsample": upsample,
    "resize": resize,
    "center_crop": center_crop,
    "concatenate": concatenate,
    "dot": dot,
    "add": _fold(torch.add),
    "multiply": _fold(torch.mul),
    "maximum": _fold(torch.maximum),
    "minimum": _fold(torch.minimum),
    "subtract": _fold(torch.sub),
    "average": average,
}
