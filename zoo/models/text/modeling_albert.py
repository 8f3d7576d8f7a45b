"""ALBERT with every option that bert4keras built it with: layers share their blocks."""

from .configuration_albert import GenaeAlbertConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM, NextSentencePrediction, PreTraining
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeAlbertPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeAlbertConfig
    base_model_prefix = "albert"


class GenaeAlbertModel(GenaeAlbertPreTrainedModel, TextModel):
    """Without heads."""


class GenaeAlbertForMaskedLM(GenaeAlbertPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeAlbertModel


class GenaeAlbertForCausalLM(GenaeAlbertPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeAlbertModel


class GenaeAlbertForPreTraining(GenaeAlbertPreTrainedModel, PreTraining):
    """With both heads of pretraining."""

    model_class = GenaeAlbertModel


class GenaeAlbertForNextSentencePrediction(GenaeAlbertPreTrainedModel, NextSentencePrediction):
    """With the head that says whether the second text follows."""

    model_class = GenaeAlbertModel


class GenaeAlbertForSequenceClassification(GenaeAlbertPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeAlbertModel


class GenaeAlbertForTokenClassification(GenaeAlbertPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeAlbertModel


globals().update(fine_tuned("GenaeAlbert", __name__, GenaeAlbertPreTrainedModel, GenaeAlbertModel))
