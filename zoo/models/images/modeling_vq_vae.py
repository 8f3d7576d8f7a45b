"""Autoencoder with discrete codes, and a prior over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from .checks import one_of
from .code_prior import CodePrior
from .codebook import Codebook, perplexity
from .configuration_image import AutoencoderConfig
from .configuration_vq_vae import VQVAEConfig
from .grid_networks import GRID_DECODERS, GRID_ENCODERS
from .interpolation import check_path
from .layer_networks import Missing
from .modeling_autoencoder import AutoencoderModel
from .networks import apply_network, at_least_float32, check_network

#: Parts of a model, and what takes each: words of the catalog's abilities.
PARTS = {
    "encoder": ("quantizes", "reconstructs"),
    "codebook": ("quantizes", "reconstructs", "samples"),
    "decoder": ("reconstructs", "samples"),
}
WITHOUT_PRIOR = "this model has no prior over its codes"


@dataclass
class VQVAEOutput(ModelOutput):
    """What a forward returns; losses are nats per image, averaged over a batch.

    Attributes:
        loss: what training minimises; None without `return_loss`.
        reconstruction_loss: minus the log-likelihood of the images given their codes. With
            `prior_loss` added it bounds minus the log-likelihood of the images from above.
        commitment_loss: squared distances of the encoder's vectors from those of the codebook,
            summed over an image.
        prior_loss: minus the log-probability of the codes under the prior; None without one.
        perplexity: of the codes of the batch, from 1 to K; see `codebook.perplexity`.
        reconstruction: expected images, shape `(B, C, H, W)`, in [0, 1].
        codes: int64 `(B, h, w)`.
    """

    loss: Tensor | None = None
    reconstruction_loss: Tensor | None = None
    commitment_loss: Tensor | None = None
    prior_loss: Tensor | None = None
    perplexity: Tensor | None = None
    reconstruction: Tensor | None = None
    codes: Tensor | None = None


class VQVAEModel(AutoencoderModel):
    r"""Vector-quantised variational autoencoder (van den Oord et al., arXiv:1711.00937).

    The codes of an image are int64 `(B, h, w)`, each the number of the codebook's vector that is
    nearest to the encoder's at that place. The decoder reads the codebook's vectors; the gradient
    of its loss goes to the encoder's as if they were the same (straight through). The loss is in
    `VQVAEConfig`. Codes are drawn from a prior that is trained in the same steps.
    """

    config_class = VQVAEConfig
    config: VQVAEConfig

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__(config)
        self.codebook: Codebook | Missing = self._missing("codebook")
        if config.num_codes:
            self.codebook = Codebook(config)
        self.post_init()

    def _missing(self, part: str) -> Missing:
        return Missing(part, " and the ".join(self.config.parts))

    @property
    def prior(self) -> CodePrior | None:
        """The distribution of the codes; None of a model without one."""
        return cast(CodePrior, self.samplers["prior"]) if "prior" in self.samplers else None

    @property
    def cannot(self) -> dict[str, str]:
        """A part alone lacks what takes the others, and codes without a prior what draws them."""
        reasons = {} if self.prior is not None else {"samples": WITHOUT_PRIOR}
        for part, lost in PARTS.items():
            module = getattr(self, part)
            if isinstance(module, Missing):
                reasons |= dict.fromkeys(lost, module.reason)
        return reasons

    def make_samplers(self, config: AutoencoderConfig) -> dict[str, nn.Module]:
        return {"prior": CodePrior(self.config)} if self.config.prior_hidden_size else {}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (Codebook, CodePrior)):
            module.begin()

    def make_encoder(self, config: AutoencoderConfig) -> nn.Module:
        """Make the encoder: images `(B, C, H, W)` to vectors `(B, d, h, w)`; may be overridden."""
        if "encoder" not in self.config.parts:
            return self._missing("encoder")
        return GRID_ENCODERS[config.network](self.config)

    def make_decoder(self, config: AutoencoderConfig, num_outputs: int) -> nn.Module:
        """Make the decoder: vectors to the likelihood's parameters `(B, num_outputs, H, W)`."""
        if "decoder" not in self.config.parts:
            return self._missing("decoder")
        return GRID_DECODERS[config.network](self.config, num_outputs)

    def _check_networks(self, config: AutoencoderConfig, num_outputs: int) -> None:
        vectors = (config.latent_size, *self.config.grid_shape)
        parameters = (num_outputs, *config.data_shape[1:])
        contracts = {
            "encoder": (self.encoder, config.data_shape, vectors),
            "decoder": (self.decoder, vectors, parameters),
        }
        layers = config.network == "layers"
        for part in contracts.keys() & set(self.config.parts):
            asked = f"make_{part} must return a module"
            asked = f"{part}_layers must be a graph" if layers else asked
            check_network(asked, *contracts[part])

    def _codes(self) -> Codebook:
        """The codebook, or a `ValueError` of a model that has none."""
        if isinstance(self.codebook, Missing):
            raise ValueError(self.codebook.reason)
        return self.codebook

    def encode_vectors(self, pixel_values: Tensor) -> Tensor:
        """The encoder's vectors before they are quantised, `(B, d, h, w)`, float32.

        With gradient where it is asked for; see `gradient_if_asked`. Errors as of `encode`.
        """
        with self.gradient_if_asked(pixel_values):
            return self._vectors(pixel_values)

    def _vectors(self, pixel_values: Tensor) -> Tensor:
        self.check_pixel_values(pixel_values)
        return apply_network(self.encoder, pixel_values)

    def quantize(self, vectors: Tensor) -> Tensor:
        """Codes of vectors `(B, d, h, w)`: int64 `(B, h, w)`, the lowest of equally near ones."""
        return self._codes().nearest(vectors.movedim(1, -1))

    def embed(self, codes: Tensor) -> Tensor:
        """The codebook's vectors of codes, `(B, d, h, w)`, float32; errors as of `decode`."""
        codebook = self._codes()
        self.check_latents(codes)
        return at_least_float32(codebook(codes).movedim(-1, 1))

    def encode(self, pixel_values: Tensor) -> Tensor:
        """Codes of images, int64 `(B, h, w)`, from 0 to K - 1, in the model's current mode.

        Raises:
            ValueError: for images of another shape or range, or integers.
        """
        with torch.no_grad():
            return self.quantize(self._vectors(pixel_values))

    def decode(self, latents: Tensor) -> Tensor:
        """Expected images of codes, shape `(B, C, H, W)`, float32 in [0, 1].

        Args:
            latents: int64 `(B, h, w)`, from 0 to K - 1.

        Raises:
            ValueError: for codes of another shape, type or range.
        """
        return self.decode_vectors(self.embed(latents))

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """Expected images of vectors `(B, d, h, w)`, as the decoder reads them.

        The vectors may be any, not of the codebook alone. With gradient where it is asked for; see
        `gradient_if_asked`.
        """
        with self.gradient_if_asked(vectors):
            return self.likelihood.mean(apply_network(self.decoder, vectors))

    def check_latents(self, latents: Tensor) -> None:
        """Raise `ValueError` unless codes are int64 `(B, h, w)`, from 0 to K - 1."""
        shape, count = self.config.grid_shape, self.config.num_codes
        if latents.ndim != 3 or tuple(latents.shape[1:]) != shape:
            raise ValueError(
                f"codes must have shape (batch, {shape[0]}, {shape[1]}), got "
                f"{tuple(latents.shape)}"
            )
        if latents.dtype != torch.long:
            raise ValueError(f"codes must be int64, numbers of vectors, got {latents.dtype}")
        blind = self.training or latents.is_meta or torch.compiler.is_compiling()
        if not blind and latents.numel():
            lowest, highest = (value.item() for value in latents.aminmax())
            if not 0 <= lowest <= highest < count:
                raise ValueError(f"codes must lie in [0, {count - 1}], got [{lowest}, {highest}]")

    def interpolate(self, a: Tensor, b: Tensor, steps: int, mode: str = "linear") -> Tensor:
        """Walk straight between the encoder's vectors of two images, and quantise on the way.

        Arguments, shapes and errors as of `AutoencoderModel.interpolate`; the mode is `linear`.
        """
        one_of("mode", mode, ("linear",))
        check_path(a, b, steps)
        with self.inference():
            start, end = (self.encode_vectors(images)[:, None] for images in (a, b))
            shares = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype)
            path = torch.lerp(start, end, shares.view(-1, 1, 1, 1))
            images = self._decode_in_chunks(self.quantize(path.flatten(0, 1)))
            rows: Tensor = images.unflatten(0, (len(a), steps))
            return rows

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
        """Draw codes, int64 `(N, h, w)`; arguments and errors as in `sample`.

        Temperature divides the prior's logits; at 0 every code is the likeliest given those before
        it.

        Raises:
            ValueError: besides, for a model without a prior.
        """
        if self.prior is None:
            raise ValueError(f"{WITHOUT_PRIOR}; train one with prior_hidden_size above 0")
        return super().sample_latents(
            num_samples, sampler=sampler, temperature=temperature, seed=seed,
            generator=generator, labels=labels,
        )  # fmt: skip

    def forward(self, pixel_values: Tensor, return_loss: bool = True) -> VQVAEOutput:
        """Reconstruct a batch; see `VQVAEOutput`.

        In training mode and with `return_loss` a codebook of averages moves by the batch.
        """
        config = self.config
        vectors = self._vectors(pixel_values)
        codes = self.quantize(vectors.detach())
        chosen = self.embed(codes)
        # The value is the codebook's, exactly; the gradient is that of the encoder's vectors.
        decoded = chosen.detach() + (vectors - vectors.detach())
        reconstruction, reconstruction_loss = self._reconstruction(decoded, pixel_values)
        commitment_loss = _squared_distance(vectors, chosen.detach())
        prior = self.prior
        prior_loss = None if prior is None else -prior.log_prob(codes).mean()
        loss = None
        if return_loss:
            loss = reconstruction_loss + config.commitment_weight * commitment_loss
            if prior_loss is not None:
                loss = loss + prior_loss
            codebook = self._codes()
            if not codebook.averaged:
                loss = loss + _squared_distance(vectors.detach(), chosen)
            elif self.training:
                codebook.update(vectors.movedim(1, -1).flatten(0, -2), codes.flatten())
        return VQVAEOutput(
            loss=loss,
            reconstruction_loss=reconstruction_loss,
            commitment_loss=commitment_loss,
            prior_loss=prior_loss,
            perplexity=perplexity(codes, config.num_codes),
            reconstruction=reconstruction,
            codes=codes,
        )


def _squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Summed over each image, averaged over the batch."""
    return (first - second).square().flatten(1).sum(1).mean()
