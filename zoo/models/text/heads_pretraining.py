"""The heads of pretraining, each once: masked and next tokens, and whether texts follow."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import GenerationMixin
from transformers.cache_utils import Cache
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    SequenceClassifierOutput,
)
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_text import TextConfig
from .losses import token_loss
from .modeling_text import PredictionHead, TextModel, WithBackbone


class Heads(nn.Module):
    """The heads of pretraining, under transformers' names.

    Args:
        config: of the model.
        tokens: whether there is one for tokens.
        relation: whether there is one for whether texts follow.
    """

    def __init__(self, config: TextConfig, tokens: bool = True, relation: bool = False) -> None:
        super().__init__()
        if tokens:
            self.predictions = PredictionHead(config)
        if relation:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)


class WithPretrainingHeads(WithBackbone):
    """A model with some of the heads of pretraining.

    Raises:
        ValueError: a head tied to the embeddings, where these have another width than the hidden
            states.
    """

    tokens: ClassVar[bool] = True
    relation: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        config: Any = cls.config_class
        if config is None or not cls.tokens:
            return
        table = f"{cls.base_model_prefix}.embeddings.word_embeddings.weight"
        if config.head_kind == "tied":
            cls._tied_weights_keys = {"lm_head.weight": table}
        else:
            cls._tied_weights_keys = {
                "cls.predictions.decoder.weight": table,
                "cls.predictions.decoder.bias": "cls.predictions.bias",
            }

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        self.tied = self.tokens and config.head_kind == "tied"
        if self.tied:
            if config.embedding_width != config.hidden_size:
                raise ValueError(
                    f"embedding_size {config.embedding_width}: a head tied to the embeddings "
                    f"needs them as wide as hidden_size, {config.hidden_size}"
                )
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        else:
            self.cls = Heads(config, self.tokens, self.relation)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear | None:
        if self.tied:
            return cast(nn.Linear, self.lm_head)
        return self.cls.predictions.decoder if self.tokens else None

    def set_output_embeddings(self, value: nn.Linear) -> None:
        if self.tied:
            self.lm_head = value
        else:
            self.cls.predictions.decoder = value
            self.cls.predictions.bias = value.bias

    def logits(self, hidden_states: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores of tokens before the softmax.

        Args:
            hidden_states: `(batch, length, hidden_size)`.
            condition: as of `TextModel`.

        Returns:
            `(batch, length, vocab_size)`.
        """
        if self.tied:
            return cast(Tensor, self.lm_head(hidden_states))
        condition = cast(TextModel, self.base_model).conditions(condition)
        return cast(Tensor, self.cls.predictions(hidden_states, condition))

    def relate(self, output: BaseModelOutputWithPoolingAndCrossAttentions) -> Tensor:
        """Scores of (is next, is not) before the softmax, `(batch, 2)`.

        Raises:
            ValueError: the model has no pooler.
        """
        if output.pooler_output is None:
            raise ValueError(
                "config.pooler is False, and this head reads the pooler; set it to True"
            )
        return cast(Tensor, self.cls.seq_relationship(output.pooler_output))


class MaskedLM(WithPretrainingHeads):
    """With the head that fills in masked tokens (arXiv:1810.04805, section 3.1).

    Arguments and errors as of `TextModel`, and `labels` `(batch, length)`: the masked tokens, -100
    where none is asked for. `logits` are `(batch, length, vocab_size)`; `loss` is `token_loss`,
    in nats.
    """

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
    ) -> MaskedLMOutput:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits = self.logits(cast(Tensor, output.last_hidden_state), condition)
        return MaskedLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class CausalLM(WithPretrainingHeads, GenerationMixin):
    """With the same head, predicting the next token; generates.

    Arguments and errors as of `TextModel`, and `labels` `(batch, length)`, equal to the ids, -100
    where none is asked for; `logits_to_keep` computes the logits of so many last positions only, 0
    of all. `logits` are `(batch, kept length, vocab_size)`; `loss` is `token_loss`, in nats.
    """

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
        past_key_values: Cache | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            past_key_values=past_key_values, **kwargs,
        )  # fmt: skip
        kept = slice(-logits_to_keep, None) if logits_to_keep else slice(None)
        logits = self.logits(cast(Tensor, output.last_hidden_state)[:, kept], condition)
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else token_loss(logits[:, :-1], labels[:, 1:]),
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def _update_model_kwargs_for_generation(
        self, outputs: ModelOutput, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Generated tokens are of segment 1 after a prefix, else of segment 0.

        Where segments look up tokens, a generated one speaks as the one before it.
        """
        updated = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, *args, **kwargs
        )
        segments = updated.get("token_type_ids")
        if segments is not None and not self.config.shared_segment_embeddings:
            segments[:, -1] = int(self.config.attention_mask_kind == "prefix")
        return updated


@dataclass
class PreTrainingOutput(ModelOutput):
    """Scores of both heads before the softmax.

    Attributes:
        loss: sum of the losses of the heads that have labels, in nats; None without labels.
        prediction_logits: of tokens, `(batch, length, vocab_size)`.
        seq_relationship_logits: of (is next, is not), `(batch, 2)`.
        hidden_states: as of `TextModel`.
        attentions: as of `TextModel`.
    """

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class PreTraining(WithPretrainingHeads):
    """With both heads of pretraining (arXiv:1810.04805, section 3.1).

    Arguments and errors as of `TextModel`, `labels` as of `MaskedLM`, and `next_sentence_label`
    `(batch,)`: 0 where the second text follows the first, else 1. It needs the pooler.
    """

    relation = True

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
        next_sentence_label: Tensor | None = None,
        **kwargs: Any,
    ) -> PreTrainingOutput:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits = self.logits(cast(Tensor, output.last_hidden_state), condition)
        relation = self.relate(output)
        losses: list[Tensor] = []
        if labels is not None:
            losses.append(token_loss(logits, labels))
        if next_sentence_label is not None:
            losses.append(cross_entropy(relation.float(), next_sentence_label.flatten()))
        return PreTrainingOutput(
            loss=sum(losses[1:], losses[0]) if losses else None,
            prediction_logits=logits,
            seq_relationship_logits=relation,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class NextSentencePrediction(WithPretrainingHeads):
    """With the head that says whether the second text follows the first.

    Arguments and errors as of `TextModel`, and `labels` `(batch,)`: 0 where it follows, else 1.
    `logits` are `(batch, 2)`; `loss` is the cross-entropy averaged over the batch, in nats. It
    needs the pooler.
    """

    tokens, relation = False, True

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
    ) -> SequenceClassifierOutput:
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits = self.relate(output)
        return SequenceClassifierOutput(
            loss=None if labels is None else cross_entropy(logits.float(), labels.flatten()),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )
