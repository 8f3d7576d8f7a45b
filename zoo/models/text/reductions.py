"""Means that leave positions out, in float32 at least."""

import torch
from torch import Tensor


def precise(values: Tensor) -> Tensor:
    """The same in float32, or in float64 where they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def masked_mean(values: Tensor, mask: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """The mean of what a mask leaves.

    Args:
        values: of any shape; what the mask leaves out may be infinite.
        mask: true or 1 where a value counts; broadcast to the shape of the values.
        dim: axes to average over; None is all.

    Returns:
        The mean; 0 where the mask leaves nothing.
    """
    seen = mask.bool().expand(values.shape)
    dims = tuple(range(values.ndim)) if dim is None else dim
    return values.masked_fill(~seen, 0).sum(dims) / seen.sum(dims).clamp(min=1)
