"""GPT with segments, GPT-2 and GPT2-ML: causal models with heads tied to the embeddings."""

from .configuration_gpt import GenaeGPT2Config, GenaeGPT2MLConfig, GenaeGPTConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeGPTPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeGPTConfig
    base_model_prefix = "gpt"


class GenaeGPTModel(GenaeGPTPreTrainedModel, TextModel):
    """Without heads."""


class GenaeGPTForCausalLM(GenaeGPTPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeGPTModel


class GenaeGPTForSequenceClassification(GenaeGPTPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeGPTModel


class GenaeGPTForTokenClassification(GenaeGPTPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeGPTModel


class GenaeGPT2PreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeGPT2Config
    base_model_prefix = "gpt"


class GenaeGPT2Model(GenaeGPT2PreTrainedModel, TextModel):
    """Without heads."""


class GenaeGPT2ForCausalLM(GenaeGPT2PreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeGPT2Model


class GenaeGPT2ForSequenceClassification(GenaeGPT2PreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeGPT2Model


class GenaeGPT2ForTokenClassification(GenaeGPT2PreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeGPT2Model


class GenaeGPT2MLPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeGPT2MLConfig
    base_model_prefix = "gpt"


class GenaeGPT2MLModel(GenaeGPT2MLPreTrainedModel, TextModel):
    """Without heads."""


class GenaeGPT2MLForCausalLM(GenaeGPT2MLPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeGPT2MLModel


class GenaeGPT2MLForSequenceClassification(GenaeGPT2MLPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeGPT2MLModel


class GenaeGPT2MLForTokenClassification(GenaeGPT2MLPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeGPT2MLModel


globals().update(
    fine_tuned("GenaeGPT", __name__, GenaeGPTPreTrainedModel, GenaeGPTModel)
    | fine_tuned("GenaeGPT2", __name__, GenaeGPT2PreTrainedModel, GenaeGPT2Model)
    | fine_tuned("GenaeGPT2ML", __name__, GenaeGPT2MLPreTrainedModel, GenaeGPT2MLModel)
)
