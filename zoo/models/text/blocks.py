"""Blocks of text models: embeddings, normalisations, and the four ways a block is put together."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .activations import activation
from .attention import Context, GatedAttentionUnit, SelfAttention
from .configuration_text import TextConfig


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer normalisation whose scale and offset may move with a condition.

    The dense maps of the condition start at zero, so that a fresh one is the plain normalisation.
    """

    def __init__(self, size: int, config: TextConfig, eps: float):
        super().__init__(size, eps=eps)
        self.conditional = config.condition_size is not None
        self.condition_hidden = None
        if not self.conditional:
            return
        width: Any = config.condition_size
        if config.condition_hidden_size is not None:
            self.condition_hidden = nn.Linear(width, config.condition_hidden_size, bias=False)
            self.act = activation(config.condition_hidden_act)
            width = config.condition_hidden_size
        self.condition_bias = nn.Linear(width, size, bias=False)
        self.condition_weight = nn.Linear(width, size, bias=False)

    def forward(self, values: Tensor, condition: Tensor | None = None):
        if not self.conditional:
            return super().forward(values)
        if condition is None:
            raise ValueError(
                "this model's layer normalisation is conditional: give `condition`, of shape "
                f"(batch, {(self.condition_hidden or self.condition_weight).in_features})"
            )
        if self.condition_hidden is not None:
            condition = self.act(self.condition_hidden(condition))
        while condition.ndim < values.ndim:
            condition = condition[:, None]
        plain = nn.functional.layer_norm(values, self.normalized_shape, eps=self.eps)
        scale = self.weight + self.condition_weight(condition)
        return plain * scale + self.bias + self.condition_bias(condition)


class PlainRMSNorm(nn.Module):
    """Division by the root of the mean square; no parameters."""

    def __init__(self, size: int, config: TextConfig, eps: float):
        super().__init__()
        self.size, self.eps = size, eps

    def forward(self, values: Tensor, condition: Tensor | None = None):
        return nn.functional.rms_norm(values, (self.size,), eps=self.eps)


NORMS = {"layer": ConditionalLayerNorm, "rms": PlainRMSNorm}


def make_norm(size: int, config: TextConfig, eps: float | None = None):
    """The family's normalisation; `eps` other than that of the blocks where it is given."""
    return NORMS[config.norm_kind](size, config, config.layer_norm_eps if eps is None else eps)


class TextEmbeddings(nn.Module):
    """Tokens, segments and positions, added and, in most families, normalised."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        if config.position_kind == "table":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        if config.type_vocab_size and not config.shared_segment_embeddings:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        if config.embedding_norm:
            self.LayerNorm = make_norm(width, config, config.embedding_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        inputs_embeds: Tensor | None,
        token_type_ids: Tensor,
        position_ids: Tensor,
        condition: Tensor | None,
    ):
        config = self.config
        values = inputs_embeds
        if config.shared_segment_embeddings:
            values = values + self.word_embeddings(token_type_ids)
        elif config.type_vocab_size:
            values = values + self.token_type_embeddings(token_type_ids)
        if config.position_kind == "table":
            values = values + self.positions(position_ids)
        if config.embedding_norm:
            values = self.LayerNorm(values, condition)
        return self.dropout(values)

    def positions(self, position_ids: Tensor):
        """Rows of the table, or, hierarchically, mixtures of two: of the quotient and the rest.

        With rows p and alpha a: e = (p - a p_0) / (1 - a); position k is a e[k // n] +
        (1 - a) e[k % n], which is p_k below n.
        """
        alpha, rows = self.config.hierarchical_position, self.config.max_position_embeddings
        longest = rows if alpha is None else rows**2
        # Indices outside a table are a device assertion on a GPU: say it before.
        if position_ids.device.type == "cpu" and position_ids.numel():
            last = int(position_ids.max())
            if last >= longest:
                raise ValueError(f"position {last} is outside the {longest} positions there are")
        if alpha is None:
            return self.position_embeddings(position_ids)
        table = self.position_embeddings.weight
        table = (table - alpha * table[:1]) / (1 - alpha)
        return alpha * table[position_ids // rows] + (1 - alpha) * table[position_ids % rows]


class Output(nn.Module):
    """A dense map, added to what went in, perhaps normalised: the end of each half of a block."""

    def __init__(self, inputs: int, config: TextConfig, normalised: bool = True):
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size, bias=config.use_bias)
        self.LayerNorm = make_norm(config.hidden_size, config) if normalised else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, values: Tensor, residual: Tensor, condition: Tensor | None):
        values = residual + self.dropout(self.dense(values))
        return values if self.LayerNorm is None else self.LayerNorm(values, condition)


class Intermediate(nn.Module):
    """The wide half of the feed-forward part."""

    def __init__(self, config: TextConfig, normalised: bool = False):
        super().__init__()
        self.LayerNorm = make_norm(config.hidden_size, config) if normalised else None
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.use_bias)
        self.act = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor, condition: Tensor | None):
        if self.LayerNorm is not None:
            hidden_states = self.LayerNorm(hidden_states, condition)
        return self.act(self.dense(hidden_states))


class Attention(nn.Module):
    """Attention and the map behind it, under transformers' names."""

    def __init__(self, config: TextConfig, first: bool = False, last: bool = True):
        super().__init__()
        self.LayerNorm = make_norm(config.hidden_size, config) if first else None
        self.self = SelfAttention(config)
        inputs = config.num_attention_heads * config.value_head_size
        self.output = Output(inputs, config, normalised=last)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None,
    ):
        values = hidden_states
        if self.LayerNorm is not None:
            values = self.LayerNorm(values, context.condition)
        joined, weights, scores = self.self(values, context, layer_idx, previous_scores)
        return self.output(joined, hidden_states, context.condition), weights, scores


