"""ELECTRA with every option that bert4keras built it with."""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils.generic import can_return_tuple

from .activations import activation
from .configuration_electra import GenaeElectraConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .modeling_text import TextModel, TextPreTrainedModel, WithBackbone


class GenaeElectraPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeElectraConfig
    base_model_prefix = "electra"


class GenaeElectraModel(GenaeElectraPreTrainedModel, TextModel):
    """Without heads."""


class Discriminator(nn.Module):
    """Says of every token whether it was replaced (arXiv:2003.10555, section 2).

    Reads `(batch, length, hidden_size)` and makes logits `(batch, length)`, under transformers'
    names.
    """

    def __init__(self, config: GenaeElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.dense_prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        logits: Tensor = self.dense_prediction(self.act(self.dense(hidden_states)))
        return logits.squeeze(-1)


class GenaeElectraForPreTraining(GenaeElectraPreTrainedModel, WithBackbone):
    """With the discriminator: `logits` `(batch, length)`, positive where a token was replaced.

    Arguments and errors as of `TextModel`, and `labels` `(batch, length)`: 1 for a token that was
    replaced, 0 for one that was not, -100 for one that is not asked about. `loss` is the binary
    cross-entropy averaged over the tokens asked about, in nats.
    """

    model_class = GenaeElectraModel

    def __init__(self, config: GenaeElectraConfig) -> None:
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
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits = self.discriminator_predictions(output.last_hidden_state)
        loss = None
        if labels is not None:
            asked = labels >= 0  # -100 is not
            loss = binary_cross_entropy_with_logits(logits[asked].float(), labels[asked].float())
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


globals().update(
    fine_tuned("GenaeElectra", __name__, GenaeElectraPreTrainedModel, GenaeElectraModel)
)
