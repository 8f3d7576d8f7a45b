"""Settings of the entropic autoencoder."""

from huggingface_hub.dataclasses import strict

from .checks import at_least
from .configuration_image import AutoencoderConfig


@strict
class EAEConfig(AutoencoderConfig):
    """Entropic autoencoder (Ghose et al., UAI 2020, arXiv:2002.10631).

    Attributes:
        entropy_weight: nats of reconstruction given for one nat of the code's batch entropy;
            0 leaves batch norm alone, the method's ablation.
        num_neighbors: k of the Kozachenko-Leonenko estimator.
        batch_norm_eps: of the batch norm, without affine parameters, on the code.
    """

    model_type = "genae_eae"

    entropy_weight: float | int = 0.3
    num_neighbors: int = 1
    batch_norm_eps: float | int = 1e-5

    def validate_eae(self) -> None:
        """Check the entropy's settings."""
        at_least("entropy_weight", self.entropy_weight, 0)
        at_least("num_neighbors", self.num_neighbors, 1)
        at_least("batch_norm_eps", self.batch_norm_eps, 0)
