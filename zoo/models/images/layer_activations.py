"""Activations of layers, by the names that configurations have; see `apply_activation`."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Callable[..., Tensor]

SINGLE_ROOT = 1.4142135381698608  # of 2, to single precision


def bounded_relu(
    x: Tensor, max_value: float | None, negative_slope: float, threshold: float
) -> Tensor:
    """Linear between a threshold and a maximum, with a slope below the threshold."""
    below = negative_slope * (x - threshold)
    found = torch.where(x >= threshold, x, below)
    return found if max_value is None else torch.where(x >= max_value, max_value, found)


def sparsemax(x: Tensor) -> Tensor:
    """Keras's sparsemax along the last axis.

    It adds up all cumulative sums of the support where arXiv:1602.02068 takes the last of them.
    """
    ranked = x.sort(dim=-1, descending=True).values
    places = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    sums = ranked.cumsum(-1)
    support = 1 + places * ranked > sums
    total = torch.where(support, sums, 0.0).sum(-1, keepdim=True)
    return (x - (total - 1) / support.sum(-1, keepdim=True)).clamp(min=0)


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, x from 1, a parabola between."""
    return torch.where(x <= -1, 0.0, torch.where(x < 1, (x + 1) ** 2 / 4, x))


def hard_sigmoid(x: Tensor, slope: float) -> Tensor:
    """clip(slope x + 1/2, 0, 1): a slope of 1/5 before Keras 3, of 1/6 since."""
    return (slope * x + 0.5).clamp(0, 1)


def gelu(x: Tensor, approximate: bool) -> Tensor:
    """A tensor times the normal distribution at it; in float64 with TensorFlow's root of 2."""
    if approximate or x.dtype != torch.float64:
        return F.gelu(x, approximate="tanh" if approximate else "none")
    return x * (1 + torch.erf(x / SINGLE_ROOT)) / 2


#: By name; their numbers come by name too.
ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "bounded_relu": bounded_relu,
    "thresholded_relu": lambda x, theta: torch.where(x > theta, x, 0.0),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "celu": lambda x, alpha: F.celu(x, alpha),
    "selu": F.selu,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "exponential": torch.exp,
    "softmax": lambda x, axis: F.softmax(x, axis),
    "log_softmax": lambda x, axis: F.log_softmax(x, axis),
    "silu": F.silu,
    "hard_silu": lambda x: x * hard_sigmoid(x, 1 / 6),
    "gelu": gelu,
    "mish": F.mish,
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "log_sigmoid": F.logsigmoid,
    "squareplus": lambda x: (x + torch.sqrt(x * x + 4)) / 2,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": lambda x: ((x + 1) / 2).clamp(0, 1),
    "sparsemax": sparsemax,
    "tanh_shrink": F.tanhshrink,
    "soft_shrink": lambda x, threshold: F.softshrink(x, threshold),
    "hard_shrink": lambda x, threshold: F.hardshrink(x, threshold),
    "glu": lambda x, axis: F.glu(x, axis),
}


def apply_activation(x: Tensor, activation: Mapping[str, Any] | None) -> Tensor:
    """An activation of a tensor.

    Args:
        x: any shape.
        activation: `name`, one of `ACTIVATIONS`, and its numbers; None for none.
    """
    if activation is None:
        return x
    function = ACTIVATIONS[activation["name"]]
    if len(activation) == 1:
        return function(x)
    return function(x, **{key: value for key, value in activation.items() if key != "name"})