class AttentionFeedForward(GradientCheckpointingLayer):
    """Attention, then feed-forward, each added to what went in.

    `norms` says which of four places are normalised: before and after attention, before and
    after the feed-forward part.
    """

    norms = (False, True, False, True)

    def __init__(self, config: TextConfig):
        super().__init__()
        before, between, wide, after = self.norms
        self.attention = Attention(config, before, between)
        self.intermediate = Intermediate(config, wide)
        self.output = Output(config.intermediate_size, config, after)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ):
        hidden_states, weights, scores = self.attention(
            hidden_states, context, layer_idx, previous_scores
        )
        wide = self.intermediate(hidden_states, context.condition)
        return self.output(wide, hidden_states, context.condition), weights, scores


class PostNormBlock(AttentionFeedForward):
    """BERT's block."""


class PreNormBlock(AttentionFeedForward):
    """GPT-2's block; a normalisation of its own follows the last one."""

    norms = (True, False, True, False)


class GroverBlock(AttentionFeedForward):
    """Grover's block: the feed-forward part is normalised before and after."""

    norms = (False, False, True, True)


class GatedBlock(GradientCheckpointingLayer):
    """One gated attention unit, added to what went in and normalised."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.gau = GatedAttentionUnit(config)
        self.LayerNorm = make_norm(config.hidden_size, config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ):
        values, weights, scores = self.gau(hidden_states, context, layer_idx, previous_scores)
        values = self.LayerNorm(hidden_states + self.dropout(values), context.condition)
        return values, weights, scores


BLOCKS = {
    "post_norm": PostNormBlock,
    "pre_norm": PreNormBlock,
    "grover": GroverBlock,
    "gated": GatedBlock,
}


class Encoder(nn.Module):
    """The blocks, under transformers' name; fewer than layers where they share weights."""

    def __init__(self, config: TextConfig):
        super().__init__()
        block = BLOCKS[config.block_kind]
        self.groups = config.num_hidden_groups or config.num_hidden_layers
        self.layers = config.num_hidden_layers
        self.layer = nn.ModuleList(block(config) for _ in range(self.groups))

    def __iter__(self):
        return (self.layer[i * self.groups // self.layers] for i in range(self.layers))


class Pooler(nn.Module):
    """A dense map of the first position, `(B, L, hidden_size)` to `(B, hidden_size)`."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.pooler_act)

    def forward(self, hidden_states: Tensor):
        return self.act(self.dense(hidden_states[:, 0]))


def visible(config: Any, attention_mask: Tensor, token_type_ids: Tensor, past_length: int):
    """Which keys each query sees, bool, shape `(B, 1, queries, keys)`; None where it is all.

    Args:
        config: says the kind.
        attention_mask: keys that may be seen at all, `(B, past + queries)`.
        token_type_ids: of the queries, `(B, queries)`; sums of them rank the positions of
            "prefix". All of the past ranks before.
        past_length: keys in the cache.
    """
    batch, queries = token_type_ids.shape
    keys = attention_mask[:, None, None, :].bool()
    if config.attention_mask_kind == "full":
        # One look at the mask costs less than masking nothing in every layer.
        if not torch.compiler.is_compiling() and keys.device.type == "cpu" and bool(keys.all()):
            return None
        return keys.expand(batch, 1, queries, keys.shape[-1])
    if config.attention_mask_kind == "causal":
        rank = torch.arange(queries, device=keys.device).expand(batch, queries)
    else:
        rank = token_type_ids.cumsum(1)
    past = torch.ones((batch, 1, queries, past_length), dtype=torch.bool, device=keys.device)
    own = (rank[:, None, :] <= rank[:, :, None])[:, None]
    return keys & torch.cat([past, own], -1)
