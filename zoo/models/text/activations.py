"""Activations by name: transformers' own, and Keras's where transformers has none or another."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import elu, leaky_relu, selu, softmax, softplus, softsign
from transformers.activations import ACT2FN


def hard_sigmoid(values: Tensor) -> Tensor:
    """Keras 2's: 0.2 x + 0.5 between 0 and 1. torch's has a slope of 1/6."""
    return (0.2 * values + 0.5).clamp(0, 1)


#: Where transformers' table has no such name, or, of `leaky_relu`, a slope of 0.01.
OWN = {
    "leaky_relu": partial(leaky_relu, negative_slope=0.2),  # bert4keras's
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "softsign": softsign,
    "exponential": torch.exp,
    "hard_sigmoid": hard_sigmoid,
    "softmax": partial(softmax, dim=-1),
}


def activation(name: str | None) -> Any:
    """A function of tensors by its name; None is linear."""
    return OWN[name] if name in OWN else ACT2FN[name or "linear"]
