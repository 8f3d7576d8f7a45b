"""Gradients of which entries are left out: by chance, or all but the largest."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo.errors import UsageError

from . import sharding
from .patterns import Patterns
from .tensors import Selection
from .transform import Step, Transform, Value


class Drop(Transform):
    """Set each entry to zero with a probability.

    The mask follows from the chain's seed and the number of the step alone.

    Args:
        probability: above 0 and below 1.
        rescale: divide what stays by 1 - probability, so that the expectation stays what it was.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    lengthens = True

    def __init__(
        self,
        probability: float,
        rescale: bool = True,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.probability = self.number("probability", probability, above=0, below=1)
        self.check("rescale", rescale, isinstance(rescale, bool), "true or false")
        self.rescale = rescale

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Multiply by masks, drawn for whole tensors."""
        keep = 1 - self.probability
        for whole, mine in chosen.shares():
            mask = torch.empty(whole.shape, dtype=mine.dtype, device=mine.device)
            mask.bernoulli_(keep, generator=step.generator(mine.device))
            mine.mul_(sharding.part(mask, whole))  # a NaN that is dropped stays NaN, for the guard
        if self.rescale:
            chosen.scale(1 / keep)
        return {}


class TopK(Transform):
    """Keep the entries of largest magnitude of each tensor, and set the others to zero.

    Which of equal entries are kept is not specified; a tensor with no more entries than are kept
    stays as it is. Reports `kept`, the share of entries.

    Args:
        k: how many entries of each tensor; or
        share: which share of each, above 0 and below 1, rounded, but at least one entry.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.

    Raises:
        UsageError: neither of `k` and `share` is given, or both.
    """

    def __init__(
        self,
        k: int | None = None,
        share: float | None = None,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        if (k is None) == (share is None):
            raise UsageError("TopK: give k=, a number of entries, or share=, a part of them")
        self.k = None if k is None else self.count("k", k)
        self.share = None if share is None else self.number("share", share, above=0, below=1)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Keep the largest of each whole tensor."""
        kept = entries = 0

        def largest(name: str, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
            nonlocal kept, entries
            size = gradient.numel()
            wanted = self.k or max(1, round((self.share or 0) * size))
            entries += size
            kept += min(wanted, size)
            if wanted >= size:
                return gradient
            flat = gradient.reshape(-1)
            places = flat.abs().topk(wanted, sorted=False).indices
            return torch.zeros_like(flat).index_copy_(0, places, flat[places]).view_as(gradient)

        chosen.rewrite(largest)
        return {"kept": kept / entries} if entries else {}
