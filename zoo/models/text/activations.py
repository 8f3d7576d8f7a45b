"""Activations by name: transformers' own, and Keras's where transformers has none or another."""

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import elu, leaky_relu, selu, softmax, softplus, softsign
from transformers.activations import ACT2FN

#: A function of tensors that keeps their shape.
Activation = Callable[[Tensor], Tensor]


def hard_sigmoid(values: Tensor) -> Tensor:
    """Keras 2's: 0.2 x + 0.5 between 0 and 1. torch's has a slope of 1/6.

    Args:
        values: of any shape.

    Returns:
        The same shape, in [0, 1].

    Example:
        >>> hard_sigmoid(torch.tensor([-3.0, 0.0, 1.0]))
        tensor([0.0000, 0.5000, 0.7000])
    """
    return (0.2 * values + 0.5).clamp(0, 1)


#: Where transformers' table has no such name, or, of `leaky_relu`, a slope of 0.01.
OWN: dict[str, Activation] = {
    "leaky_relu": partial(leaky_relu, negative_slope=0.2),  # bert4keras's
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "softsign": softsign,
    "exponential": torch.exp,
    "hard_sigmoid": hard_sigmoid,
    "softmax": partial(softmax, dim=-1),
}


def activation(name: str | None) -> Activation:
    """A function of tensors by its name.

    Args:
        name: a key of `OWN` or of transformers' `ACT2FN`; None is linear.

    Raises:
        ValueError: there is no such activation.
    """
    check_activation("activation", name)
    if name in OWN:
        return OWN[name]
    return cast(Activation, ACT2FN[name or "linear"])


def check_activation(field: str, name: str | None) -> None:
    """Raise `ValueError` naming the field and all activations, unless there is one of the name."""
    if name is not None and name not in OWN and name not in ACT2FN:
        known = ", ".join(sorted({*OWN, *ACT2FN}))
        raise ValueError(f"{field} must be one of {known}; got {name!r}")
