"""Batch-wide quantities when the batch is spread over processes."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

#: Whether batches are this process's alone, although there are others.
_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


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
    if not is_spread():
        return local, slice(None)
    start = dist.get_rank() * len(local)
    return _Gather.apply(local), slice(start, start + len(local))


class _Sum(torch.autograd.Function):
    """The sum over all processes; backward sums the gradients over processes."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient


def is_spread() -> bool:
    """Whether batches are spread over processes now."""
    if _ALONE.get() or not (dist.is_available() and dist.is_initialized()):
        return False
    return dist.get_world_size() > 1


@contextmanager
def alone() -> Iterator[None]:
    """For the length of a `with`, a batch is this process's alone: nothing is gathered."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def whole_batch_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """`functional.batch_norm` in training, with the statistics of the batch of all processes.

    Args:
        x: shape `(B, C, ...)`, with the same B on every process.
        mean: of the past, `(C,)`, moved on; None where none is kept.
        variance: likewise, unbiased.
        weight: factor, `(C,)`; None is 1.
        bias: what is added, `(C,)`; None is 0.
        momentum: share of this batch in what is kept.
        eps: added to the variance.
    """
    if not is_spread():
        return functional.batch_norm(x, mean, variance, weight, bias, True, momentum, eps)
    over = [axis for axis in range(x.ndim) if axis != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    count = x.numel() // x.shape[1] * dist.get_world_size()
    found: Tensor = _Sum.apply(x.sum(over)) / count
    centred = x - found.view(shape)
    spread: Tensor = _Sum.apply(centred.square().sum(over)) / count
    with torch.no_grad():
        if mean is not None and variance is not None:
            mean.lerp_(found.to(mean), momentum)
            variance.lerp_(spread.to(variance) * (count / max(1, count - 1)), momentum)
    normal = centred * torch.rsqrt(spread + eps).view(shape)
    normal = normal if weight is None else normal * weight.view(shape)
    return normal if bias is None else normal + bias.view(shape)


class _WholeBatchNorm(_BatchNorm):
    """A batch norm with the statistics of the whole batch, on any device."""

    def forward(self, input: Tensor) -> Tensor:
        seen = self.num_batches_tracked
        if not (self.training and is_spread()) or seen is None:
            return super().forward(input)
        self._check_input_dim(input)
        seen.add_(1)
        share = self.momentum or 1 / float(seen)
        return whole_batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, share, self.eps
        )


class _WholeBatchNorm1d(_WholeBatchNorm, nn.BatchNorm1d):
    pass


class _WholeBatchNorm2d(_WholeBatchNorm, nn.BatchNorm2d):
    pass


#: What normalises each process's part of a batch, and in its place the whole batch.
_WHOLE: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: _WholeBatchNorm1d,
    nn.BatchNorm2d: _WholeBatchNorm2d,
}


@contextmanager
def whole_batch_norms(model: nn.Module, but: Collection[nn.Module] = ()) -> Iterator[None]:
    """For the length of a `with`, batch norms of a model see the whole batch of all processes.

    torch's `SyncBatchNorm` does the same on a GPU alone.

    Args:
        model: whose parts they are.
        but: those that are given the whole batch anyway.
    """
    changed = [each for each in model.modules() if type(each) in _WHOLE and each not in but]
    for each in changed:
        each.__class__ = _WHOLE[type(each)]
    try:
        yield
    finally:
        for each in changed:
            each.__class__ = next(kind for kind, one in _WHOLE.items() if one is type(each))
