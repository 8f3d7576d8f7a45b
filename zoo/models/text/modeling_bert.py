"""BERT with every option that bert4keras built it with."""

from .configuration_bert import GenaeBertConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM, NextSentencePrediction, PreTraining
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeBertPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeBertConfig
    base_model_prefix = "bert"


class GenaeBertModel(GenaeBertPreTrainedModel, TextModel):
    """Without heads."""


class GenaeBertForMaskedLM(GenaeBertPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeBertModel


class GenaeBertForCausalLM(GenaeBertPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeBertModel


class GenaeBertForPreTraining(GenaeBertPreTrainedModel, PreTraining):
    """With both heads of pretraining."""

    model_class = GenaeBertModel


class GenaeBertForNextSentencePrediction(GenaeBertPreTrainedModel, NextSentencePrediction):
    """With the head that says whether the second text follows."""

    model_class = GenaeBertModel


class GenaeBertForSequenceClassification(GenaeBertPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeBertModel


class GenaeBertForTokenClassification(GenaeBertPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeBertModel


globals().update(fine_tuned("GenaeBert", __name__, GenaeBertPreTrainedModel, GenaeBertModel))
