"""Denoising density estimators: a smoothed log-density, and a generator trained against two."""

import copy
from functools import partial

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_dde import DDEConfig
from .energies import EnergyOutput, denoising_errors
from .energy_networks import GENERATORS, LogDensity, ZeroLinear
from .energy_sampling import CHAINS, SamplingEnergyModel
from .importance import standard_normal


class DDEModel(SamplingEnergyModel):
    r"""Denoising density estimator (Bigdeli et al., arXiv:2001.02728).

    A scalar network s learns the log-density of the data smoothed by
    :math:`N(0, \sigma^2 I)`, up to a constant, by denoising:

    .. math:: \min_s \tfrac12 E \| \tilde x + \sigma^2 \nabla s(\tilde x) - x \|^2

    With a generator G, a second network :math:`s_q` learns that of G's draws, and every
    `generator_interval` steps G goes down the Kullback-Leibler divergence of the two smoothed
    densities, :math:`E[s_q(G(z) + \eta) - s(G(z) + \eta)]`. There the densities are frozen, and
    in their own losses the generator is; so one backward serves all, and gradients never mix. The
    generator's term adds its gradient and no value to the loss, since the constants of the two
    densities are arbitrary.

    What draws and scores needs no :math:`s_q`: `leave_training` drops it from a model to be kept,
    and `return_to_training` makes one again.
    """

    config_class = DDEConfig
    updates: Tensor

    @classmethod
    def can_generate(cls) -> bool:
        """No texts: transformers takes any `generate` of a model's own code for theirs."""
        return False

    def __init__(self, config: DDEConfig) -> None:
        super().__init__(config)
        self.density = LogDensity(config)
        if config.generator != "none":
            if config.generator_density:
                self.generator_density = LogDensity(config)
            self.generator = GENERATORS[config.generator](config)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ZeroLinear):
            init.zeros_(module.weight)

    @property
    def has_generator(self) -> bool:
        """Whether samples come from a generator."""
        return bool(self.config.generator != "none")

    def leave_training(self) -> None:
        """Drop the generator's own density, for good; called once before a model is exported."""
        if self.has_generator and self.config.generator_density:
            del self.generator_density
            self.config.generator_density = False

    def return_to_training(self) -> None:
        """Give the generator a density of its own again, to be called before an optimizer is made.

        It starts as a copy of the data's density, which the generator was trained to match.
        """
        if self.has_generator and not self.config.generator_density:
            self.generator_density = copy.deepcopy(self.density)
            self.config.generator_density = True

    @property
    def noise_level(self) -> float:
        return float(self.config.sigma)

    @property
    def samplers(self) -> tuple[str, ...]:
        return ("generator", *CHAINS) if self.has_generator else CHAINS

    def raw_log_density(self, x: Tensor) -> Tensor:
        value: Tensor = self.density(x)
        return value

    def generate(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """Draws of the generator, `(N, ...)`, with gradient; its noise times the temperature."""
        shape = (num_samples, self.config.latent_size)
        noise = temperature * standard_normal(shape, self._like(), generator)
        made: Tensor = self.generator(noise)
        return made

    def training_sigma(self) -> float:
        """Noise of the next training step: from initial_sigma down to sigma, geometrically."""
        config = self.config
        if config.initial_sigma is None:
            return float(config.sigma)
        share = min(1.0, int(self.updates) / max(config.sigma_steps, 1))
        return float(config.initial_sigma * (config.sigma / config.initial_sigma) ** share)

    def forward(
        self, pixel_values: Tensor, return_loss: bool = True, noise: Tensor | None = None
    ) -> EnergyOutput:
        """Losses of a batch of clean data, or its log-densities without `return_loss`.

        Without the generator's own density the loss is the data density's alone.

        Args:
            pixel_values: images `(B, C, H, W)` in [0, 1], or vectors `(B, d)`.
            return_loss: train, or only look.
            noise: standard normal numbers added to the data, times sigma; drawn if None.

        Raises:
            ValueError: a generator is to be trained without a density of its own.
        """
        self.check_pixel_values(pixel_values)
        batch = pixel_values.shape[0]
        matched = self.has_generator and self.config.generator_density
        if return_loss and self.training and self.has_generator and not matched:
            raise ValueError(
                "generator_density is false: the generator's own density, without which it cannot "
                "be trained, was left out of the exported model; call return_to_training() "
                "before making the optimizer"
            )
        if not return_loss:
            samples = self.generate(batch, 1.0, None) if self.has_generator else None
            return EnergyOutput(log_density=self.log_density(pixel_values), samples=samples)
        sigma = self.training_sigma() if self.training else self.noise_level
        if self.training:
            self.updates += 1
            self.constant_samples.zero_()  # log Z is that of weights about to change
        shape = pixel_values.shape
        if noise is None:
            noise = standard_normal(shape, pixel_values, None)
        density = partial(self.density, sigma=sigma)
        errors = denoising_errors(density, pixel_values, noise, sigma, sigma**2)
        loss = density_loss = 0.5 * errors.mean()
        if not matched:
            return EnergyOutput(loss=loss, density_loss=density_loss)
        turn = self.training and int(self.updates) % self.config.generator_interval == 0
        with torch.set_grad_enabled(turn and torch.is_grad_enabled()):
            samples = self.generate(batch, 1.0, None)
        fake_noise = standard_normal(shape, pixel_values, None)
        fakes = samples.detach()
        density = partial(self.generator_density, sigma=sigma)
        errors = denoising_errors(density, fakes, fake_noise, sigma, sigma**2)
        generator_density_loss = 0.5 * errors.mean()
        loss = loss + generator_density_loss
        if turn:
            loss = loss + self._generator_step(samples, fakes + sigma * fake_noise, sigma)
        divergence = None
        if not self.training:
            with torch.no_grad():
                of_data = self._log_ratio(pixel_values + sigma * noise, sigma)
                divergence = (self._log_ratio(fakes + sigma * fake_noise, sigma) - of_data).mean()
        return EnergyOutput(
            loss=loss,
            density_loss=density_loss,
            generator_density_loss=generator_density_loss,
            divergence=divergence,
        )

    def _log_ratio(self, x: Tensor, sigma: float) -> Tensor:
        ratio: Tensor = self.generator_density(x, sigma) - self.density(x, sigma)
        return ratio

    def _generator_step(self, samples: Tensor, noisy: Tensor, sigma: float) -> Tensor:
        """Zero, whose gradient by the generator is that of the divergence."""
        with torch.enable_grad():
            noisy = noisy.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._log_ratio(noisy, sigma).sum(), noisy)
        pulled = (samples * gradient).flatten(1).sum(1).mean()
        return pulled - pulled.detach()
