"""What all autoencoders share: images in, codes, images out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from .checks import one_of
from .configuration_image import AutoencoderConfig
from .interpolation import INTERPOLATIONS, check_path, interpolate_latents
from .layer_networks import Missing
from .likelihoods import LIKELIHOODS
from .modeling_image import GenaePreTrainedModel, random_generator
from .networks import DECODERS, ENCODERS, apply_network, check_network
from .samplers import SAMPLERS, LatentSampler, checked_labels

#: The networks, and what cannot be done without each.
PARTS = {
    "encoder": ("encodes", "reconstructs", "bounds", "compresses", "clusters"),
    "decoder": ("reconstructs", "samples", "bounds", "compresses"),
}
DECODE_BATCH = 256  # codes; limits the memory of sampling, and fits the caches of a CPU


@dataclass
class AutoencoderOutput(ModelOutput):
    """What an autoencoder's forward returns; losses are nats per image, averaged over a batch.

    Attributes:
        loss: what training minimises; None without `return_loss`.
        reconstruction_loss: minus the log-likelihood of the images given their codes.
        kl: from posterior to prior, summed over latent dimensions (VAE).
        entropy: of the batch of codes, estimated from nearest neighbours (EAE).
        reconstruction: expected images, shape `(B, C, H, W)`, in [0, 1].
        latents: the codes that were decoded, shape `(B, d)`.
    """

    loss: Tensor | None = None
    reconstruction_loss: Tensor | None = None
    kl: Tensor | None = None
    entropy: Tensor | None = None
    reconstruction: Tensor | None = None
    latents: Tensor | None = None


class AutoencoderModel(GenaePreTrainedModel):
    """Encoder, decoder, likelihood and samplers; subclasses define the codes and their loss.

    Images are `pixel_values` of shape `(B, C, H, W)`, floats in [0, 1]; codes are `latents` of
    shape `(B, d)`.
    """

    outputs_per_latent = 1  # of the encoder: 2 for a mean and a log-variance

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        self.likelihood = LIKELIHOODS[config.likelihood](config)
        self.encoder = self.make_encoder(config)
        num_outputs = self.likelihood.parameters_per_channel * config.num_channels
        self.decoder = self.make_decoder(config, num_outputs)
        self._check_networks(config, num_outputs)
        self.samplers = nn.ModuleDict(self.make_samplers(config))

    def encoder_width(self, config: AutoencoderConfig) -> int:
        """Number of the encoder's outputs for an image: `outputs_per_latent` for each of d."""
        return self.outputs_per_latent * config.latent_size

    def make_encoder(self, config: AutoencoderConfig) -> nn.Module:
        """Make the encoder; override it, or `make_decoder`, for networks of your own.

        The module reads images `(B, C, H, W)`, floats in [0, 1], and returns floats
        `(B, encoder_width)`, of any range. Of a VAE these are means and then log-variances, d of
        each, which are cut to [-10, 10]. Every model with a network of its own is checked when it
        is made.

        Raises:
            ValueError: from the constructor, where the module makes something else.

        Example:
            >>> from torch import nn
            >>> from zoo.models import VAEConfig, VAEModel
            >>> class LinearVAE(VAEModel):
            ...     def make_encoder(self, config):
            ...         pixels = config.num_channels * config.image_size**2
            ...         layer = nn.Linear(pixels, self.encoder_width(config))
            ...         return nn.Sequential(nn.Flatten(), layer)
            ...
            ...     def make_decoder(self, config, num_outputs):
            ...         shape = (num_outputs, config.image_size, config.image_size)
            ...         layer = nn.Linear(config.latent_size, num_outputs * config.image_size**2)
            ...         return nn.Sequential(layer, nn.Unflatten(1, shape))
            >>> LinearVAE(VAEConfig(image_size=8, latent_size=2)).sample(4, seed=0).shape
            torch.Size([4, 1, 8, 8])
        """
        return ENCODERS[config.network](config, self.encoder_width(config))

    def make_decoder(self, config: AutoencoderConfig, num_outputs: int) -> nn.Module:
        """Make the decoder; see `make_encoder`, whose example has one.

        The module reads codes `(B, d)` and returns the likelihood's parameters
        `(B, num_outputs, H, W)`, floats of any range; `num_outputs` is the number of channels
        times `likelihood.parameters_per_channel`, the first parameter of all channels first.
        """
        return DECODERS[config.network](config, num_outputs)

    def make_samplers(self, config: AutoencoderConfig) -> dict[str, nn.Module]:
        """The distributions of codes to draw from, by name; those of N(0, I) and Gaussians."""
        return {name: made(config) for name, made in SAMPLERS.items()}

    def _check_networks(self, config: AutoencoderConfig, num_outputs: int) -> None:
        """Hold networks that a subclass or a table makes to the contract of `make_encoder`."""
        code, shape = (config.latent_size,), config.data_shape
        parameters = (num_outputs, *shape[1:])
        contracts = {
            "encoder": (self.encoder, shape, (self.encoder_width(config),)),
            "decoder": (self.decoder, code, parameters),
        }
        for part, contract in contracts.items():
            method = f"make_{part}"
            if getattr(type(self), method) is not getattr(AutoencoderModel, method):
                check_network(f"{method} must return a module", *contract)
            elif config.network == "layers" and not isinstance(contract[0], Missing):
                alone = [code] if part == "encoder" else []  # the codes without their spread
                check_network(f"{part}_layers must be a graph", *contract, *alone)

    @property
    def cannot(self) -> dict[str, str]:
        """A model that was made of one part lacks what takes the other."""
        reasons: dict[str, str] = {}
        for part, abilities in PARTS.items():
            network = getattr(self, part)
            if isinstance(network, Missing):
                reasons |= dict.fromkeys(abilities, network.reason)
        return reasons

    @property
    def standard_prior(self) -> bool:
        """Whether codes have the prior N(0, I)."""
        return True

    @property
    def has_spread(self) -> bool:
        """Whether a temperature draws codes of the prior closer together."""
        return True

    def encode(self, pixel_values: Tensor) -> Tensor:
        """Codes of images, shape `(B, d)`, float32, in the model's current mode.

        With gradient where it is asked for, in training mode or by `pixel_values` that require
        one; see `gradient_if_asked`.

        Raises:
            ValueError: for images of another shape or range, or integers.
        """
        with self.gradient_if_asked(pixel_values):
            return self._encode(pixel_values)

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Codes as `encode` gives them, with gradient: what forward uses, subclasses override."""
        self.check_pixel_values(pixel_values)
        return apply_network(self.encoder, pixel_values)

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes as the decoder reads them in training, `(B, d)`: posterior samples, if any.

        Type, mode, gradient and errors as of `encode`.
        """
        return self.encode(pixel_values)

    def decode(self, latents: Tensor) -> Tensor:
        """Expected images of codes, shape `(B, C, H, W)`, float32 in [0, 1].

        With gradient in training mode and for codes that require one; see `gradient_if_asked`.
        """
        self.check_latents(latents)
        with self.gradient_if_asked(latents):
            return self.likelihood.mean(apply_network(self.decoder, latents))

    def check_latents(self, latents: Tensor) -> None:
        """Raise `ValueError` unless codes have shape `(B, d)`."""
        if latents.ndim != 2 or latents.shape[1] != self.config.latent_size:
            raise ValueError(
                f"latents must have shape (batch, {self.config.latent_size}), got "
                f"{tuple(latents.shape)}"
            )

    def reconstruct(self, pixel_values: Tensor) -> Tensor:
        """Encode and decode without gradients, in eval mode; shape and range as the input."""
        with self.inference():
            return self.decode(self.encode(pixel_values))

    def interpolate(self, a: Tensor, b: Tensor, steps: int, mode: str = "slerp") -> Tensor:
        """Interpolate between images through their codes.

        Args:
            a: images, shape `(B, C, H, W)`.
            b: images, same shape.
            steps: images per pair, both ends included; at least 2.
            mode: `slerp`, along the arc, which keeps the norm typical of normal codes, or
                `linear`, which shrinks it in the middle.

        Returns:
            Shape `(B, steps, C, H, W)`, in [0, 1]; the ends are the reconstructions of a and b.

        Raises:
            ValueError: for an unknown mode, fewer than 2 steps, or unequal shapes.
        """
        one_of("mode", mode, INTERPOLATIONS)
        check_path(a, b, steps)
        with self.inference():
            start, end = self.encode(a), self.encode(b)
            path = interpolate_latents(start, end, steps, mode)
            images = self._decode_in_chunks(path.flatten(0, 1))
            rows: Tensor = images.unflatten(0, (len(a), steps))
            return rows

    def sample(
        self,
        num_samples: int,
        *,
        sampler: str = "prior",
        temperature: float = 1.0,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        labels: int | Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Draw codes and decode them, without gradients, in eval mode.

        Args:
            num_samples: N.
            sampler: `prior`, such as N(0, I); `gaussian` (full covariance) or `mixture`, both
                fitted to the training codes after training.
            temperature: factor on the standard deviation of the codes, 0 or more.
            seed: of the random codes, which are the same on every device.
            generator: in place of a seed.
            latents: decode these codes, shape `(N, d)`, instead of drawing.
            labels: of a model whose prior has classes: one label for all, or N labels; None
                draws them, too.

        Returns:
            Expected images, shape `(N, C, H, W)`, floats in [0, 1].

        Raises:
            ValueError: for an unknown or unfitted sampler, a negative temperature, latents of
                another shape, or labels that the sampler does not know.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        if latents is None:
            latents = self.sample_latents(
                num_samples, sampler=sampler, temperature=temperature, seed=seed,
                generator=generator, labels=labels,
            )  # fmt: skip
        elif len(latents) != num_samples:
            raise ValueError(f"num_samples is {num_samples}, but there are {len(latents)} latents")
        with self.inference():
            return self._decode_in_chunks(latents.to(self.device))

    def sampling_options(
        self,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        jump: bool | None = None,
    ) -> dict[str, Any]:
        """The options of `sample` as it uses them, defaults filled in.

        Args:
            sampler: as in `sample`; None is `prior`.
            steps: of models that draw by chains, refused here.
            temperature: as in `sample`; None is 1.
            jump: likewise of models that draw by chains.

        Raises:
            ValueError: for an option of chains, or an unknown sampler.
        """
        for name, value in (("steps", steps), ("jump", jump)):
            if value is not None:
                raise ValueError(
                    f"{name}: this model draws from codes, not by chains; leave it out"
                )
        sampler = sampler or "prior"
        one_of("sampler", sampler, tuple(self.samplers))
        return {"sampler": sampler, "temperature": 1.0 if temperature is None else temperature}

    def sample_latents(
        self,
        num_samples: int,
        *,
        sampler: str = "prior",
        temperature: float = 1.0,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        labels: int | Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Draw codes, shape `(N, d)`; arguments and errors as in `sample`."""
        one_of("sampler", sampler, tuple(self.samplers))
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be 0 or more and finite, got {temperature}")
        distribution = self.distribution(sampler)
        if not distribution.fitted:
            raise ValueError(
                f"the {sampler} sampler of this model has not been fitted; use sampler='prior', "
                f"or train from a card whose [train] samplers name {sampler!r}"
            )
        generator = random_generator(seed, generator)
        if labels is None:
            return distribution.draw(num_samples, temperature, generator)
        chosen = checked_labels(labels, num_samples, distribution.num_labels, sampler)
        return distribution.draw_labeled(chosen, temperature, generator)

    def distribution(self, sampler: str) -> LatentSampler:
        """The distribution of codes that a sampler's name means."""
        return cast(LatentSampler, self.samplers[sampler])

    def _decode_in_chunks(self, latents: Tensor) -> Tensor:
        return torch.cat([self.decode(chunk) for chunk in latents.split(DECODE_BATCH)])

    def _reconstruction(self, latents: Tensor, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Expected images, and minus their log-likelihood averaged over the batch."""
        params = apply_network(self.decoder, latents)
        loss = -self.likelihood.log_prob(params, pixel_values).mean()
        return self.likelihood.mean(params), loss
