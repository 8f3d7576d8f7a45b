"""Kinds of posterior p(z|x): what the outputs of an encoder say of codes.

Each has no weights of its own. `outputs` are an encoder's, `(B, width)`; codes are `(..., B, d)`,
and noise, which `noise` draws, comes from outside, so that it can be given, too.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .bounds import gaussian_kl, gaussian_log_prob
from .configuration_vae import VAEConfig
from .importance import LOG_VARIANCE_RANGE, standard_normal
from .samplers import normal, uniform
from .von_mises_fisher import (
    around,
    draw_cosines,
    draw_uniform,
    kl_to_uniform,
    log_constant,
    log_uniform,
)

Noise = tuple[Tensor, ...]


class Posterior:
    """Base: the promises of every kind; each has a prior that knows nothing, its own."""

    has_density = True  # whether `log_prob` and `prior_log_prob` say how likely codes are
    has_spread = True  # whether draws from its prior may be drawn closer together

    def __init__(self, config: VAEConfig) -> None:
        self.size = config.latent_size

    @staticmethod
    def width(config: VAEConfig) -> int:
        """Number of the encoder's outputs for an image."""
        return config.latent_size

    def code(self, outputs: Tensor) -> Tensor:
        """The mean code, `(B, d)`."""
        raise NotImplementedError

    def noise(
        self,
        outputs: Tensor,
        generator: torch.Generator | None = None,
        draws: tuple[int, ...] = (),
    ) -> Noise:
        """What `sample` needs of chance for one code each, or `(K,)` draws of it."""
        raise NotImplementedError

    def sample(self, outputs: Tensor, noise: Noise) -> Tensor:
        """Codes of given noise, with gradient to the outputs."""
        raise NotImplementedError

    def kl(self, outputs: Tensor) -> Tensor:
        """KL to the own prior in nats, `(B, terms)`, to be summed over terms."""
        raise NotImplementedError

    def log_prob(self, outputs: Tensor, latents: Tensor) -> Tensor:
        """Log-density of codes in nats, `(..., B)`."""
        raise NotImplementedError

    def prior_log_prob(self, latents: Tensor) -> Tensor:
        """Log-density of the own prior in nats, `(..., B)`."""
        raise NotImplementedError

    def draw_prior(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """Codes of the own prior, `(N, d)`, on the generator's device."""
        raise NotImplementedError


class Gaussian(Posterior):
    """Diagonal Gaussians; outputs are means, then log-variances or log standard deviations."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.factor = 2 if config.posterior_scale == "log_standard_deviation" else 1

    @staticmethod
    def width(config: VAEConfig) -> int:
        return 2 * config.latent_size

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, each `(B, d)`, the latter in a range that exp survives.

        Raises:
            ValueError: the encoder, a converted part, gives no more than means.
        """
        if outputs.shape[-1] == self.size:
            raise ValueError(
                "this encoder gives means alone, so codes have no distribution: use encode, "
                "decode and reconstruct"
            )
        mean, scale = outputs.chunk(2, dim=-1)
        return mean, (scale * self.factor).clamp(*LOG_VARIANCE_RANGE)

    def code(self, outputs: Tensor) -> Tensor:
        return outputs[..., : self.size]

    def noise(
        self,
        outputs: Tensor,
        generator: torch.Generator | None = None,
        draws: tuple[int, ...] = (),
    ) -> Noise:
        mean = self.code(outputs)
        return (standard_normal((*draws, *mean.shape), mean, generator),)

    def sample(self, outputs: Tensor, noise: Noise) -> Tensor:
        mean, log_var = self.moments(outputs)
        return mean + (0.5 * log_var).exp() * noise[0]

    def kl(self, outputs: Tensor) -> Tensor:
        return gaussian_kl(*self.moments(outputs))

    def log_prob(self, outputs: Tensor, latents: Tensor) -> Tensor:
        return gaussian_log_prob(latents, *self.moments(outputs))

    def prior_log_prob(self, latents: Tensor) -> Tensor:
        zeros = torch.zeros_like(latents)
        return gaussian_log_prob(latents, zeros, zeros)

    def draw_prior(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        return temperature * normal((num_samples, self.size), generator)


class VonMisesFisher(Posterior):
    """Unit vectors around a direction, all with the concentration of the settings.

    Its prior is uniform on the sphere, and its KL to it a constant.
    """

    has_spread = False

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.concentration = float(config.concentration)
        self.constant_kl = kl_to_uniform(self.size, self.concentration)
        self.log_constant = log_constant(self.size, self.concentration)

    def code(self, outputs: Tensor) -> Tensor:
        return functional.normalize(outputs, dim=-1, eps=1e-6)

    def noise(
        self,
        outputs: Tensor,
        generator: torch.Generator | None = None,
        draws: tuple[int, ...] = (),
    ) -> Noise:
        """Cosines `(..., B, 1)` of the angles to the mean, and normal numbers `(..., B, d)`."""
        shape = (*draws, *outputs.shape)
        cosines = draw_cosines((*shape[:-1], 1), self.size, self.concentration, generator)
        return cosines.to(outputs), standard_normal(shape, outputs, generator)

    def sample(self, outputs: Tensor, noise: Noise) -> Tensor:
        return around(self.code(outputs), *noise)

    def kl(self, outputs: Tensor) -> Tensor:
        return outputs.new_full((outputs.shape[0], 1), self.constant_kl)

    def log_prob(self, outputs: Tensor, latents: Tensor) -> Tensor:
        cosines = (self.code(outputs) * latents).sum(-1)
        return self.log_constant + self.concentration * cosines

    def prior_log_prob(self, latents: Tensor) -> Tensor:
        return latents.new_full(latents.shape[:-1], log_uniform(self.size))

    def draw_prior(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        return draw_uniform((num_samples, self.size), generator)


class GumbelSoftmax(Posterior):
    r"""Several choices among classes, relaxed (Jang et al., arXiv:1611.01144).

    Outputs are logits; a code is one vector of class weights behind the other, a sample
    :math:`\mathrm{softmax}((l + g) / \tau)` each, with Gumbel noise g. The KL is that of the
    choices, unrelaxed, to uniform ones, of which the prior draws.
    """

    has_density = False
    has_spread = False
    tiny = 1e-7  # keeps the logarithms of the noise finite

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.choices = config.num_choices
        self.shape = (config.latent_size // config.num_choices, config.num_choices)
        self.temperature = float(config.relaxation)

    def logits(self, outputs: Tensor) -> Tensor:
        """Of every choice, `(B, latents, classes)`."""
        logits: Tensor = outputs.unflatten(-1, self.shape)
        return logits

    def code(self, outputs: Tensor) -> Tensor:
        return self.logits(outputs).softmax(-1).flatten(-2)

    def noise(
        self,
        outputs: Tensor,
        generator: torch.Generator | None = None,
        draws: tuple[int, ...] = (),
    ) -> Noise:
        """Uniform numbers `(..., B, latents, classes)`."""
        shape = (*draws, *outputs.shape[:-1], *self.shape)
        return (uniform(shape, generator, outputs.device).to(outputs),)

    def sample(self, outputs: Tensor, noise: Noise) -> Tensor:
        gumbel = -(self.tiny - (noise[0] + self.tiny).log()).log()
        relaxed: Tensor = ((self.logits(outputs) + gumbel) / self.temperature).softmax(-1)
        return relaxed.flatten(-2)

    def kl(self, outputs: Tensor) -> Tensor:
        log_chances = self.logits(outputs).log_softmax(-1)
        entropies: Tensor = -(log_chances.exp() * log_chances).sum(-1)
        return math.log(self.choices) - entropies

    def draw_prior(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        device = "cpu" if generator is None else generator.device
        shape = (num_samples, self.shape[0])
        chosen = torch.randint(self.choices, shape, generator=generator, device=device)
        return functional.one_hot(chosen, self.choices).flatten(1).float()


POSTERIORS: dict[str, type[Posterior]] = {
    "gaussian": Gaussian,
    "von_mises_fisher": VonMisesFisher,
    "gumbel_softmax": GumbelSoftmax,
}
