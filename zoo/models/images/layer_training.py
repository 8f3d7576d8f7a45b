"""What layers compute in training mode, where that is something else than in use."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .distributed import whole_batch_norm
from .layer_kinds import COMPUTATIONS
from .layer_norms import batch_norm

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]

MOMENTUM = 0.99  # Keras's, where options name none


def learn_batch_norm(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Normalise by the batch's own statistics, and move the stored ones on.

    Those of a layer that its author has frozen serve as they are.
    """
    if options.get("frozen"):
        return batch_norm(weights, options, x)
    found = whole_batch_norm(
        x.movedim(options["axis"], 1),
        weights["mean"],
        weights["variance"],
        weights.get("scale"),
        weights.get("offset"),
        momentum=1 - options.get("momentum", MOMENTUM),
        eps=options["epsilon"],
    )
    return found.movedim(1, options["axis"])


def _one_for(x: Tensor, options: Options) -> Tensor:
    """Ones of the shape of a tensor, but 1 along the axes that share a decision."""
    shared = options.get("shared_axes", ())
    return x.new_ones([1 if axis in shared else size for axis, size in enumerate(x.shape)])


def dropout(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Zeros in place of a share of the values; the others grow, so that the mean stays."""
    return x * F.dropout(_one_for(x, options), options["rate"])


def alpha_dropout(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The same of values of mean 0 and variance 1, which they keep (arXiv:1706.02515)."""
    return F.alpha_dropout(x, options["rate"], training=True)


def gaussian_dropout(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Times a normal number of mean 1 and variance rate / (1 - rate)."""
    rate = options["rate"]
    if rate == 1:  # of which Keras takes no notice either
        return x
    deviation: float = (rate / (1 - rate)) ** 0.5
    return x * (1 + deviation * torch.randn_like(x))


def gaussian_noise(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Plus a normal number of mean 0."""
    deviation: float = options["stddev"]
    return x + deviation * torch.randn_like(x)


#: Each takes what those of `layer_kinds` take.
LEARNING: dict[str, Callable[..., Any]] = COMPUTATIONS | {
    "batch_norm": learn_batch_norm,
    "dropout": dropout,
    "alpha_dropout": alpha_dropout,
    "gaussian_dropout": gaussian_dropout,
    "gaussian_noise": gaussian_noise,
}
