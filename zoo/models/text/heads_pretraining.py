"""The heads of pretraining, each once: masked and next tokens, and whether texts follow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import GenerationMixin
from transformers.cache_utils import Cache
from transformers.modeling_outputs import (
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    SequenceClassifierOutput,
)
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_text import TextConfig
from .losses import token_loss
from .modeling_text import PredictionHead, WithBackbone


class Heads(nn.Module):
    """The heads of pretraining, under transformers' names."""

    def __init__(self, config: TextConfig, tokens: bool = True, relation: bool = False):
        super().__init__()
        if tokens:
            self.predictions = PredictionHead(config)
        if relation:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)


class WithPretrainingHeads(WithBackbone):
    """A model with some of the heads of pretraining."""

    tokens: ClassVar[bool] = True
    relation: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        config: Any = cls.config_class
        if config is None or not cls.tokens:
            return
        words = f"{cls.base_model_prefix}.embeddings.word_embeddings.weight"
        if config.head_kind == "tied":
            cls._tied_weights_keys = {"lm_head.weight": words}
        else:
            cls._tied_weights_keys = {
                "cls.predictions.decoder.weight": words,
                "cls.predictions.decoder.bias": "cls.predictions.bias",
            }

    def __init__(self, config: TextConfig):
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

    def get_output_embeddings(self):
        if self.tied:
            return self.lm_head
        return self.cls.predictions.decoder if self.tokens else None

    def set_output_embeddings(self, value: Any):
        if self.tied:
            self.lm_head = value
        else:
            self.cls.predictions.decoder = value
            self.cls.predictions.bias = value.bias

    def logits(self, hidden_states: Tensor, condition: Tensor | None = None):
        """Scores of tokens, `(B, L, vocab_size)`."""
        if self.tied:
            return self.lm_head(hidden_states)
        return self.cls.predictions(hidden_states, condition)

    def relate(self, output):
        """Scores of (is next, is not), `(B, 2)`."""
        if output.pooler_output is None:
            raise ValueError("this head needs the pooler: config.pooler is False")
        return self.cls.seq_relationship(output.pooler_output)


class MaskedLM(WithPretrainingHeads):
    """With the head that fills in masked tokens: `logits` `(B, L, vocab_size)`."""

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
        logits = self.logits(output.last_hidden_state, condition)
        return MaskedLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class CausalLM(WithPretrainingHeads, GenerationMixin):
    """With the same head, predicting the next token, `(B, L, vocab_size)`; generates."""

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
        **kwargs,
    ):
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            past_key_values=past_key_values, **kwargs,
        )  # fmt: skip
        kept = slice(-logits_to_keep, None) if logits_to_keep else slice(None)
        logits = self.logits(output.last_hidden_state[:, kept], condition)
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else token_loss(logits[:, :-1], labels[:, 1:]),
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def _update_model_kwargs_for_generation(self, outputs, model_kwargs, *args, **kwargs):
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
    """Scores of both heads, `(B, L, vocab_size)` and `(B, 2)`; `loss` sums their losses."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class PreTraining(WithPretrainingHeads):
    """With both heads of pretraining."""

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
        **kwargs,
    ):
        output = self.run(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs,
        )  # fmt: skip
        logits, relation = self.logits(output.last_hidden_state, condition), self.relate(output)
        losses = [] if labels is None else [token_loss(logits, labels)]
        losses += (
            []
            if next_sentence_label is None
            else [cross_entropy(relation.float(), next_sentence_label.flatten())]
        )
        return PreTrainingOutput(
            loss=sum(losses) if losses else None,
            prediction_logits=logits,
            seq_relationship_logits=relation,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class NextSentencePrediction(WithPretrainingHeads):
    """With the head that says whether the second text follows the first: `(B, 2)`."""

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
        **kwargs,
    ):
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
