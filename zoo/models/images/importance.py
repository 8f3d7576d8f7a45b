"""Log-likelihoods by importance sampling, for every model that proposes codes for an image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .bounds import Estimate, ImportanceWeightedBound
from .modeling_autoencoder import DECODE_BATCH, AutoencoderModel
from .modeling_image import random_generator
from .networks import apply_network
from .samplers import normal

ADDED_AT_ONCE = 32  # chunks of log-weights: adding up each alone costs a tenth of a small decoder
LOG_VARIANCE_RANGE = (-10.0, 10.0)

#: `draw(num_samples, generator)` gives codes `(K, B, s)` for `decode_draws`, and log q(z) minus
#: log p(z|x) of each, `(K, B)`, in nats.
Proposal = Callable[[int, torch.Generator | None], tuple[Tensor, Tensor]]


def standard_normal(
    shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """N(0, 1) in the type and on the device of `like`, drawn on the generator's device."""
    return normal(shape, generator, like.device).to(like)


def reparametrize(
    mean: Tensor, log_var: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """A sample of N(mean, exp(log_var)) with gradient to both; drawn on the generator's device."""
    return mean + (0.5 * log_var).exp() * standard_normal(mean.shape, mean, generator)


def mean_and_log_var(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of a network's output, the log-variance kept in a range that exp survives."""
    mean, log_var = outputs.chunk(2, dim=-1)
    return mean, log_var.clamp(*LOG_VARIANCE_RANGE)


def gaussian_proposal(mean: Tensor, log_var: Tensor) -> Proposal:
    """Samples of N(mean, exp(log_var)), both `(B, d)`, against the prior N(0, I)."""
    scale, log_scales = (0.5 * log_var).exp(), 0.5 * log_var.sum(-1)

    def draw(num_samples: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        noise = standard_normal((num_samples, *mean.shape), mean, generator)
        latents = torch.addcmul(mean, scale, noise)
        # The constants of the two densities cancel, and (z - mean) / scale is the noise itself.
        ratio = 0.5 * (noise.square().sum(-1) - latents.square().sum(-1)) + log_scales
        return latents, ratio

    return draw


class ImportanceModel(AutoencoderModel):
    """An autoencoder whose encoder is a distribution: bounds on log q(x) by sampling from it."""

    @property
    def gaussian_posterior(self) -> bool:
        """Whether p(z|x) is the diagonal Gaussian that `posterior` describes, and q(z) N(0, I)."""
        return True

    def propose(self, pixel_values: Tensor) -> Proposal:
        """Encode images once, ready to be sampled from; in the current mode."""
        raise NotImplementedError

    def decode_draws(self, latents: Tensor) -> Tensor:
        """The likelihood's parameters for codes `(N, s)` that a proposal drew."""
        return apply_network(self.decoder, latents)

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        raise NotImplementedError

    def estimate(
        self,
        pixel_values: Tensor,
        num_samples: int = 100,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Estimate:
        r"""Importance-weighted bound on the log-likelihood, and how far it can be trusted.

        .. math:: L_K = E \log \frac1K \sum_k \frac{q(x|z_k)\, q(z_k)}{p(z_k|x)}

        (Burda et al., arXiv:1509.00519). Encoded once and streamed: memory does not grow with K.

        Args:
            pixel_values: what the likelihood expects; two-valued for a Bernoulli.
            num_samples: K.
            seed: of the posterior samples; or a `generator`.
            generator: instead of a seed.

        Returns:
            Nats, each field of shape `(B,)`; see `Estimate`.

        Raises:
            ValueError: for fewer than one sample, images of another shape or range, or grey ones
                under a Bernoulli.
        """
        with self.inference():
            bound = ImportanceWeightedBound()
            draw = self.propose(pixel_values)
            self.likelihood.check_values(pixel_values)
            chunks = self._draws(
                draw, pixel_values, num_samples, random_generator(seed, generator)
            )
            pending: list[Tensor] = []
            for log_likelihood, log_ratio in chunks:
                pending.append(log_likelihood + log_ratio)
                if len(pending) == ADDED_AT_ONCE:
                    bound.update(torch.cat(pending))
                    pending.clear()
            if pending:
                bound.update(torch.cat(pending))
            return bound.estimate()

    def log_prob(
        self,
        pixel_values: Tensor,
        num_samples: int = 100,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The bound alone, in nats, shape `(B,)`; arguments and errors as in `estimate`."""
        return self.estimate(pixel_values, num_samples, seed=seed, generator=generator).log_prob

    def elbo(
        self,
        pixel_values: Tensor,
        num_samples: int = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Evidence lower bound, in nats, shape `(B,)`; arguments and errors as in `estimate`."""
        return self.estimate(pixel_values, num_samples, seed=seed, generator=generator).elbo

    def _draws(
        self,
        draw: Proposal,
        pixel_values: Tensor,
        num_samples: int,
        generator: torch.Generator | None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield log q(x|z) and log q(z) - log p(z|x), both `(samples, B)`, chunk by chunk."""
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        at_once = max(1, DECODE_BATCH // max(1, len(pixel_values)))
        for start in range(0, num_samples, at_once):
            count = min(at_once, num_samples - start)
            latents, log_ratio = draw(count, generator)
            params = self.decode_draws(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
            yield self.likelihood.log_prob(params, pixel_values), log_ratio
