"""Convolutional classifier, whose features the fidelity metrics compare."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import ImageClassifierOutput

from .configuration_classifier import ClassifierConfig
from .modeling_image import GenaePreTrainedModel
from .networks import ConvEncoder, as_input


class ClassifierModel(GenaePreTrainedModel):
    """The autoencoders' convolutional encoder with a layer of features and a layer of labels."""

    config_class = ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config)
        self.encoder = ConvEncoder(config, config.feature_size)
        self.feature_norm = nn.BatchNorm1d(config.feature_size)
        self.classifier = nn.Linear(config.feature_size, cast(int, config.num_labels))
        self.post_init()

    def features(self, pixel_values: Tensor) -> Tensor:
        """What the labels are read from, shape `(B, feature_size)`, 0 or more."""
        self.check_pixel_values(pixel_values)
        encoded = self.encoder(as_input(self.encoder, pixel_values))
        return functional.relu(self.feature_norm(encoded))

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, return_loss: bool = True
    ) -> ImageClassifierOutput:
        """Logits of shape `(B, num_labels)`; with labels `(B,)` also their cross-entropy, nats."""
        logits = self.classifier(self.features(pixel_values))
        loss = None
        if return_loss and labels is not None:
            loss = functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)
