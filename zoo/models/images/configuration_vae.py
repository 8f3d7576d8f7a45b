"""Settings of the variational autoencoder."""

from huggingface_hub.dataclasses import strict

from .checks import at_least
from .configuration_image import AutoencoderConfig


@strict
class VAEConfig(AutoencoderConfig):
    """Variational autoencoder (Kingma and Welling, arXiv:1312.6114).

    Attributes:
        beta: weight of the KL, both terms summed over dimensions (beta-VAE for beta other than 1).
        free_bits: nats per latent dimension that cost nothing: a KL whose batch mean is below
            them is not lowered further.
        kl_warmup_steps: training steps over which the weight of the KL rises from 0 to beta.
    """

    model_type = "genae_vae"

    beta: float | int = 1.0
    free_bits: float | int = 0.0
    kl_warmup_steps: int = 0

    def validate_vae(self) -> None:
        """Check the weights of the KL."""
        for field in ("beta", "free_bits", "kl_warmup_steps"):
            at_least(field, getattr(self, field), 0)
