r"""The partition function of an energy: :math:`\log Z = \log \int \exp s(x)\, dx`, in nats."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .bounds import ImportanceWeightedBound
from .hamiltonian import Chains, temperatures
from .importance import standard_normal

DRAW_BATCH = 2**14  # points of importance sampling


class LogZ(NamedTuple):
    """An estimate of log Z and its standard error, in nats."""

    value: float
    standard_error: float


class LogZBounds(NamedTuple):
    """Bounds of log Z on average, in nats.

    Attributes:
        lower: from the Gaussian to the energy.
        upper: from samples to the Gaussian; a bound as far as they are samples of the energy.
        acceptance: share of proposals taken, forth and back.
    """

    lower: float
    upper: float
    acceptance: float


class StandardizedDensity:
    r"""What annealing needs of an energy: :math:`\log p(m + s z) - \log N(z; 0, I)`.

    Args:
        log_density: `(N,)` of `(N, ...)`, differentiable, without a constant.
        shape: of one image or vector.
        mean: m.
        scale: s; the Gaussian should be a little wider than the density.
    """

    def __init__(
        self,
        log_density: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        mean: float,
        scale: float,
    ):
        self.log_density, self.shape = log_density, shape
        self.mean, self.scale = mean, scale
        self.size = math.prod(shape)
        self.constant = self.size * (math.log(scale) + 0.5 * math.log(2 * math.pi))

    def __call__(self, latents: Tensor) -> Tensor:
        """Log-ratios `(C, B)` of codes `(C, B, d)`, in nats, but for the constant."""
        flat = latents.flatten(0, 1)
        value: Tensor = self.log_density((self.mean + self.scale * flat).unflatten(1, self.shape))
        return (value + 0.5 * flat.square().sum(1)).reshape(latents.shape[:2])

    def latents(self, x: Tensor) -> Tensor:
        """Images or vectors `(N, ...)` as chains `(N, 1, d)`."""
        return ((x - self.mean) / self.scale).flatten(1)[:, None]

    def draw(self, count: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Starts of chains from N(0, I), `(count, 1, d)`."""
        return standard_normal((count, 1, self.size), like, generator)


@torch.no_grad()
def importance_log_z(
    density: StandardizedDensity, num_samples: int, like: Tensor, generator: torch.Generator
) -> LogZ:
    """Estimate log Z by drawing from the Gaussian; for a few dimensions.

    A proposal that misses mass makes it too low, silently: it must be wider than the density.
    """
    bound = ImportanceWeightedBound()
    for start in range(0, num_samples, DRAW_BATCH):
        count = min(DRAW_BATCH, num_samples - start)
        bound.update(density(density.draw(count, like, generator)))
    return _told(bound, density)


@torch.no_grad()
def annealed_log_z(
    density: StandardizedDensity,
    num_chains: int,
    num_temperatures: int,
    like: Tensor,
    generator: torch.Generator,
) -> tuple[LogZ, float]:
    """Estimate log Z by annealed importance sampling; a lower bound on average, and acceptance."""
    chains = Chains(density, density.draw(num_chains, like, generator), generator)
    bound = ImportanceWeightedBound()
    bound.update(chains.anneal(temperatures(num_temperatures)))
    return _told(bound, density), float(chains.acceptance)


@torch.no_grad()
def reversed_log_z(
    density: StandardizedDensity,
    samples: Tensor,
    num_temperatures: int,
    generator: torch.Generator,
) -> tuple[LogZ, float]:
    """Estimate log Z from samples of the energy to the Gaussian; an upper bound on average."""
    chains = Chains(density, density.latents(samples), generator)
    bound = ImportanceWeightedBound()
    bound.update(chains.anneal(temperatures(num_temperatures).flip(0)))
    estimate = bound.estimate()
    value = density.constant - float(estimate.log_prob)
    return LogZ(value, float(estimate.standard_error)), float(chains.acceptance)


def _told(bound: ImportanceWeightedBound, density: StandardizedDensity) -> LogZ:
    estimate = bound.estimate()
    value = density.constant + float(estimate.log_prob)
    return LogZ(value, float(estimate.standard_error))
