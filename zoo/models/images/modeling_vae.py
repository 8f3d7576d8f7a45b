"""Variational autoencoder and its bounds on the log-likelihood."""

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .aggregate import RateSplit, rate_split
from .bounds import gaussian_kl
from .configuration_vae import VAEConfig
from .importance import (
    ImportanceModel,
    Proposal,
    gaussian_proposal,
    mean_and_log_var,
    standard_normal,
)
from .modeling_autoencoder import DECODE_BATCH, AutoencoderOutput
from .modeling_image import random_generator


def reparametrize(
    mean: Tensor, log_var: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """A sample of N(mean, exp(log_var)) with gradient to both; drawn on the generator's device."""
    return mean + (0.5 * log_var).exp() * standard_normal(mean.shape, mean, generator)


class VAEModel(ImportanceModel):
    r"""Variational autoencoder (Kingma and Welling, arXiv:1312.6114).

    .. math:: L = E_{z \sim p(z|x)}[-\log q(x|z)] + \beta \, KL(p(z|x) \,\|\, N(0, I))

    with p the encoder and q the decoder; both terms are summed over dimensions and averaged over
    the batch. During the warm-up the weight of the KL rises linearly with the number of training
    forward passes, which is kept as a buffer so that a resumed run goes on where it stopped.
    """

    config_class = VAEConfig
    outputs_per_latent = 2
    updates: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.updates)

    def posterior(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of p(z|x), each of shape `(B, d)`, float32, in the current mode.

        With gradient where it is asked for; see `gradient_if_asked`.
        """
        with self.gradient_if_asked(pixel_values):
            return self._posterior(pixel_values)

    def _posterior(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        outputs = super()._encode(pixel_values)
        if outputs.shape[1] == self.config.latent_size:
            raise ValueError(
                "this encoder gives means alone, so codes have no distribution: use encode, "
                "decode and reconstruct"
            )
        return mean_and_log_var(outputs)

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Posterior means, shape `(B, d)`; `posterior` gives the variances too."""
        return super()._encode(pixel_values)[:, : self.config.latent_size]

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """One sample of each posterior, shape `(B, d)`."""
        with self.gradient_if_asked(pixel_values):
            return reparametrize(*self._posterior(pixel_values), generator)

    def forward(self, pixel_values: Tensor, return_loss: bool = True) -> AutoencoderOutput:
        """Reconstruct a batch from one posterior sample each; see `AutoencoderOutput`."""
        mean, log_var = self._posterior(pixel_values)
        latents = reparametrize(mean, log_var)
        reconstruction, reconstruction_loss = self._reconstruction(latents, pixel_values)
        kl = gaussian_kl(mean, log_var).mean(0)
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

    def propose(self, pixel_values: Tensor) -> Proposal:
        return gaussian_proposal(*self._posterior(pixel_values))

    def elbo(
        self,
        pixel_values: Tensor,
        num_samples: int = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Evidence lower bound with the analytic KL, in nats, shape `(B,)`.

        Args:
            pixel_values: what the likelihood expects; two-valued for a Bernoulli.
            num_samples: posterior samples averaged over.
            seed: of the posterior samples; or a `generator`.
            generator: instead of a seed.

        Raises:
            ValueError: as `estimate`.
        """
        with self.inference():
            mean, log_var = self.posterior(pixel_values)
            self.likelihood.check_values(pixel_values)
            total = torch.zeros_like(mean[:, 0])
            for log_likelihood, _ in self._draws(
                gaussian_proposal(mean, log_var), pixel_values, num_samples,
                random_generator(seed, generator),
            ):  # fmt: skip
                total += log_likelihood.sum(0)
            return total / num_samples - gaussian_kl(mean, log_var).sum(1)

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
        """
        with self.inference():
            found = [
                tuple(part.cpu() for part in self.posterior(chunk.to(self.device)))
                for chunk in pixel_values.split(DECODE_BATCH)
            ]
            mean, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
            return rate_split(mean, log_var, num_samples, random_generator(seed, generator))
