"""The gradients of several micro-batches as those of one batch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError

from .patterns import Patterns
from .sharding import local
from .tensors import Gradients, Selection
from .transform import Step, Transform, Value


class Accumulate(Transform):
    """Hold back the step until k micro-batches have come, then make it with their mean.

    That equals one batch of all of them where the loss is a mean over examples. It does not where
    a loss couples the examples of a batch: entropies and InfoNCE compare each example with the
    others of its batch, batch norm takes its statistics from them, and k small batches are not one
    large batch. For such losses, caching representations and going back through the network a
    second time would help; that is up to the loss, which a chain does not see.

    The sum is kept in single precision or better, and takes as much memory as the gradients. The
    last window of an epoch may be partial: after `chain.flush()` the next step ends it, with the
    mean of what has come.

    Args:
        k: number of micro-batches in a window. Under the Trainer it is
            `gradient_accumulation_steps`.
        only: not allowed here, since the whole step is held back.
        exclude: not allowed here.

    Attributes:
        pending: micro-batches in the open window.
    """

    def __init__(self, k: int, *, only: Patterns = None, exclude: Patterns = None) -> None:
        super().__init__(only=only, exclude=exclude)
        if self.only or self.exclude:
            raise UsageError(
                "Accumulate: holds back the step of every parameter; leave out only= and exclude="
            )
        self.k = self.count("k", k)
        self.pending = 0
        self._sums: dict[str, Tensor] = {}

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Add to the sums; at a window's end make the gradients their mean."""
        if len(chosen):
            self._add(step.gradients)
        if self.pending < self.k and not (step.closing and self.pending):
            step.skip = "accumulating"
            return {}
        for name, parameter in step.named:
            if (total := self._sums.get(name)) is not None:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                local(parameter.grad).copy_(local(total).div_(self.pending))
        self.pending = 0
        self._sums.clear()
        step.gradients = Gradients(step.named)
        return {}

    def _add(self, gradients: Gradients) -> None:
        for name, gradient in zip(gradients.names, gradients.tensors, strict=True):
            total = self._sums.get(name)
            if total is None:
                half = gradient.dtype in (torch.float16, torch.bfloat16)
                # A copy: what holds a gradient may be overwritten by the next backward.
                dtype = torch.float32 if half else gradient.dtype
                self._sums[name] = gradient.to(dtype, copy=True)
            elif total.shape != gradient.shape:
                raise UsageError(
                    f"Accumulate: the sum for {name} has shape {tuple(total.shape)}, its gradient "
                    f"{tuple(gradient.shape)}; resume with the model that was saved"
                )
            else:
                if total.device != gradient.device:  # as loaded
                    total = self._sums[name] = total.to(gradient.device)
                local(total).add_(local(gradient))
        self.pending += 1

    def state_dict(self) -> dict[str, Any]:
        """Counters and the sums of the open window, by parameter."""
        return {**super().state_dict(), "pending": self.pending, "sums": dict(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over an open window."""
        super().load_state_dict(state)
        self.pending = int(state["pending"])
        self._sums = {name: total.clone() for name, total in state["sums"].items()}
