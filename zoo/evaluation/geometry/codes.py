"""The codes that the statistics describe, and standard normal codes of the same kind."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.models.images.aggregate import AggregatePosterior
from zoo.models.images.entropy import neighbor_distances

BANDWIDTH_NEIGHBORS = 5  # k of the balls that stand in for posteriors of a deterministic encoder
MIN_CODES = 30  # with fewer, no statistic means much
MIN_RADIUS = 1e-6  # coincident codes still have a ball


@dataclass(frozen=True)
class Codes:
    """Encodings of n images, and codes of m other images; float64 on the CPU.

    Statistics of the aggregate posterior use samples, which carry the encoder's noise: the means
    of an ideal VAE vary by less than 1. The density of the mixture over the encodings is evaluated
    only at held-out codes, as an encoding makes its own code likely.

    Attributes:
        mean: posterior means, or the codes of a deterministic encoder, shape `(n, d)`.
        log_var: log-variances of the posteriors, or of the balls that stand in for them.
        samples: one sample of each posterior; the codes themselves of a deterministic encoder.
        held_out: codes of other images, drawn likewise, shape `(m, d)`.
        stochastic: whether the encoder has noise of its own.
        labels: class numbers of the n images, or None.
    """

    mean: Tensor
    log_var: Tensor
    samples: Tensor
    held_out: Tensor
    stochastic: bool
    labels: Tensor | None = field(default=None, compare=False)

    @classmethod
    def of_points(cls, points: Tensor, held_out: Tensor, labels: Tensor | None = None) -> "Codes":
        """Codes of a deterministic encoder, each the centre of a ball.

        The ball's standard deviation is the distance to the 5th nearest other code over the root
        of d, so that a draw from it lies about that far away.

        Raises:
            UsageError: for fewer codes than a statistic needs, or a code that is not finite.
        """
        points, held_out = _checked(points), _checked(held_out)
        radius = neighbor_distances(points.float(), BANDWIDTH_NEIGHBORS)[:, -1:].double()
        log_radius = radius.clamp(min=MIN_RADIUS).log() - 0.5 * math.log(points.shape[1])
        return cls(points, (2 * log_radius).expand_as(points), points, held_out, False, labels)

    @classmethod
    def of_posteriors(
        cls,
        mean: Tensor,
        log_var: Tensor,
        held_out: Tensor,
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> "Codes":
        """Codes of an encoder with noise; errors as `of_points`."""
        mean, log_var, held_out = _checked(mean), log_var.double(), _checked(held_out)
        draw = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        samples = mean + (0.5 * log_var).exp() * draw
        return cls(mean, log_var, samples, held_out, True, labels)

    @property
    def count(self) -> int:
        """Number of encodings, n."""
        return len(self.mean)

    @property
    def size(self) -> int:
        """Dimension of a code: d."""
        return self.mean.shape[1]

    @cached_property
    def density(self) -> AggregatePosterior:
        """The mixture over the n encodings."""
        return AggregatePosterior(self.mean, self.log_var)

    @property
    def bandwidth(self) -> str:
        """A description of the balls."""
        if self.stochastic:
            return "the encoder's own posteriors"
        return (
            "balls around the codes, standard deviation = distance to the "
            f"{BANDWIDTH_NEIGHBORS}th nearest other code / sqrt(d)"
        )

    def reference(self, generator: torch.Generator) -> "Codes":
        """Codes of an encoder whose aggregate posterior is N(0, I): as many, of as many others.

        With noise, each posterior keeps its width (at most 1) and its mean is drawn from
        N(0, 1 - s^2), so that the samples are standard normal; without, the codes are.
        """

        def normal(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=torch.float64)

        if not self.stochastic:
            return Codes.of_points(normal(self.mean), normal(self.held_out))
        log_var = self.log_var.clamp(max=0)
        mean = (1 - log_var.exp()).sqrt() * normal(self.mean)
        return Codes.of_posteriors(mean, log_var, normal(self.held_out), generator)


def _checked(points: Tensor) -> Tensor:
    """Codes in float64 on the CPU.

    Raises:
        UsageError: if there are too few of them, or one is not finite.
    """
    if len(points) < MIN_CODES:
        raise UsageError(
            f"a geometry needs at least {MIN_CODES} codes and as many of other images, got "
            f"{len(points)}; use a larger split or a larger number"
        )
    if not points.isfinite().all():
        raise UsageError(
            "the encoder gives codes that are not finite numbers; `genae verify` checks its files"
        )
    return points.detach().to("cpu", torch.float64)
