"""The island: every architecture, free of the rest of genae.

Importing it registers them all with transformers' Auto classes and, inside genae,
lets their `from_pretrained` find models through the registry.
"""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForNextSentencePrediction,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from zoo.registry import install

from .configuration_ae import AEConfig
from .configuration_bert import GenaeBertConfig
from .configuration_classifier import ClassifierConfig
from .configuration_eae import EAEConfig
from .configuration_vae import VAEConfig
from .image_processing_genae import GenaeImageProcessor
from .modeling_ae import AEModel
from .modeling_bert import (
    GenaeBertForCausalLM,
    GenaeBertForMaskedLM,
    GenaeBertForNextSentencePrediction,
    GenaeBertForPreTraining,
    GenaeBertForSequenceClassification,
    GenaeBertForTokenClassification,
    GenaeBertModel,
)
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

#: Text models: a configuration, and each head with the Auto class that finds it.
TEXT = {
    GenaeBertConfig: {
        AutoModel: GenaeBertModel,
        AutoModelForCausalLM: GenaeBertForCausalLM,
        AutoModelForMaskedLM: GenaeBertForMaskedLM,
        AutoModelForNextSentencePrediction: GenaeBertForNextSentencePrediction,
        AutoModelForPreTraining: GenaeBertForPreTraining,
        AutoModelForSequenceClassification: GenaeBertForSequenceClassification,
        AutoModelForTokenClassification: GenaeBertForTokenClassification,
    },
}

for _text, _heads in TEXT.items():
    AutoConfig.register(_text.model_type, _text, exist_ok=True)
    for _finder, _head in _heads.items():
        _finder.register(_text, _head, exist_ok=True)

# Only here: the modules of the island travel to the Hub alone and know no registry.
install()

__all__ = [
    "AEConfig",
    "AEModel",
    "ClassifierConfig",
    "ClassifierModel",
    "EAEConfig",
    "EAEModel",
    "GenaeBertConfig",
    "GenaeBertForCausalLM",
    "GenaeBertForMaskedLM",
    "GenaeBertForNextSentencePrediction",
    "GenaeBertForPreTraining",
    "GenaeBertForSequenceClassification",
    "GenaeBertForTokenClassification",
    "GenaeBertModel",
    "GenaeImageProcessor",
    "VAEConfig",
    "VAEModel",
]
