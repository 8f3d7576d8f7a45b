"""Images of zeros and ones, for Bernoulli likelihoods."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UsageError

FROZEN_SEED = 20_000  # published: frozen binarised test sets are this one draw
_CHUNK = 1 << 20

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
        mode: "stochastic" draws each pixel from Bernoulli(value), "threshold" compares it with
            0.5, "none" returns the images as they are.
        generator: for the draws; on the device of the images.

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


def freeze_binarized(pixels: Tensor, seed: int = FROZEN_SEED) -> Tensor:
    """One stochastic draw of 8-bit images, the same on every machine.

    A pixel of value v becomes 1 where its word w of numpy's `Philox(seed)`, the upper 32 bits of
    the next 64, has 255 w < 2^32 v: with probability v / 255, in whole numbers throughout, so that
    no rounding, thread or device can change it. Image i takes the words that follow those of the
    images before it: the first images of a set are drawn the same however many are read.

    Args:
        pixels: uint8, any shape; the draw is over all values in order, images first.
        seed: of the draw, 0 or more; the default is the published one.

    Returns:
        uint8 zeros and ones, same shape.

    Raises:
        UsageError: if the images are not bytes or the seed is negative.

    Example:
        >>> freeze_binarized(torch.tensor([[0, 255], [128, 255]], dtype=torch.uint8))[:, 1]
        tensor([1, 1], dtype=torch.uint8)
    """
    if pixels.dtype != torch.uint8:
        raise UsageError(f"images are frozen from bytes (uint8), got {pixels.dtype}")
    if seed < 0:
        raise UsageError(f"the seed of a frozen draw must be at least 0, got {seed}")
    values = pixels.detach().cpu().contiguous().numpy().reshape(-1)
    words = np.random.Philox(seed)
    drawn = np.empty_like(values)
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK].astype(np.uint64)
        word = words.random_raw(len(chunk)) >> np.uint64(32)
        drawn[start : start + len(chunk)] = word * np.uint64(255) < chunk << np.uint64(32)
    return torch.from_numpy(drawn).view(pixels.shape).to(pixels.device)
