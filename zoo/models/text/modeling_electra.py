"""ELECTRA with every option that bert4keras built it with."""

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils.generic import can_return_tuple

from .activations import activation
from .configuration_electra import GenaeElectraConfig
from .heads_classification import SequenceClassification, TokenClassification
from .modeling_text import TextModel, TextPreTrainedModel, WithBackbone


class GenaeElectraPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeElectraConfig
    base_model_prefix = "electra"


class GenaeElectraModel(GenaeElectraPreTrainedModel, TextModel):
    """Without heads."""


class Discriminator(nn.Module):
    """Says of every token whether it was replaced, under transformers' names."""

    def __init__(self, config: GenaeElectraConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.dense_prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden_states: Tensor):
        return self.dense_prediction(self.act(self.dense(hidden_states))).squeeze(-1)


class GenaeElectraForPreTraining(GenaeElectraPreTrainedModel, WithBackbone):
    """With the discriminator: `logits` of shape `(B, L)`, positive where a token was replaced."""

    model_class = GenaeElectraModel

    def __init__(self, config: GenaeElectraConfig):
        super().__init__(config)
        self.discriminator_predictions = Discriminator(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        condition: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs,
    ):
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits = self.discriminator_predictions(output.last_hidden_state)
        loss = None
        if labels is not None:
            seen = labels >= 0  # -100 is not asked about
            loss = binary_cross_entropy_with_logits(logits[seen].float(), labels[seen].float())
        return TokenClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class GenaeElectraForSequenceClassification(GenaeElectraPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeElectraModel


class GenaeElectraForTokenClassification(GenaeElectraPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeElectraModel
