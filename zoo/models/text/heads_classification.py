"""The heads that classify, each once: whole texts and single tokens."""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils.generic import can_return_tuple

from .configuration_text import TextConfig
from .losses import token_loss
from .modeling_text import WithBackbone


class SequenceClassification(WithBackbone):
    """A linear head over the pooled vector: classes of whole texts.

    Arguments and errors as of `TextModel`, and `labels`: classes `(batch,)`, or `(batch,
    num_labels)` of numbers or sets, as `config.problem_type` says. `logits` are `(batch,
    num_labels)`; `loss` is transformers', averaged over the batch: cross-entropy in nats, or
    squared error of numbers.
    """

    pooled: ClassVar[bool] = True

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, cast(int, config.num_labels))
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
    ) -> SequenceClassifierOutput | TokenClassifierOutput:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        values = output.last_hidden_state
        if self.pooled:
            values = self.pool(output, input_ids, attention_mask)
        logits = self.classifier(self.dropout(values))
        kind = SequenceClassifierOutput if self.pooled else TokenClassifierOutput
        return kind(
            loss=None if labels is None else self.loss(logits.float(), labels),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """transformers': of numbers, classes or sets, by `config.problem_type` or the labels.

        Args:
            logits: float32, `(batch, num_labels)`.
            labels: `(batch,)` or `(batch, num_labels)`.
        """
        return ForSequenceClassificationLoss(labels, logits, self.config)

    def pool(
        self,
        output: BaseModelOutputWithPoolingAndCrossAttentions,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
    ) -> Tensor:
        """One vector for a text: the pooler's, else that of one position.

        The first position, but the last visible one where only that has read the whole text.

        Args:
            output: the backbone's.
            input_ids: `(batch, length)`; says what is visible where no mask does.
            attention_mask: `(batch, length)`.

        Returns:
            `(batch, hidden_size)`.
        """
        if output.pooler_output is not None:
            return output.pooler_output
        values = cast(Tensor, output.last_hidden_state)
        if self.config.attention_mask_kind != "causal":
            return values[:, 0]
        if attention_mask is None:
            if input_ids is None:
                return values[:, -1]
            attention_mask = input_ids != (self.config.pad_token_id or 0)
        places = torch.arange(values.shape[1], device=values.device)
        last = (attention_mask.bool() * places).argmax(-1)
        return values[torch.arange(len(values), device=values.device), last]


class TokenClassification(SequenceClassification):
    """A linear head over every position: classes of tokens.

    Arguments and errors as of `TextModel`, and `labels` `(batch, length)`, -100 where none is
    asked for. `logits` are `(batch, length, num_labels)`; `loss` is `token_loss`, in nats.
    """

    pooled = False

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over labels that are not -100; see `token_loss`."""
        return token_loss(logits, labels)
