"""The island: every architecture, free of the rest of genae.

Importing it registers them all with transformers' Auto classes and, inside genae,
lets their `from_pretrained` find models through the registry.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from zoo.registry import install

from .configuration_ae import AEConfig
from .configuration_classifier import ClassifierConfig
from .configuration_eae import EAEConfig
from .configuration_vae import VAEConfig
from .image_processing_genae import GenaeImageProcessor
from .modeling_ae import AEModel
from .modeling_classifier import ClassifierModel
from .modeling_eae import EAEModel
from .modeling_vae import VAEModel

REGISTERED = (
    (AEConfig, AEModel, AutoModel),
    (VAEConfig, VAEModel, AutoModel),
    (EAEConfig, EAEModel, AutoModel),
    (ClassifierConfig, ClassifierModel, AutoModelForImageClassification),
)

for _config, _model, _auto in REGISTERED:
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    _auto.register(_config, _model, exist_ok=True)
    AutoImageProcessor.register(
        _config, image_processor_classes={"pil": GenaeImageProcessor}, exist_ok=True
    )

# Only here: the modules of the island travel to the Hub alone and know no registry.
install()

__all__ = [
    "AEConfig",
    "AEModel",
    "ClassifierConfig",
    "ClassifierModel",
    "EAEConfig",
    "EAEModel",
    "GenaeImageProcessor",
    "VAEConfig",
    "VAEModel",
]
