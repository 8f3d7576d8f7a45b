"""Settings of the importance-weighted autoencoder."""

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_image import AutoencoderConfig

GRADIENTS = ("doubly-reparameterized", "plain")


@strict
class IWAEConfig(AutoencoderConfig):
    """Importance-weighted autoencoder (Burda et al., arXiv:1509.00519), defaults of its paper.

    Attributes:
        latent_size: dimension d of the whole code, all stochastic layers together.
        lower_latent_sizes: sizes of the stochastic layers below the top one, from the images up;
            the top layer takes the rest of latent_size. Empty for one layer.
        upper_hidden_sizes: hidden layers between one stochastic layer and the next.
        importance_samples: K of the bound that training maximises.
        gradient: `doubly-reparameterized` (Tucker et al., arXiv:1810.04152), whose noise does not
            drown the encoder's signal as K grows, or `plain`; both estimate the same gradient.
    """

    model_type = "genae_iwae"

    network: str = "dense"
    activation: str = "tanh"
    hidden_sizes: tuple[int, ...] | list[int] = (200, 200)
    latent_size: int = 50
    likelihood: str = "bernoulli"
    lower_latent_sizes: tuple[int, ...] | list[int] = ()
    upper_hidden_sizes: tuple[int, ...] | list[int] = (100, 100)
    importance_samples: int = 5
    gradient: str = "doubly-reparameterized"

    @property
    def layer_sizes(self) -> list[int]:
        """Sizes of the stochastic layers, from the images up."""
        lower = list(self.lower_latent_sizes)
        return [*lower, self.latent_size - sum(lower)]

    def validate_iwae(self) -> None:
        """Check the layers, the number of samples and the name of the gradient."""
        one_of("gradient", self.gradient, GRADIENTS)
        if self.network == "layers":
            raise ValueError("network 'layers' is not of this model; use dense or convolutional")
        at_least("importance_samples", self.importance_samples, 1)
        for field in ("lower_latent_sizes", "upper_hidden_sizes"):
            for size in getattr(self, field):
                at_least(field, size, 1)
        if self.layer_sizes[-1] < 1:
            raise ValueError(
                f"lower_latent_sizes take {sum(self.lower_latent_sizes)} of latent_size "
                f"{self.latent_size}, which counts all layers, and leave none for the top one"
            )
