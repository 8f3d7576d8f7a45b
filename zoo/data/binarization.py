"""Pictures of zeros and ones, for Bernoulli likelihoods."""

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import UsageError

BINARIZATIONS: dict[str, Callable[[Tensor, torch.Generator | None], Tensor]] = {
    "none": lambda pixel_values, _: pixel_values,
    "stochastic": lambda pixel_values, generator: torch.bernoulli(
        pixel_values, generator=generator
    ),
    "threshold": lambda pixel_values, _: (pixel_values > 0.5).to(pixel_values.dtype),
}


def binarize(
    pixel_values: Tensor, mode: str = "stochastic", generator: torch.Generator | None = None
) -> Tensor:
    """Make every pixel 0 or 1.

    Args:
        pixel_values: floats in [0, 1], any shape.
        mode: "stochastic" draws each pixel from Bernoulli(value) anew, "threshold" asks whether
            it is above 0.5, "none" returns the pictures as they are.
        generator: where the draws come from; on the device of the pictures.

    Returns:
        The same shape and type.

    Raises:
        UsageError: if the mode is unknown.

    Example:
        >>> binarize(torch.tensor([0.2, 0.5, 0.9]), "threshold")
        tensor([0., 0., 1.])
    """
    if mode not in BINARIZATIONS:
        raise UsageError(f"no binarization {mode!r}; it is one of {', '.join(BINARIZATIONS)}")
    return BINARIZATIONS[mode](pixel_values, generator)
