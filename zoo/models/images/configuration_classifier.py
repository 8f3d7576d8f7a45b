"""Settings of the convolutional classifier."""

from huggingface_hub.dataclasses import strict

from .checks import at_least
from .configuration_image import ImageConfig


@strict
class ClassifierConfig(ImageConfig):
    """Small convolutional classifier, whose features the fidelity metrics compare.

    Attributes:
        width_multiplier: of the encoder's 128 to 1024 channels.
        feature_size: width of the layer before the labels.
    """

    model_type = "genae_classifier"

    width_multiplier: float | int = 0.25
    feature_size: int = 64

    def validate_classifier(self) -> None:
        """Check the sizes."""
        at_least("feature_size", self.feature_size, 1)
