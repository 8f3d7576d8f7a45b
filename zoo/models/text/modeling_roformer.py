"""RoFormer with every option that bert4keras built it with: rotary positions."""

from .configuration_roformer import GenaeRoFormerConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM, NextSentencePrediction, PreTraining
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeRoFormerPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeRoFormerConfig
    base_model_prefix = "roformer"


class GenaeRoFormerModel(GenaeRoFormerPreTrainedModel, TextModel):
    """Without heads."""


class GenaeRoFormerForMaskedLM(GenaeRoFormerPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeRoFormerModel


class GenaeRoFormerForCausalLM(GenaeRoFormerPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeRoFormerModel


class GenaeRoFormerForPreTraining(GenaeRoFormerPreTrainedModel, PreTraining):
    """With both heads of pretraining."""

    model_class = GenaeRoFormerModel


class GenaeRoFormerForNextSentencePrediction(GenaeRoFormerPreTrainedModel, NextSentencePrediction):
    """With the head that says whether the second text follows."""

    model_class = GenaeRoFormerModel


class GenaeRoFormerForSequenceClassification(GenaeRoFormerPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeRoFormerModel


class GenaeRoFormerForTokenClassification(GenaeRoFormerPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeRoFormerModel


globals().update(
    fine_tuned("GenaeRoFormer", __name__, GenaeRoFormerPreTrainedModel, GenaeRoFormerModel)
)
