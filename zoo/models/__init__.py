"""The island: every architecture, free of the rest of genae.

Importing it registers them all with transformers' Auto classes and, inside genae,
lets their `from_pretrained` find models through the registry.
"""

from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForNextSentencePrediction,
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoModelForTokenClassification,
)
from transformers.models.auto.tokenization_auto import REGISTERED_TOKENIZER_CLASSES

from zoo.registry import install

from .configuration_ae import AEConfig
from .configuration_albert import GenaeAlbertConfig
from .configuration_bert import GenaeBertConfig
from .configuration_classifier import ClassifierConfig
from .configuration_eae import EAEConfig
from .configuration_electra import GenaeElectraConfig
from .configuration_gau_alpha import GenaeGAUAlphaConfig
from .configuration_gpt import GenaeGPT2Config, GenaeGPT2MLConfig, GenaeGPTConfig
from .configuration_infomax import InfoMaxConfig
from .configuration_iwae import IWAEConfig
from .configuration_nezha import GenaeNezhaConfig
from .configuration_roformer import GenaeRoFormerConfig
from .configuration_roformer_v2 import GenaeRoFormerV2Config
from .configuration_t5 import GenaeT5Config
from .configuration_vae import VAEConfig
from .image_processing_genae import GenaeImageProcessor
from .modeling_ae import AEModel
from .modeling_albert import (
    GenaeAlbertForCausalLM,
    GenaeAlbertForMaskedLM,
    GenaeAlbertForNextSentencePrediction,
    GenaeAlbertForPreTraining,
    GenaeAlbertForSequenceClassification,
    GenaeAlbertForTokenClassification,
    GenaeAlbertModel,
)
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
from .modeling_electra import (
    GenaeElectraForPreTraining,
    GenaeElectraForSequenceClassification,
    GenaeElectraForTokenClassification,
    GenaeElectraModel,
)
from .modeling_gau_alpha import (
    GenaeGAUAlphaForCausalLM,
    GenaeGAUAlphaForMaskedLM,
    GenaeGAUAlphaForSequenceClassification,
    GenaeGAUAlphaForTokenClassification,
    GenaeGAUAlphaModel,
)
from .modeling_gpt import (
    GenaeGPT2ForCausalLM,
    GenaeGPT2ForSequenceClassification,
    GenaeGPT2ForTokenClassification,
    GenaeGPT2MLForCausalLM,
    GenaeGPT2MLForSequenceClassification,
    GenaeGPT2MLForTokenClassification,
    GenaeGPT2MLModel,
    GenaeGPT2Model,
    GenaeGPTForCausalLM,
    GenaeGPTForSequenceClassification,
    GenaeGPTForTokenClassification,
    GenaeGPTModel,
)
from .modeling_infomax import InfoMaxModel
from .modeling_iwae import IWAEModel
from .modeling_nezha import (
    GenaeNezhaForCausalLM,
    GenaeNezhaForMaskedLM,
    GenaeNezhaForNextSentencePrediction,
    GenaeNezhaForPreTraining,
    GenaeNezhaForSequenceClassification,
    GenaeNezhaForTokenClassification,
    GenaeNezhaModel,
)
from .modeling_roformer import (
    GenaeRoFormerForCausalLM,
    GenaeRoFormerForMaskedLM,
    GenaeRoFormerForNextSentencePrediction,
    GenaeRoFormerForPreTraining,
    GenaeRoFormerForSequenceClassification,
    GenaeRoFormerForTokenClassification,
    GenaeRoFormerModel,
)
from .modeling_roformer_v2 import (
    GenaeRoFormerV2ForCausalLM,
    GenaeRoFormerV2ForMaskedLM,
    GenaeRoFormerV2ForSequenceClassification,
    GenaeRoFormerV2ForTokenClassification,
    GenaeRoFormerV2Model,
)
from .modeling_t5 import (
    GenaeT5DecoderForCausalLM,
    GenaeT5EncoderModel,
    GenaeT5ForConditionalGeneration,
    GenaeT5Model,
)
from .modeling_vae import VAEModel
from .tokenization_genae import GenaeWordTokenizer

REGISTERED = (
    (AEConfig, AEModel, AutoModel),
    (VAEConfig, VAEModel, AutoModel),
    (EAEConfig, EAEModel, AutoModel),
    (InfoMaxConfig, InfoMaxModel, AutoModel),
    (IWAEConfig, IWAEModel, AutoModel),
    (ClassifierConfig, ClassifierModel, AutoModelForImageClassification),
)

