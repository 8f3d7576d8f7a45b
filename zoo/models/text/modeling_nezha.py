"""NEZHA: BERT with relative positions in keys and values."""

from typing import Any

from .configuration_nezha import GenaeNezhaConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM, NextSentencePrediction, PreTraining
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeNezhaPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeNezhaConfig
    base_model_prefix = "nezha"
    _supports_sdpa = False

    def _check_and_adjust_attn_implementation(
        self, attn_implementation: str | None, *args: Any, **kwargs: Any
    ) -> str:
        if attn_implementation not in (None, "eager"):
            raise ValueError(
                f"attn_implementation {attn_implementation!r}: NEZHA adds relative positions to "
                "values, which needs the attention probabilities; it is 'eager' only. Leave the "
                "argument out"
            )
        return super()._check_and_adjust_attn_implementation(attn_implementation, *args, **kwargs)


class GenaeNezhaModel(GenaeNezhaPreTrainedModel, TextModel):
    """Without heads."""


class GenaeNezhaForMaskedLM(GenaeNezhaPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeNezhaModel


class GenaeNezhaForCausalLM(GenaeNezhaPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeNezhaModel


class GenaeNezhaForPreTraining(GenaeNezhaPreTrainedModel, PreTraining):
    """With both heads of pretraining."""

    model_class = GenaeNezhaModel


class GenaeNezhaForNextSentencePrediction(GenaeNezhaPreTrainedModel, NextSentencePrediction):
    """With the head that says whether the second text follows."""

    model_class = GenaeNezhaModel


class GenaeNezhaForSequenceClassification(GenaeNezhaPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeNezhaModel


class GenaeNezhaForTokenClassification(GenaeNezhaPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeNezhaModel


globals().update(fine_tuned("GenaeNezha", __name__, GenaeNezhaPreTrainedModel, GenaeNezhaModel))
