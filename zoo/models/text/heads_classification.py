"""The heads that classify, each once: whole texts and single tokens."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput
from transformers.utils.generic import can_return_tuple

from .losses import token_loss
from .modeling_text import WithBackbone


class SequenceClassification(WithBackbone):
    """A linear head over the pooled vector: classes of whole texts, `(B, num_labels)`."""

    pooled: ClassVar[bool] = True

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
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

    def loss(self, logits: Tensor, labels: Tensor):
        """transformers': of numbers, classes or sets, by `config.problem_type` or the labels."""
        return ForSequenceClassificationLoss(labels, logits, self.config)

    def pool(self, output: Any, input_ids: Any, attention_mask: Any) -> Tensor:
        """One vector for a text, `(B, hidden_size)`: the pooler's, else that of one position.

        The first position, but the last visible one where only that has seen the whole text.
        """
        if output.pooler_output is not None:
            return output.pooler_output
        values = output.last_hidden_state
        if self.config.attention_mask_kind != "causal":
            return values[:, 0]
        if attention_mask is None and input_ids is None:
            return values[:, -1]
        if attention_mask is None:
            attention_mask = input_ids != (self.config.pad_token_id or 0)
        places = torch.arange(values.shape[1], device=values.device)
        last = (attention_mask.bool() * places).argmax(-1)
        return values[torch.arange(len(values), device=values.device), last]


class TokenClassification(SequenceClassification):
    """A linear head over every position: classes of tokens, `(B, L, num_labels)`."""

    pooled = False

    def loss(self, logits: Tensor, labels: Tensor):
        """Mean cross-entropy over labels that are not -100."""
        return token_loss(logits, labels)