for _config, _model, _auto in REGISTERED:
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    _auto.register(_config, _model, exist_ok=True)
    AutoImageProcessor.register(
        _config, image_processor_classes={"pil": GenaeImageProcessor}, exist_ok=True
    )

#: Text models: a configuration, and each head with the Auto class that finds it.
TEXT: dict[Any, dict[Any, Any]] = {
    GenaeBertConfig: {
        AutoModel: GenaeBertModel,
        AutoModelForCausalLM: GenaeBertForCausalLM,
        AutoModelForMaskedLM: GenaeBertForMaskedLM,
        AutoModelForNextSentencePrediction: GenaeBertForNextSentencePrediction,
        AutoModelForPreTraining: GenaeBertForPreTraining,
        AutoModelForSequenceClassification: GenaeBertForSequenceClassification,
        AutoModelForTokenClassification: GenaeBertForTokenClassification,
    },
    GenaeAlbertConfig: {
        AutoModel: GenaeAlbertModel,
        AutoModelForCausalLM: GenaeAlbertForCausalLM,
        AutoModelForMaskedLM: GenaeAlbertForMaskedLM,
        AutoModelForNextSentencePrediction: GenaeAlbertForNextSentencePrediction,
        AutoModelForPreTraining: GenaeAlbertForPreTraining,
        AutoModelForSequenceClassification: GenaeAlbertForSequenceClassification,
        AutoModelForTokenClassification: GenaeAlbertForTokenClassification,
    },
    GenaeNezhaConfig: {
        AutoModel: GenaeNezhaModel,
        AutoModelForCausalLM: GenaeNezhaForCausalLM,
        AutoModelForMaskedLM: GenaeNezhaForMaskedLM,
        AutoModelForNextSentencePrediction: GenaeNezhaForNextSentencePrediction,
        AutoModelForPreTraining: GenaeNezhaForPreTraining,
        AutoModelForSequenceClassification: GenaeNezhaForSequenceClassification,
        AutoModelForTokenClassification: GenaeNezhaForTokenClassification,
    },
    GenaeRoFormerConfig: {
        AutoModel: GenaeRoFormerModel,
        AutoModelForCausalLM: GenaeRoFormerForCausalLM,
        AutoModelForMaskedLM: GenaeRoFormerForMaskedLM,
        AutoModelForNextSentencePrediction: GenaeRoFormerForNextSentencePrediction,
        AutoModelForPreTraining: GenaeRoFormerForPreTraining,
        AutoModelForSequenceClassification: GenaeRoFormerForSequenceClassification,
        AutoModelForTokenClassification: GenaeRoFormerForTokenClassification,
    },
    GenaeRoFormerV2Config: {
        AutoModel: GenaeRoFormerV2Model,
        AutoModelForCausalLM: GenaeRoFormerV2ForCausalLM,
        AutoModelForMaskedLM: GenaeRoFormerV2ForMaskedLM,
        AutoModelForSequenceClassification: GenaeRoFormerV2ForSequenceClassification,
        AutoModelForTokenClassification: GenaeRoFormerV2ForTokenClassification,
    },
    GenaeGAUAlphaConfig: {
        AutoModel: GenaeGAUAlphaModel,
        AutoModelForCausalLM: GenaeGAUAlphaForCausalLM,
        AutoModelForMaskedLM: GenaeGAUAlphaForMaskedLM,
        AutoModelForSequenceClassification: GenaeGAUAlphaForSequenceClassification,
        AutoModelForTokenClassification: GenaeGAUAlphaForTokenClassification,
    },
    GenaeElectraConfig: {
        AutoModel: GenaeElectraModel,
        AutoModelForPreTraining: GenaeElectraForPreTraining,
        AutoModelForSequenceClassification: GenaeElectraForSequenceClassification,
        AutoModelForTokenClassification: GenaeElectraForTokenClassification,
    },
    GenaeGPTConfig: {
        AutoModel: GenaeGPTModel,
        AutoModelForCausalLM: GenaeGPTForCausalLM,
        AutoModelForSequenceClassification: GenaeGPTForSequenceClassification,
        AutoModelForTokenClassification: GenaeGPTForTokenClassification,
    },
    GenaeGPT2Config: {
        AutoModel: GenaeGPT2Model,
        AutoModelForCausalLM: GenaeGPT2ForCausalLM,
        AutoModelForSequenceClassification: GenaeGPT2ForSequenceClassification,
        AutoModelForTokenClassification: GenaeGPT2ForTokenClassification,
    },
    GenaeGPT2MLConfig: {
        AutoModel: GenaeGPT2MLModel,
        AutoModelForCausalLM: GenaeGPT2MLForCausalLM,
        AutoModelForSequenceClassification: GenaeGPT2MLForSequenceClassification,
        AutoModelForTokenClassification: GenaeGPT2MLForTokenClassification,
    },
    GenaeT5Config: {
        AutoModel: GenaeT5Model,
        AutoModelForCausalLM: GenaeT5DecoderForCausalLM,
        AutoModelForSeq2SeqLM: GenaeT5ForConditionalGeneration,
        AutoModelForTextEncoding: GenaeT5EncoderModel,
    },
}

