"""The aggregate posterior of a data set, and the two parts of the KL of a VAE."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .bounds import gaussian_kl, gaussian_log_prob

BLOCK = 2**21  # pairs of a code and an encoding at once: 16 MB for data sets of any size


class AggregatePosterior:
    r"""The mixture of all encodings, :math:`\hat p(z) = \frac1N \sum_i N(z; \mu_i, s_i^2)`.

    Computed in float64 on the CPU, in blocks: memory does not grow with the number of codes.

    Args:
        mean: of the encodings, shape `(N, d)`.
        log_var: their log-variances, same shape.
    """

    def __init__(self, mean: Tensor, log_var: Tensor) -> None:
        mean, log_var = (part.detach().to("cpu", torch.float64) for part in (mean, log_var))
        self.count, self.latent_size = mean.shape
        self.center = mean.mean(0)  # near zero, the squares below lose the fewest digits
        mean, precision = mean - self.center, (-log_var).exp()
        # (z - m)^2 / s^2 over the dimensions, for all pairs by one product of (z^2, z, 1).
        self.factors = torch.cat(
            [precision, -2 * mean * precision, (mean.square() * precision).sum(1, keepdim=True)], 1
        ).T.contiguous()
        self.log_scale = 0.5 * (log_var.sum(1) + self.latent_size * math.log(2 * math.pi))

    def _blocks(self, latents: Tensor, own: Tensor | None) -> Iterator[Tensor]:
        """Squared Mahalanobis distances of codes to all encodings; infinite to their own."""
        latents = latents.detach().to("cpu", torch.float64) - self.center
        height = max(1, BLOCK // self.count)
        for start in range(0, len(latents), height):
            rows = latents[start : start + height]
            squares = torch.cat([rows.square(), rows, torch.ones_like(rows[:, :1])], 1)
            distances = (squares @ self.factors).clamp_(min=0)
            if own is not None:
                distances.scatter_(1, own[start : start + height, None], math.inf)
            yield distances

    def log_prob(self, latents: Tensor, own: Tensor | None = None) -> Tensor:
        """Log-density of codes in nats, shape `(m,)`, float64.

        Args:
            latents: shape `(m, d)`.
            own: for each code the number of the encoding to leave out, shape `(m,)`: the one that
                the code was drawn from, whose kernel would otherwise vouch for itself. None
                leaves none out, as for codes of other images, and in the mutual information.
        """
        total = math.log(self.count - (own is not None)) if self.count > 1 else 0.0
        found = [
            torch.logsumexp(distances.mul_(-0.5).sub_(self.log_scale), 1)
            for distances in self._blocks(latents, own)
        ]
        return torch.cat(found) - total

    def nearest(self, latents: Tensor, own: Tensor | None = None) -> Tensor:
        """Minimum squared Mahalanobis distance of each code to an encoding, shape `(m,)`, float64.

        Arguments as in `log_prob`.
        """
        return torch.cat([distances.amin(1) for distances in self._blocks(latents, own)])


@dataclass(frozen=True)
class RateSplit:
    r"""The parts of the KL of a VAE on one data set; every number in nats per image.

    .. math:: E_x KL(p(z|x) \| q(z)) = I(x; z) + KL(\hat p(z) \| q(z))

    (Hoffman and Johnson, "ELBO surgery", 2016): the index-code mutual information, which says
    which image a code belongs to, and what separates the aggregate posterior from the prior.

    Attributes:
        kl: mean KL from posterior to prior, analytic.
        kl_per_dim: the same by dimension, shape `(d,)`; sums to `kl`.
        mutual_information: between the index of an image and its code; at most `cap`.
        marginal_kl: from the aggregate posterior to the prior; the two sum to `kl`.
        standard_error: of either part, an upper bound.
        cap: log N, the maximum for N images; an information near it is only a lower bound.
        drawn_sum: the sum of the two parts before the noise of the draws was regressed out.
        drawn_error: standard error of `drawn_sum` around `kl`.
        num_images: N.
    """

    kl: float
    kl_per_dim: Tensor
    mutual_information: float
    marginal_kl: float
    standard_error: float
    cap: float
    drawn_sum: float
    drawn_error: float
    num_images: int


def rate_split(
    mean: Tensor,
    log_var: Tensor,
    num_samples: int = 1,
    generator: torch.Generator | None = None,
) -> RateSplit:
    r"""Split the mean KL of encodings into mutual information and marginal KL.

    The expectations over codes are taken from samples. Their sum over both parts,
    :math:`\log p(z|x) - \log q(z)`, has the analytic KL as its mean, so its noise is known and
    regressed out of both (a control variate): the parts become sharper and sum to the KL.

    Args:
        mean: of N posteriors, shape `(N, d)`.
        log_var: their log-variances, same shape.
        num_samples: codes drawn of each posterior.
        generator: on the CPU; None is torch's global one.

    Raises:
        ValueError: if there are no encodings, or fewer than 1 sample.
    """
    if not len(mean) or num_samples < 1:
        raise ValueError(
            f"a rate needs encodings and samples; got {len(mean)} of the one and {num_samples} "
            "of the other"
        )
    mean, log_var = (part.detach().to("cpu", torch.float64) for part in (mean, log_var))
    aggregate, zeros = AggregatePosterior(mean, log_var), torch.zeros_like(mean)
    kl_per_dim = gaussian_kl(mean, log_var)
    kl = kl_per_dim.sum(1)
    information, noise = torch.zeros_like(kl), torch.zeros_like(kl)
    together = spread = 0.0  # of single draws: averages over many would drown in the images'
    for _ in range(num_samples):
        draw = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        latents = mean + (0.5 * log_var).exp() * draw
        own = gaussian_log_prob(latents, mean, log_var)
        pointwise = own - aggregate.log_prob(latents)
        strayed = own - gaussian_log_prob(latents, zeros, zeros) - kl
        together += ((pointwise - pointwise.mean()) @ strayed).item()
        spread += strayed.square().sum().item()
        information += pointwise / num_samples
        noise += strayed / num_samples
    slope = together / spread if spread else 0.0
    sharpened = information - slope * noise
    mutual_information = sharpened.mean().item()
    # What is left of the other part, kl - information, once its own noise is gone.
    errors = [_standard_error(part) for part in (sharpened, kl - sharpened)]
    return RateSplit(
        kl=kl.mean().item(),
        kl_per_dim=kl_per_dim.mean(0),
        mutual_information=mutual_information,
        marginal_kl=kl.mean().item() - mutual_information,
        standard_error=max(errors),
        cap=math.log(len(mean)),
        drawn_sum=(kl + noise).mean().item(),
        drawn_error=_standard_error(noise),
        num_images=len(mean),
    )


def _standard_error(values: Tensor) -> float:
    """Of the mean of independent values."""
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else 0.0
