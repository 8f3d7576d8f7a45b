"""Batch-wide quantities when the batch is spread over processes."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


class _Gather(torch.autograd.Function):
    """Concatenate the rows of all processes; backward sums the gradients over processes."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        local = local.contiguous()
        parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, local)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gather_batch(local: Tensor) -> tuple[Tensor, slice]:
    """The rows of all processes, with gradient, and where this process's own rows are.

    The backward sums over processes and data parallelism averages the gradients, so a loss
    computed from the gathered rows on every process has the gradients of one process with the
    whole batch. Without a process group it is the rows themselves.

    Args:
        local: shape `(n, d)`, with the same n on every process.

    Returns:
        Rows of shape `(n * processes, d)` and a slice of n of them.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return local, slice(None)
    start = dist.get_rank() * len(local)
    return _Gather.apply(local), slice(start, start + len(local))
