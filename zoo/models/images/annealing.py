r"""Annealed importance sampling of log q(x) with Hamiltonian Monte Carlo.

A chain goes from the prior to the posterior through :math:`f_t(z) = q(z)\, q(x|z)^{\beta_t}` and
gathers :math:`\log w = \sum_t (\beta_t - \beta_{t-1}) \log q(x|z_{t-1})`; the logarithm of the
mean weight is on average a lower bound on log q(x) (Neal, 2001; Wu et al., arXiv:1611.04273). It
needs the decoder alone, so it judges every model whose codes have the prior N(0, I), the quality
of an encoder notwithstanding.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .bounds import ImportanceWeightedBound
from .hamiltonian import Chains, check_count, temperatures
from .importance import standard_normal
from .modeling_autoencoder import DECODE_BATCH, AutoencoderModel
from .modeling_image import random_generator
from .networks import apply_network


class AnnealedEstimate(NamedTuple):
    """Estimates of log q(x) from annealed chains, each of shape `(B,)`.

    Attributes:
        log_prob: nats; a lower bound on average.
        standard_error: of log_prob over the chains, nats.
        effective_sample_size: of the chains, from 1 to their number.
        acceptance: share of the proposals accepted; the target is 0.65.
    """

    log_prob: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    acceptance: Tensor


class BidirectionalGap(NamedTuple):
    """Bounds on log q(x) from both sides for images that the model made, each `(B,)`, in nats.

    Attributes:
        lower: from the prior to the posterior, as for any image.
        upper: from the code that made the image, an exact sample of the posterior, to the prior.
        acceptance: share of the proposals accepted, forwards and backwards.
    """

    lower: Tensor
    upper: Tensor
    acceptance: Tensor

    @property
    def gap(self) -> Tensor:
        """Upper minus lower bound, in nats; the error of either is below it on average."""
        return self.upper - self.lower


def _log_likelihood(model: AutoencoderModel, pixel_values: Tensor) -> Callable[[Tensor], Tensor]:
    """The value of log q(x|z), `(C, B)`, of codes `(C, B, d)`."""

    def log_prob(latents: Tensor) -> Tensor:
        params = apply_network(model.decoder, latents.flatten(0, 1))
        params = params.unflatten(0, latents.shape[:2])
        return model.likelihood.log_prob(params, pixel_values)

    return log_prob


def annealed_log_prob(
    model: AutoencoderModel,
    pixel_values: Tensor,
    *,
    num_temperatures: int = 1000,
    num_chains: int = 16,
    seed: int | None = None,
    generator: torch.Generator | None = None,
) -> AnnealedEstimate:
    """Estimate log q(x) by annealed importance sampling; see the module's docstring.

    Costs `num_temperatures * num_chains * 10` decoder passes, forwards and back, an image.

    Args:
        model: an autoencoder whose codes have the prior N(0, I).
        pixel_values: what the likelihood expects, `(B, C, H, W)`; two-valued for a Bernoulli.
        num_temperatures: T; the bound rises with it.
        num_chains: C, for each image.
        seed: of all random numbers; or a `generator`.
        generator: in place of a seed.

    Raises:
        ValueError: for a number below 1, images of another shape or range, grey ones under a
            Bernoulli, or a model with another prior.
    """
    check_count("num_chains", num_chains)
    _check_prior(model)
    betas = temperatures(num_temperatures)
    generator = random_generator(seed, generator)
    found = []
    with model.inference():
        model.check_pixel_values(pixel_values)
        model.likelihood.check_values(pixel_values)
        for images in pixel_values.split(max(1, DECODE_BATCH // num_chains)):
            shape = (num_chains, len(images), model.config.latent_size)
            latents = standard_normal(shape, images, generator)
            chains = Chains(_log_likelihood(model, images), latents, generator)
            bound = ImportanceWeightedBound()
            bound.update(chains.anneal(betas))
            estimate = bound.estimate()
            found.append(
                AnnealedEstimate(
                    estimate.log_prob.to(images),
                    estimate.standard_error.to(images),
                    estimate.effective_sample_size.to(images),
                    chains.acceptance,
                )
            )
    return AnnealedEstimate(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def bidirectional_gap(
    model: AutoencoderModel,
    num_images: int,
    *,
    num_temperatures: int = 1000,
    num_chains: int = 16,
    seed: int | None = None,
    generator: torch.Generator | None = None,
) -> BidirectionalGap:
    """Bound log q(x) from both sides on images that the model draws (Grosse et al., 1511.02543).

    Says how far annealed importance sampling with these settings can be trusted on images such
    as the model makes; arguments and errors are those of `annealed_log_prob`.
    """
    check_count("num_images", num_images)
    check_count("num_chains", num_chains)
    _check_prior(model)
    betas = temperatures(num_temperatures)
    generator = random_generator(seed, generator)
    like = next(model.parameters())
    found = []
    for count in _split(num_images, max(1, DECODE_BATCH // num_chains)):
        with model.inference():
            codes = standard_normal((count, model.config.latent_size), like, generator)
            images = model.likelihood.simulate(model.decoder(codes).cpu(), generator).to(like)
            start = codes.expand(num_chains, *codes.shape)
            back = Chains(_log_likelihood(model, images), start, generator)
            back.move(1.0)  # away from the code that made the image, within the posterior
            reverse = ImportanceWeightedBound()
            reverse.update(back.anneal(betas.flip(0)))
            forth = Chains(
                _log_likelihood(model, images),
                standard_normal(start.shape, like, generator),
                generator,
            )
            forward = ImportanceWeightedBound()
            forward.update(forth.anneal(betas))
        acceptance = 0.5 * (back.acceptance + forth.acceptance)
        found.append((forward.value().to(like), -reverse.value().to(like), acceptance))
    return BidirectionalGap(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _check_prior(model: AutoencoderModel) -> None:
    """Raise `ValueError` unless chains can start from N(0, I)."""
    if not model.standard_prior:
        raise ValueError(
            "annealed importance sampling starts from codes of N(0, I), which are not the prior "
            "of this model; importance sampling takes any prior that has a density"
        )


def _split(total: int, max_part: int) -> list[int]:
    """A number as a sum of parts with a maximum."""
    whole, rest = divmod(total, max_part)
    return [max_part] * whole + [rest] * bool(rest)
