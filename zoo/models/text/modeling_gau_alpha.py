"""GAU-alpha: gated attention units and a head tied to the embeddings."""

from .configuration_gau_alpha import GenaeGAUAlphaConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeGAUAlphaPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeGAUAlphaConfig
    base_model_prefix = "gau_alpha"


class GenaeGAUAlphaModel(GenaeGAUAlphaPreTrainedModel, TextModel):
    """Without heads."""


class GenaeGAUAlphaForMaskedLM(GenaeGAUAlphaPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeGAUAlphaModel


class GenaeGAUAlphaForCausalLM(GenaeGAUAlphaPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeGAUAlphaModel


class GenaeGAUAlphaForSequenceClassification(GenaeGAUAlphaPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeGAUAlphaModel


class GenaeGAUAlphaForTokenClassification(GenaeGAUAlphaPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeGAUAlphaModel


globals().update(
    fine_tuned("GenaeGAUAlpha", __name__, GenaeGAUAlphaPreTrainedModel, GenaeGAUAlphaModel)
)
