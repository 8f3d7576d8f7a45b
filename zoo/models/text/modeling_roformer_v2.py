"""RoFormerV2: no biases, normalisation without parameters, a head tied to the embeddings."""

from .configuration_roformer_v2 import GenaeRoFormerV2Config
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeRoFormerV2PreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeRoFormerV2Config
    base_model_prefix = "roformer"


class GenaeRoFormerV2Model(GenaeRoFormerV2PreTrainedModel, TextModel):
    """Without heads."""


class GenaeRoFormerV2ForMaskedLM(GenaeRoFormerV2PreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeRoFormerV2Model


class GenaeRoFormerV2ForCausalLM(GenaeRoFormerV2PreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeRoFormerV2Model


class GenaeRoFormerV2ForSequenceClassification(
    GenaeRoFormerV2PreTrainedModel, SequenceClassification
):
    """Classes of whole texts."""

    model_class = GenaeRoFormerV2Model


class GenaeRoFormerV2ForTokenClassification(GenaeRoFormerV2PreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeRoFormerV2Model


globals().update(
    fine_tuned("GenaeRoFormerV2", __name__, GenaeRoFormerV2PreTrainedModel, GenaeRoFormerV2Model)
)
