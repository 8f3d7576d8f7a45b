"""Settings that all image models share."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .checks import at_least, one_of
from .layer_graph import black_and_white, check_graph

NETWORKS = ("convolutional", "dense", "layers")
LIKELIHOODS = ("gaussian", "bernoulli", "discretized_logistic", "beta_binomial")
SCALES = ("fixed", "shared", "learned")
ACTIVATIONS = ("relu", "tanh")
#: Last activations of a decoder of layers, each with the pixels that it makes; None for any.
OUTPUT_RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1), "linear": None}
#: Settings of a network of layers alone.
OF_LAYERS = ("encoder_layers", "decoder_layers", "pixel_range", "output_activation")


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
            mirror, times the width multipliers), `dense`, or `layers`: graphs of layers, as
            `genae convert` makes them of Keras models.
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
        encoder_layers: the encoder of a network of layers, from images to codes: `layers`,
            `nodes`, `inputs` (one, the images) and `outputs`, as in `LayersConfig`. None of a
            decoder alone.
        decoder_layers: its decoder, likewise, up to the last linear output. None of an encoder
            alone.
        pixel_range: values of black and of white that a network of layers reads and makes.
        output_activation: what the original has behind the decoder's last linear output: a
            `sigmoid`, for pixels of 0 to 1, `tanh`, for -1 to 1, or nothing, `linear`.
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
    encoder_layers: dict[str, Any] | None = None
    decoder_layers: dict[str, Any] | None = None
    pixel_range: tuple[float | int, ...] | list[float | int] = (0.0, 1.0)
    output_activation: str = "sigmoid"

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

    def validate_layers_network(self) -> None:
        """Check the settings of a network of layers, which no other network has."""
        if self.network != "layers":
            for field in OF_LAYERS:
                value, default = getattr(self, field), getattr(AutoencoderConfig, field)
                if value is not None and (default is None or value != type(value)(default)):
                    raise ValueError(
                        f"{field} is of network='layers', and this network is {self.network!r}; "
                        "leave it out"
                    )
            return
        tables = {name: getattr(self, name) for name in OF_LAYERS[:2]}
        if not any(tables.values()):
            raise ValueError(f"network='layers' needs {' or '.join(tables)}, or both")
        for name, table in tables.items():
            if table is not None:
                check_graph(table, f"{name}.")
                if len(table["inputs"]) != 1 or not table["inputs"][0].get("shape"):
                    raise ValueError(f"{name} must have one input, of a known shape")
        if self.likelihood not in ("gaussian", "bernoulli") or self.scale == "learned":
            raise ValueError(
                "a network of layers makes one number a channel: its likelihood is gaussian, of a "
                f"scale fixed or shared, or bernoulli; got {self.likelihood}, {self.scale}"
            )
        one_of("output_activation", self.output_activation, tuple(OUTPUT_RANGES))
        low, high = black_and_white(self.pixel_range)
        made = OUTPUT_RANGES[self.output_activation]
        if made is None and self.likelihood == "bernoulli":
            raise ValueError("a bernoulli likelihood needs an output_activation, got linear")
        if made is not None and self.decoder_layers is not None and made != (low, high):
            raise ValueError(
                f"output_activation {self.output_activation} makes pixels of {made[0]} to "
                f"{made[1]}, and pixel_range is {low:g} to {high:g}"
            )
