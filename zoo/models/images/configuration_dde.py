"""Settings of the denoising density estimator."""

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_energy import EnergyConfig, positive

DENSITIES = ("dense", "dense_connected", "convolutional")
GENERATORS = ("none", "residual", "dense_connected", "convolutional")


@strict
class DDEConfig(EnergyConfig):
    r"""Denoising density estimator (Bigdeli et al., arXiv:2001.02728).

    Attributes:
        sigma: standard deviation of the Gaussian that smooths the data.
        initial_sigma: where training starts, above sigma; None trains at sigma throughout.
        sigma_steps: training steps over which the initial sigma falls to sigma, geometrically.
        network: of the densities: `dense`, `dense_connected` (each layer reads all earlier ones)
            or `convolutional` (three 4x4 convolutions of stride 2, for images).
        parabola: write the log-density as :math:`(f(x) - \|x\|^2 / 2) / \sigma^2`, so that the
            denoised x is the gradient of the network f. Without it, as published, the network has
            to learn the parabola of the noise, which a dense one does badly in many dimensions.
        hidden_size: width of the layers; the convolutional network has this many channels at
            first and doubles them twice.
        num_hidden_layers: of the dense networks.
        generator: `none`, `residual` (z + f(z), f = 0 at first), `dense_connected` or
            `convolutional` (for images whose size is a multiple of 4).
        latent_size: of the generator's noise; the data's own size where it is `residual`.
        generator_hidden_size: width of the generator's layers; channels of the convolutional
            one's first feature map.
        generator_num_hidden_layers: of the generator's dense networks.
        generator_interval: training steps of the densities for one of the generator.
        generator_density: whether the generator's own density is there, which nothing but its
            training reads; a model that `genae train` wrote has none.
    """

    model_type = "genae_dde"

    sigma: float | int = 0.5
    initial_sigma: float | int | None = None
    sigma_steps: int = 0
    network: str = "dense_connected"
    parabola: bool = False
    hidden_size: int = 256
    num_hidden_layers: int = 16
    generator: str = "none"
    latent_size: int = 16
    generator_hidden_size: int = 64
    generator_num_hidden_layers: int = 16
    generator_interval: int = 10
    generator_density: bool = True

    def validate_dde(self) -> None:
        """Check names, sizes, and that networks fit the data."""
        one_of("network", self.network, DENSITIES)
        one_of("generator", self.generator, GENERATORS)
        for field in (
            "hidden_size", "num_hidden_layers", "latent_size", "generator_hidden_size",
            "generator_num_hidden_layers", "generator_interval",
        ):  # fmt: skip
            at_least(field, getattr(self, field), 1)
        at_least("sigma_steps", self.sigma_steps, 0)
        positive("sigma", self.sigma)
        if self.initial_sigma is not None:
            at_least("initial_sigma", self.initial_sigma, self.sigma)
        if "convolutional" in (self.network, self.generator) and self.input_shape is not None:
            raise ValueError("a convolutional network reads images; leave out input_shape")
        if self.network == "convolutional":
            at_least("image_size of a convolutional network", self.image_size, 8)
        if self.generator == "convolutional" and self.image_size % 4:
            raise ValueError(
                "image_size of a convolutional generator must be a multiple of 4, got "
                f"{self.image_size}"
            )
        if self.generator == "residual" and self.latent_size != self.data_size:
            raise ValueError(
                f"a residual generator adds to its noise: latent_size must be {self.data_size}, "
                f"the data's size, got {self.latent_size}"
            )
