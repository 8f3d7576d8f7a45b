"""Normalisations of layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .layer_shapes import unit

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]

MIN_DEVIATION = 1e-7  # of `normalize`
MIN_LENGTH = 1e-12  # square of a vector's length


def _along(x: Tensor, values: Tensor, axes: Sequence[int]) -> Tensor:
    """Values of some axes of a tensor, of a shape that broadcasts with it."""
    places = sorted(axis % x.ndim for axis in axes)
    shape = [1] * x.ndim
    for place, size in zip(places, values.shape, strict=True):
        shape[place] = size
    return values.reshape(shape)


def _affine(x: Tensor, weights: Weights, axes: Sequence[int]) -> Tensor:
    if "scale" in weights:
        x = x * _along(x, weights["scale"], axes)
    return x + _along(x, weights["offset"], axes) if "offset" in weights else x


def batch_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Normalise by stored means and variances."""
    axis = options["axis"]
    found = F.batch_norm(
        x.movedim(axis, 1),
        weights["mean"],
        weights["variance"],
        weights.get("scale"),
        weights.get("offset"),
        eps=options["epsilon"],
    )
    return found.movedim(1, axis)


def layer_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Normalise each example by its own mean and biased variance over some axes."""
    axes = options["axis"]
    places = tuple(axis % x.ndim for axis in axes)
    if options["rms_scaling"]:
        return rms_norm(weights, options, x)
    centred = x - x.mean(places, keepdim=True)
    variance = centred.square().mean(places, keepdim=True)
    return _affine(centred * torch.rsqrt(variance + options["epsilon"]), weights, axes)


def rms_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Divide each example by the root of its mean square over some axes."""
    places = tuple(axis % x.ndim for axis in options["axis"])
    mean = x.square().mean(places, keepdim=True)
    return _affine(x * torch.rsqrt(mean + options["epsilon"]), weights, options["axis"])


def group_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Normalise groups of neighbouring channels, over all places."""
    axis = options["axis"] % x.ndim
    groups = x.shape[axis] if options["groups"] == -1 else options["groups"]
    split = x.unflatten(axis, (groups, -1))
    places = tuple(place for place in range(1, split.ndim) if place != axis)
    centred = split - split.mean(places, keepdim=True)
    variance = centred.square().mean(places, keepdim=True)
    found = (centred * torch.rsqrt(variance + options["epsilon"])).flatten(axis, axis + 1)
    return _affine(found, weights, [axis])


def unit_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Of length 1 along some axes."""
    return unit(x, tuple(options["axis"]), MIN_LENGTH)


def normalize(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Normalise by means and variances that were computed of data, or undo it."""
    mean, variance = (_statistics(x, name, weights, options) for name in ("mean", "variance"))
    deviation = variance.sqrt().clamp(min=MIN_DEVIATION)
    return x * deviation + mean if options["invert"] else (x - mean) / deviation


def _statistics(x: Tensor, name: str, weights: Weights, options: Options) -> Tensor:
    values = weights[name] if options[name] is None else x.new_tensor(options[name])
    axes = options["axis"]
    return _along(x, values, axes) if axes and values.ndim else values


COMPUTATIONS = {
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "unit_norm": unit_norm,
    "normalize": normalize,
}
