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

from .configuration_heads import ClassifierSettings, TokenClassifierSettings, only_settings
from .configuration_text import TextConfig
from .heads_base import States
from .heads_labels import choose, label_loss, pool
from .losses import token_loss
from .modeling_text import TextModel, WithBackbone


class SequenceClassification(WithBackbone):
    """A linear head over the pooled vector: classes of whole texts.

    Arguments and errors as of `TextModel`, and `labels`: classes `(batch,)`, or `(batch,
    num_labels)` of numbers or sets, as `config.problem_type` says. `logits` are `(batch,
    num_labels)`; `loss` is transformers', averaged over the batch: cross-entropy in nats, or
    squared error of numbers.

    Where `config.heads` has one table, of kind "classifier", it says the pooling, the activation
    and with it the loss, and the dropout (`ClassifierSettings`).

    Raises:
        ValueError: the table asks for a pooler that the configuration leaves out.
    """

    pooled: ClassVar[bool] = True

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.classifier_dropout
        kind = "classifier" if self.pooled else "token_classifier"
        self.settings = cast(TokenClassifierSettings | None, only_settings(config.heads, kind))
        if self.settings is not None:
            rate = self.settings.dropout
            if (
                getattr(self.settings, "pooling", "") == "pooler"
                and self.base_model.pooler is None
            ):
                raise ValueError("heads: pooling 'pooler' needs a configuration with pooler=True")
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
        if self.settings is not None:
            return label_loss(self.settings, logits, labels)
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
        hidden = cast(Tensor, output.last_hidden_state)
        if isinstance(self.settings, ClassifierSettings):
            if attention_mask is None:
                segments = hidden.new_zeros(hidden.shape[:2], dtype=torch.long)
                backbone = cast(TextModel, self.base_model)
                attention_mask = backbone.default_mask(input_ids, segments, 0)
            seen = States(hidden, attention_mask.bool(), output.pooler_output)
            return pool(self.settings.pooling, seen)
        if output.pooler_output is not None:
            return output.pooler_output
        if self.config.attention_mask_kind != "causal":
            return hidden[:, 0]
        if attention_mask is None:
            if input_ids is None:
                return hidden[:, -1]
            attention_mask = input_ids != (self.config.pad_token_id or 0)
        places = torch.arange(hidden.shape[1], device=hidden.device)
        last = (attention_mask.bool() * places).argmax(-1)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]

    @torch.no_grad()
    def decode(self, outputs: Any, attention_mask: Tensor | None = None) -> list[Any]:
        """Labels of each text, or of each visible token of it.

        Args:
            outputs: of `forward`, or anything with its `logits`.
            attention_mask: `(batch, length)`, read of tokens; None is all visible.

        Returns:
            Of a text or token one label, or, where several may hold, a list of them.
        """
        several = self.config.problem_type == "multi_label_classification"
        settings = self.settings or TokenClassifierSettings(
            activation="sigmoid" if several else "softmax"
        )
        logits: Tensor = outputs.logits
        if self.pooled:
            return choose(settings, logits)
        seen = [slice(None)] * len(logits) if attention_mask is None else attention_mask.bool()
        return [choose(settings, row[kept]) for row, kept in zip(logits, seen, strict=True)]


class TokenClassification(SequenceClassification):
    """A linear head over every position: classes of tokens.

    Arguments and errors as of `TextModel`, and `labels` `(batch, length)`, -100 where none is
    asked for. `logits` are `(batch, length, num_labels)`; `loss` is `token_loss`, in nats, unless
    `config.heads` has one table, of kind "token_classifier" (`TokenClassifierSettings`).
    """

    pooled = False

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over labels that are not -100; see `token_loss`."""
        if self.settings is not None:
            return label_loss(self.settings, logits, labels)
        return token_loss(logits, labels)