for _text, _heads in TEXT.items():
    AutoConfig.register(_text.model_type, _text, exist_ok=True)
    for _finder, _head in _heads.items():
        _finder.register(_text, _head, exist_ok=True)

# AutoTokenizer finds it by the name in tokenizer_config.json; a configuration of its own, which
# `AutoTokenizer.register` asks for, it has none. Saving it writes its module beside the files.
REGISTERED_TOKENIZER_CLASSES[GenaeWordTokenizer.__name__] = GenaeWordTokenizer
GenaeWordTokenizer.register_for_auto_class()

# Only here: the modules of the island travel to the Hub alone and know no registry.
install()

__all__ = [
    "AEConfig",
    "AEModel",
    "ClassifierConfig",
    "ClassifierModel",
    "EAEConfig",
    "EAEModel",
    "GenaeAlbertConfig",
    "GenaeAlbertForCausalLM",
    "GenaeAlbertForMaskedLM",
    "GenaeAlbertForNextSentencePrediction",
    "GenaeAlbertForPreTraining",
    "GenaeAlbertForSequenceClassification",
    "GenaeAlbertForTokenClassification",
    "GenaeAlbertModel",
    "GenaeBertConfig",
    "GenaeBertForCausalLM",
    "GenaeBertForMaskedLM",
    "GenaeBertForNextSentencePrediction",
    "GenaeBertForPreTraining",
    "GenaeBertForSequenceClassification",
    "GenaeBertForTokenClassification",
    "GenaeBertModel",
    "GenaeElectraConfig",
    "GenaeElectraForPreTraining",
    "GenaeElectraForSequenceClassification",
    "GenaeElectraForTokenClassification",
    "GenaeElectraModel",
    "GenaeGAUAlphaConfig",
    "GenaeGAUAlphaForCausalLM",
    "GenaeGAUAlphaForMaskedLM",
    "GenaeGAUAlphaForSequenceClassification",
    "GenaeGAUAlphaForTokenClassification",
    "GenaeGAUAlphaModel",
    "GenaeGPT2Config",
    "GenaeGPT2ForCausalLM",
    "GenaeGPT2ForSequenceClassification",
    "GenaeGPT2ForTokenClassification",
    "GenaeGPT2MLConfig",
    "GenaeGPT2MLForCausalLM",
    "GenaeGPT2MLForSequenceClassification",
    "GenaeGPT2MLForTokenClassification",
    "GenaeGPT2MLModel",
    "GenaeGPT2Model",
    "GenaeGPTConfig",
    "GenaeGPTForCausalLM",
    "GenaeGPTForSequenceClassification",
    "GenaeGPTForTokenClassification",
    "GenaeGPTModel",
    "GenaeImageProcessor",
    "GenaeNezhaConfig",
    "GenaeNezhaForCausalLM",
    "GenaeNezhaForMaskedLM",
    "GenaeNezhaForNextSentencePrediction",
    "GenaeNezhaForPreTraining",
    "GenaeNezhaForSequenceClassification",
    "GenaeNezhaForTokenClassification",
    "GenaeNezhaModel",
    "GenaeRoFormerConfig",
    "GenaeRoFormerForCausalLM",
    "GenaeRoFormerForMaskedLM",
    "GenaeRoFormerForNextSentencePrediction",
    "GenaeRoFormerForPreTraining",
    "GenaeRoFormerForSequenceClassification",
    "GenaeRoFormerForTokenClassification",
    "GenaeRoFormerModel",
    "GenaeRoFormerV2Config",
    "GenaeRoFormerV2ForCausalLM",
    "GenaeRoFormerV2ForMaskedLM",
    "GenaeRoFormerV2ForSequenceClassification",
    "GenaeRoFormerV2ForTokenClassification",
    "GenaeRoFormerV2Model",
    "GenaeT5Config",
    "GenaeT5DecoderForCausalLM",
    "GenaeT5EncoderModel",
    "GenaeT5ForConditionalGeneration",
    "GenaeT5Model",
    "GenaeWordTokenizer",
    "IWAEConfig",
    "IWAEModel",
    "InfoMaxConfig",
    "InfoMaxModel",
    "VAEConfig",
    "VAEModel",
]
