"""Gradients with noise (arXiv:1511.06807)."""

from collections.abc import Mapping

import torch

from . import sharding
from .patterns import Patterns
from .tensors import Selection
from .transform import Step, Transform, Value


class Noise(Transform):
    r"""Add :math:`N(0, \sigma_t^2)`, :math:`\sigma_t^2 = \eta / (1 + t)^\gamma`.

    t counts the steps from 0. The numbers follow from the chain's seed and from t alone: they are
    the same in every process, sharded or not, and in a resumed run. Reports `sigma`.

    Args:
        eta: above 0; the authors used 0.01, 0.3 and 1.
        decay: gamma, above 0.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    lengthens = True

    def __init__(
        self,
        eta: float = 0.01,
        decay: float = 0.55,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.eta = self.number("eta", eta, above=0)
        self.decay = self.number("decay", decay, above=0)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Add noise, drawn for whole tensors."""
        sigma = (self.eta / (1 + self.steps) ** self.decay) ** 0.5
        for whole, mine in chosen.shares():
            noise = torch.randn(
                whole.shape, generator=step.generator(mine.device), device=mine.device
            )
            mine.add_(sharding.part(noise.to(mine.dtype), whole), alpha=sigma)
        return {"sigma": sigma}
