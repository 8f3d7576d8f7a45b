"""Variational autoencoder and its bounds on the log-likelihood."""

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .aggregate import RateSplit, rate_split
from .configuration_image import AutoencoderConfig
from .configuration_vae import VAEConfig
from .importance import ImportanceModel, Proposal, gaussian_proposal
from .modeling_autoencoder import DECODE_BATCH, AutoencoderOutput
from .modeling_image import random_generator
from .posteriors import POSTERIORS, Gaussian, Noise
from .priors import PRIORS, Clusters, MeansOfLabels, StandardPrior
from .samplers import LatentSampler


class VAEModel(ImportanceModel):
    r"""Variational autoencoder (Kingma and Welling, arXiv:1312.6114).

    .. math:: L = E_{z \sim p(z|x)}[-\log q(x|z)] + \beta \, KL(p(z|x) \,\|\, q(z))

    with p the encoder and q the decoder; both terms are summed over dimensions and averaged over
    the batch. p(z|x) is one of `POSTERIORS` and q(z) one of `PRIORS`: N(m, s^2) and N(0, I) unless
    the config says otherwise. During the warm-up the weight of the KL rises linearly with the
    number of training forward passes, which is kept as a buffer so that a resumed run goes on
    where it stopped.
    """

    config: VAEConfig
    config_class = VAEConfig
    outputs_per_latent = 2
    prior: StandardPrior
    updates: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.family = POSTERIORS[config.posterior](config)
        self.prior = PRIORS[config.prior](config, self.family)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.updates)
        elif isinstance(module, MeansOfLabels):
            init.normal_(module.weight)

    def make_samplers(self, config: AutoencoderConfig) -> dict[str, nn.Module]:
        """No Gaussians where codes are directions or choices, of which they would draw none."""
        made = super().make_samplers(config)
        return made if POSTERIORS[self.config.posterior].has_spread else {"prior": made["prior"]}

    def encoder_width(self, config: AutoencoderConfig) -> int:
        """Number of the encoder's outputs, by the kind of posterior."""
        return POSTERIORS[self.config.posterior].width(self.config)

    @property
    def cannot(self) -> dict[str, str]:
        reasons = super().cannot
        config = self.config
        if not self.learns_labels:
            reasons["conditions"] = f"the prior of this model is {config.prior}, not class_means"
        if not isinstance(self.prior, Clusters):
            reasons["clusters"] = f"the prior of this model is {config.prior}, not clusters"
        if not self.family.has_density:
            reasons["bounds"] = f"the codes of this model ({config.posterior}) have no density"
        if not self.gaussian_posterior:
            reasons["compresses"] = (
                f"this model has the posterior {config.posterior} and the prior {config.prior}, "
                "and coding takes gaussian and standard"
            )
        return reasons

    @property
    def learns_labels(self) -> bool:
        return bool(self.config.prior == "class_means")

    @property
    def standard_prior(self) -> bool:
        return bool(self.config.posterior == "gaussian" and self.config.prior == "standard")

    @property
    def has_spread(self) -> bool:
        return self.family.has_spread

    @property
    def gaussian_posterior(self) -> bool:
        return self.standard_prior

    def posterior(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of a Gaussian p(z|x), each `(B, d)`, float32, in the current mode.

        With gradient where it is asked for; see `gradient_if_asked`.

        Raises:
            ValueError: the posterior is of another kind.
        """
        with self.gradient_if_asked(pixel_values):
            return self._moments(self._outputs(pixel_values))

    def _outputs(self, pixel_values: Tensor) -> Tensor:
        """What the encoder says of posteriors, with gradient."""
        return super()._encode(pixel_values)

    def _moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(self.family, Gaussian):
            raise ValueError(
                f"the posterior of this model is {self.config.posterior}, which has no log-"
                "variance; encode gives the mean codes, encode_sample samples"
            )
        return self.family.moments(outputs)

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Mean codes of posteriors, shape `(B, d)`."""
        return self.family.code(self._outputs(pixel_values))

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """One sample of each posterior, shape `(B, d)`."""
        with self.gradient_if_asked(pixel_values):
            outputs = self._outputs(pixel_values)
            return self.family.sample(outputs, self.family.noise(outputs, generator))

    def forward(
        self,
        pixel_values: Tensor,
        return_loss: bool = True,
        labels: Tensor | None = None,
        noise: Tensor | Noise | None = None,
    ) -> AutoencoderOutput:
        """Reconstruct a batch from one posterior sample each; see `AutoencoderOutput`.

        Args:
            pixel_values: images `(B, C, H, W)` in [0, 1].
            return_loss: whether to compute the loss.
            labels: of a prior of class means, `(B,)`; without them its KL is that to the mixture
                of all classes. Other priors read none.
            noise: what the sample is made of, in place of random numbers: normal numbers `(B, d)`
                of a Gaussian; cosines `(B, 1)` and normal numbers `(B, d)` of von Mises-Fisher;
                uniform numbers `(B, latents, classes)` of Gumbel-softmax.
        """
        outputs = self._outputs(pixel_values)
        if noise is None:
            noise = self.family.noise(outputs)
        latents = self.family.sample(outputs, (noise,) if isinstance(noise, Tensor) else noise)
        reconstruction, reconstruction_loss = self._reconstruction(latents, pixel_values)
        kl = self.prior.kl(outputs, latents, labels).mean(0)
        loss = None
        if return_loss:
            penalty = kl.clamp(min=self.config.free_bits).sum()
            loss = reconstruction_loss + self._kl_weight() * penalty
        return AutoencoderOutput(
            loss=loss,
            reconstruction_loss=reconstruction_loss,
            kl=kl.sum(),
            reconstruction=reconstruction,
            latents=latents,
        )

    def _kl_weight(self) -> Tensor | float:
        steps: int = self.config.kl_warmup_steps
        beta: float = self.config.beta
        if not (self.training and steps):
            return beta
        self.updates += 1
        return beta * (self.updates / steps).clamp(max=1)

    def distribution(self, sampler: str) -> LatentSampler:
        return self.prior if sampler == "prior" else super().distribution(sampler)

    def predict(self, pixel_values: Tensor) -> Tensor:
        """Clusters of images, those of their mean codes, `(B,)`; of the prior `clusters`.

        Raises:
            ValueError: the prior is another.
        """
        if not isinstance(self.prior, Clusters):
            raise ValueError(self.cannot["clusters"])
        with self.inference():
            return self.prior.assign(self.encode(pixel_values)).argmax(1)

    def propose(self, pixel_values: Tensor) -> Proposal:
        """Codes of the posteriors against the prior; one of class means or clusters is mixed.

        Raises:
            ValueError: codes have no density.
        """
        return self._proposal(self._outputs(pixel_values))

    def _proposal(self, outputs: Tensor) -> Proposal:
        """The same of the encoder's outputs."""
        if self.gaussian_posterior:
            return gaussian_proposal(*self._moments(outputs))
        if not self.family.has_density:
            raise ValueError(f"{self.cannot['bounds']}, so nothing bounds the log-likelihood")

        def draw(num_samples: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
            noise = self.family.noise(outputs, generator, (num_samples,))
            latents = self.family.sample(outputs, noise)
            ratio = self.prior.log_prob(latents) - self.family.log_prob(outputs, latents)
            return latents, ratio

        return draw

    def elbo(
        self,
        pixel_values: Tensor,
        num_samples: int = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Evidence lower bound, in nats, shape `(B,)`, with the analytic KL where there is one.

        A prior of class means or clusters is the mixture of them all: no label is read.

        Args:
            pixel_values: what the likelihood expects; two-valued for a Bernoulli.
            num_samples: posterior samples averaged over.
            seed: of the posterior samples; or a `generator`.
            generator: instead of a seed.

        Raises:
            ValueError: as `estimate`.
        """
        if self.config.prior != "standard":
            return super().elbo(pixel_values, num_samples, seed=seed, generator=generator)
        with self.inference():
            outputs = self._outputs(pixel_values)
            draw, kl = self._proposal(outputs), self.family.kl(outputs).sum(1)
            self.likelihood.check_values(pixel_values)
            total = torch.zeros_like(kl)
            for log_likelihood, _ in self._draws(
                draw, pixel_values, num_samples, random_generator(seed, generator)
            ):
                total += log_likelihood.sum(0)
            return total / num_samples - kl

    def rate_split(
        self,
        pixel_values: Tensor,
        num_samples: int = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> RateSplit:
        """Mean KL = index-code mutual information + marginal KL, in nats; see `RateSplit`.

        The KL that a VAE pays is the information of its codes on the images, plus the divergence
        of all codes together from the prior. Both depend on the number of images: give a whole
        split.

        Args:
            pixel_values: the data set, shape `(N, C, H, W)`; encoded in chunks.
            num_samples: posterior samples of each image.
            seed: of the posterior samples; or a `generator`.
            generator: instead of a seed; on the CPU.

        Raises:
            ValueError: posterior and prior are not N(m, s^2) and N(0, I).
        """
        if not self.standard_prior:
            raise ValueError(
                f"a rate splits for the posterior gaussian and the prior standard; this model has "
                f"{self.config.posterior} and {self.config.prior}"
            )
        with self.inference():
            found = [
                tuple(part.cpu() for part in self.posterior(chunk.to(self.device)))
                for chunk in pixel_values.split(DECODE_BATCH)
            ]
            mean, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
            return rate_split(mean, log_var, num_samples, random_generator(seed, generator))
