"""Settings that all image models share."""

import math

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .checks import at_least, one_of

NETWORKS = ("convolutional", "dense")
LIKELIHOODS = ("gaussian", "bernoulli", "discretized_logistic", "beta_binomial")
SCALES = ("fixed", "shared", "learned")
ACTIVATIONS = ("relu", "tanh")


@strict
class ImageConfig(PreTrainedConfig):
    """A model that reads square images, `pixel_values` of shape `(B, C, H, W)` in [0, 1].

    Attributes:
        image_size: height and width, in pixels.
        num_channels: 1 for grey images, 3 for coloured ones.
    """

    image_size: int = 32
    num_channels: int = 1

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one image, `(C, H, W)`."""
        return (self.num_channels, self.image_size, self.image_size)

    def validate_image(self) -> None:
        """Check the image's shape."""
        at_least("image_size", self.image_size, 2)
        if self.num_channels not in (1, 3):
            raise ValueError(f"num_channels must be 1 or 3, got {self.num_channels}")


@strict
class AutoencoderConfig(ImageConfig):
    """Networks and likelihood of an autoencoder.

    Attributes:
        latent_size: dimension d of the code.
        network: `convolutional` (four strided convolutions of 128 to 1024 channels and their
            mirror, times the width multipliers) or `dense`.
        width_multiplier: of the convolutional encoder's channels.
        decoder_width_multiplier: of the decoder's channels, which cost most of the time; None
            takes width_multiplier.
        hidden_sizes: of the dense encoder; the decoder mirrors them.
        activation: of the dense networks, `relu` or `tanh`.
        likelihood: q(x|z): `gaussian`, `bernoulli`, `discretized_logistic` or `beta_binomial`.
        scale: of the likelihood: `fixed`, `shared` (one learned number) or `learned` (per pixel).
        scale_value: the fixed scale, or where a learned one starts. With sqrt(1/2) a Gaussian's
            negative log-likelihood is the squared error plus a constant.
        num_mixture_components: of the Gaussian mixture fitted to the codes after training.
    """

    latent_size: int = 16
    network: str = "convolutional"
    width_multiplier: float | int = 0.125
    decoder_width_multiplier: float | int | None = None
    hidden_sizes: tuple[int, ...] | list[int] = (512,)
    activation: str = "relu"
    likelihood: str = "gaussian"
    scale: str = "fixed"
    scale_value: float | int = math.sqrt(0.5)
    num_mixture_components: int = 10

    def validate_autoencoder(self) -> None:
        """Check sizes and names."""
        one_of("network", self.network, NETWORKS)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("likelihood", self.likelihood, LIKELIHOODS)
        one_of("scale", self.scale, SCALES)
        at_least("latent_size", self.latent_size, 1)
        at_least("num_mixture_components", self.num_mixture_components, 1)
        for field in ("width_multiplier", "decoder_width_multiplier", "scale_value"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{field} must be positive and finite, got {value}")
        for size in self.hidden_sizes:
            at_least("hidden_sizes", size, 1)
        if self.network == "convolutional" and (self.image_size % 4 or self.image_size < 8):
            raise ValueError(
                "image_size of a convolutional network must be a multiple of 4 from 8 on, got "
                f"{self.image_size}; pad the images (pad_size of the image processor) or use "
                "network='dense'"
            )
