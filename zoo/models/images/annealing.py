r"""Annealed importance sampling of log q(x) with Hamiltonian Monte Carlo.

A chain goes from the prior to the posterior through :math:`f_t(z) = q(z)\, q(x|z)^{\beta_t}` and
gathers :math:`\log w = \sum_t (\beta_t - \beta_{t-1}) \log q(x|z_{t-1})`; the logarithm of the
mean weight is on average a lower bound on log q(x) (Neal, 2001; Wu et al., arXiv:1611.04273). It
needs the decoder alone, so it judges every model whose codes have the prior N(0, I), the quality
of an encoder notwithstanding.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .bounds import ImportanceWeightedBound
from .importance import standard_normal
from .modeling_autoencoder import DECODE_BATCH, AutoencoderModel, random_generator

LEAPFROG_STEPS = 10
TARGET_ACCEPTANCE = 0.65
FIRST_STEP, MIN_STEP, MAX_STEP = 0.3, 1e-4, 0.5
GAIN = 0.3  # of the logarithm of the step size, per share accepted above the target
JITTER = 0.3  # share by which a step varies, so that no trajectory is periodic
STEEPNESS = 4.0  # of the sigmoid that spaces the temperatures


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


def _check_count(name: str, value: int) -> None:
    """Raise `ValueError` for a number below 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def temperatures(count: int) -> Tensor:
    """Inverse temperatures from 0 to 1, `(count + 1,)`, densest at both ends.

    Example:
        >>> temperatures(4)
        tensor([0.0000, 0.1050, 0.5000, 0.8950, 1.0000])
    """
    _check_count("num_temperatures", count)
    ramp = torch.sigmoid(torch.linspace(-STEEPNESS, STEEPNESS, count + 1, dtype=torch.float64))
    return ((ramp - ramp[0]) / (ramp[-1] - ramp[0])).float()


class _Chains:
    """Codes of C chains for each of B images, moved by Hamiltonian Monte Carlo."""

    def __init__(
        self,
        model: AutoencoderModel,
        pixel_values: Tensor,
        latents: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        self.model, self.pixel_values, self.generator = model, pixel_values, generator
        self.latents = latents  # (C, B, d)
        self.log_likelihood, self.gradient = self.evaluate(latents)
        self.step = torch.full(latents.shape[1:2], FIRST_STEP).to(latents)  # one per image
        self.accepted, self.transitions = torch.zeros_like(self.step), 0

    def evaluate(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The value of log q(x|z), `(C, B)`, and its gradient by z."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            params = self.model.decoder(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
            log_likelihood = self.model.likelihood.log_prob(params, self.pixel_values)
            (gradient,) = torch.autograd.grad(log_likelihood.sum(), latents)
        return log_likelihood.detach(), gradient

    def energy(self, latents: Tensor, log_likelihood: Tensor, beta: float) -> Tensor:
        """Minus log f_t up to a constant, `(C, B)`."""
        return 0.5 * latents.square().sum(-1) - beta * log_likelihood

    def move(self, beta: float) -> None:
        """One transition that leaves f_t invariant; the step size then follows its success.

        The step is common to an image's chains, and set by transitions before this one.
        """
        step = (self.step * (1 + JITTER * (2 * self.uniform(self.step.shape) - 1)))[:, None]
        start = standard_normal(self.latents.shape, self.latents, self.generator)
        latents, gradient = self.latents, self.gradient
        momentum = start + 0.5 * step * (beta * gradient - latents)
        for leap in range(LEAPFROG_STEPS):
            latents = latents + step * momentum
            log_likelihood, gradient = self.evaluate(latents)
            share = 1.0 if leap < LEAPFROG_STEPS - 1 else 0.5
            momentum = momentum + share * step * (beta * gradient - latents)
        before = self.energy(self.latents, self.log_likelihood, beta)
        before = before + 0.5 * start.square().sum(-1)
        after = self.energy(latents, log_likelihood, beta) + 0.5 * momentum.square().sum(-1)
        chance = (before - after).clamp(max=0).exp().nan_to_num(0)
        taken = self.uniform(chance.shape) < chance
        self.latents = torch.where(taken[..., None], latents, self.latents)
        self.gradient = torch.where(taken[..., None], gradient, self.gradient)
        self.log_likelihood = torch.where(taken, log_likelihood, self.log_likelihood)
        rate = chance.mean(0)
        self.accepted += rate
        self.transitions += 1
        grown = self.step * (GAIN * (rate - TARGET_ACCEPTANCE)).exp()
        self.step = grown.clamp(MIN_STEP, MAX_STEP)

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Numbers in [0, 1), drawn on the generator's device."""
        device = self.latents.device if self.generator is None else self.generator.device
        return torch.rand(shape, generator=self.generator, device=device).to(self.latents)

    def anneal(self, betas: Tensor) -> Tensor:
        """Log-weights `(C, B)` of a walk through inverse temperatures, including the first one's.

        The chains must be distributed as f of the first; there is no transition at the last,
        whose codes no weight would use.
        """
        steps = betas.double().diff().tolist()
        total = torch.zeros_like(self.log_likelihood, dtype=torch.float64)
        for place, difference in enumerate(steps):
            total += difference * self.log_likelihood.double()
            if place + 1 < len(steps):
                self.move(float(betas[place + 1]))
        return total

    @property
    def acceptance(self) -> Tensor:
        """Mean acceptance, `(B,)`; NaN if nothing was proposed."""
        return self.accepted / self.transitions if self.transitions else self.accepted / 0


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
        model: any autoencoder; its codes are taken to have the prior N(0, I).
        pixel_values: what the likelihood expects, `(B, C, H, W)`; two-valued for a Bernoulli.
        num_temperatures: T; the bound rises with it.
        num_chains: C, for each image.
        seed: of all random numbers; or a `generator`.
        generator: in place of a seed.

    Raises:
        ValueError: for a number below 1, or images of another shape or range.
    """
    _check_count("num_chains", num_chains)
    betas = temperatures(num_temperatures)
    generator = random_generator(seed, generator)
    found = []
    with model.inference():
        model.check_pixel_values(pixel_values)
        for images in pixel_values.split(max(1, DECODE_BATCH // num_chains)):
            shape = (num_chains, len(images), model.config.latent_size)
            latents = standard_normal(shape, images, generator)
            chains = _Chains(model, images, latents, generator)
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
    _check_count("num_images", num_images)
    _check_count("num_chains", num_chains)
    betas = temperatures(num_temperatures)
    generator = random_generator(seed, generator)
    like = next(model.parameters())
    found = []
    for count in _split(num_images, max(1, DECODE_BATCH // num_chains)):
        with model.inference():
            codes = standard_normal((count, model.config.latent_size), like, generator)
            images = model.likelihood.simulate(model.decoder(codes).cpu(), generator).to(like)
            start = codes.expand(num_chains, *codes.shape)
            back = _Chains(model, images, start, generator)
            back.move(1.0)  # away from the code that made the image, within the posterior
            reverse = ImportanceWeightedBound()
            reverse.update(back.anneal(betas.flip(0)))
            forth = _Chains(
                model, images, standard_normal(start.shape, like, generator), generator
            )
            forward = ImportanceWeightedBound()
            forward.update(forth.anneal(betas))
        acceptance = 0.5 * (back.acceptance + forth.acceptance)
        found.append((forward.value().to(like), -reverse.value().to(like), acceptance))
    return BidirectionalGap(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _split(total: int, most: int) -> list[int]:
    """A number as a sum of parts with a maximum."""
    whole, rest = divmod(total, most)
    return [most] * whole + [rest] * bool(rest)
