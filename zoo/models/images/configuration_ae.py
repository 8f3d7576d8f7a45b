"""Settings of the plain autoencoder."""

from huggingface_hub.dataclasses import strict

from .configuration_image import AutoencoderConfig


@strict
class AEConfig(AutoencoderConfig):
    """Plain autoencoder: reconstruction alone."""

    model_type = "genae_ae"
