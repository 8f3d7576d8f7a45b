"""Settings of the autoencoder with discrete codes."""

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_image import AutoencoderConfig

CODEBOOKS = ("ema", "gradient")
GRID_NETWORKS = ("convolutional", "layers")


@strict
class VQVAEConfig(AutoencoderConfig):
    r"""Autoencoder with discrete codes (van den Oord et al., arXiv:1711.00937), and their prior.

    An image is a grid of codes, each the number of one of K vectors of dimension d.

    .. math:: L = -\log q(x|e_c) + \|sg(z) - e_c\|^2 + \beta \|z - sg(e_c)\|^2 - \log p(c)

    with z the encoder's vectors, e_c the nearest ones of the codebook, sg no gradient; summed
    over dimensions and averaged over the batch. The last term trains the prior in the same steps,
    and has no gradient to the rest.

    Attributes:
        latent_size: d, of each vector.
        num_codes: K, of the codebook; 0 is a network of layers without one, an encoder or decoder
            alone.
        codebook: how its vectors learn: `ema`, averages of the encoder's vectors that they stand
            for (appendix A of the paper), or `gradient`, the second term of the loss.
        codebook_decay: of these averages, a step.
        restart_threshold: share of an even use, 1/K, below which a vector restarts at one of the
            encoder's; 0 never does. Of the averages alone.
        commitment_weight: beta, of the third term.
        network: `convolutional` (two strided convolutions, residual blocks, and their mirror) or
            `layers`.
        width_multiplier: of the convolutional encoder's 256 channels.
        decoder_width_multiplier: of the decoder's; None takes width_multiplier.
        num_residual_blocks: of the encoder, and of the decoder.
        grid_size: side of the grid of codes; None is a quarter of the image's, as of the
            convolutional network.
        prior_hidden_size: width of the prior, a causal transformer over the codes row by row; 0
            is a model without one, which does not sample.
        prior_num_layers: of the prior.
        prior_num_heads: of its attention.
    """

    model_type = "genae_vq_vae"

    latent_size: int = 32
    num_codes: int = 128
    codebook: str = "ema"
    codebook_decay: float | int = 0.99
    restart_threshold: float | int = 0.05
    commitment_weight: float | int = 0.25
    width_multiplier: float | int = 0.25
    num_residual_blocks: int = 2
    grid_size: int | None = None
    prior_hidden_size: int = 64
    prior_num_layers: int = 4
    prior_num_heads: int = 4

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Height and width of the grid of codes."""
        size = self.image_size // 4 if self.grid_size is None else self.grid_size
        return (size, size)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the model has of `encoder`, `codebook` and `decoder`; conversions may have one."""
        layers = self.network == "layers"
        has = {
            "encoder": not layers or self.encoder_layers is not None,
            "codebook": self.num_codes > 0,
            "decoder": not layers or self.decoder_layers is not None,
        }
        return tuple(part for part, present in has.items() if present)

    def validate_autoencoder(self) -> None:
        """Check sizes and names that all autoencoders have."""
        if self.network == "convolutional" and (self.image_size % 4 or self.image_size < 8):
            raise ValueError(
                "image_size must be a multiple of 4 from 8 on, which two halvings need, got "
                f"{self.image_size}; pad the images (pad_size of the image processor)"
            )
        super().validate_autoencoder()

    def validate_layers_network(self) -> None:
        """Check the settings of a network of layers; a codebook may also be alone."""
        if self.network != "layers" or len(self.parts) != 1 or not self.num_codes:
            super().validate_layers_network()

    def validate_vq_vae(self) -> None:
        """Check sizes, shares and names."""
        one_of("network", self.network, GRID_NETWORKS)
        one_of("codebook", self.codebook, CODEBOOKS)
        at_least("num_codes", self.num_codes, int(len(self.parts) != 1))
        for field in ("prior_num_layers", "prior_num_heads"):
            at_least(field, getattr(self, field), 1)
        if self.prior_hidden_size and not self.num_codes:
            raise ValueError("prior_hidden_size must be 0 without codes, whose prior it is")
        fields = ("num_residual_blocks", "prior_hidden_size", "commitment_weight")
        for field in (*fields, "restart_threshold"):
            at_least(field, getattr(self, field), 0)
        if not 0 <= self.codebook_decay < 1:
            raise ValueError(f"codebook_decay must be in [0, 1), got {self.codebook_decay}")
        if self.prior_hidden_size % self.prior_num_heads:
            raise ValueError(
                f"prior_hidden_size must be a multiple of prior_num_heads, "
                f"{self.prior_num_heads}, got {self.prior_hidden_size}"
            )
        if self.grid_size is not None:
            at_least("grid_size", self.grid_size, 1)
            if self.network == "convolutional" and self.grid_size != self.image_size // 4:
                raise ValueError(
                    f"grid_size of a convolutional network is a quarter of image_size, "
                    f"{self.image_size // 4}, got {self.grid_size}; leave it out"
                )
