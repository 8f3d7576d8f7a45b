"""Blocks of text models: embeddings, and the four ways a block is put together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .activations import activation
from .attention import Attended, Context, GatedAttentionUnit, SelfAttention
from .configuration_text import TextConfig
from .norms import make_norm


class TextEmbeddings(nn.Module):
    """Tokens, segments and positions, added and, in most families, normalised.

    Reads the embeddings of tokens `(batch, length, embedding_width)`, segments and positions
    `(batch or 1, length)`, and makes `(batch, length, embedding_width)`.
    """

    def __init__(self, config: TextConfig) -> None:
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
        inputs_embeds: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        condition: Tensor | None,
    ) -> Tensor:
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
        embeddings: Tensor = self.dropout(values)
        return embeddings

    def positions(self, position_ids: Tensor) -> Tensor:
        """Rows of the table, or, hierarchically, mixtures of two: of the quotient and the rest.

        With n rows p and alpha a: e = (p - a p_0) / (1 - a); position k is a e[k // n] +
        (1 - a) e[k % n], which is p_k below n (`PositionEmbedding` of bert4keras 0.11.5).

        Args:
            position_ids: `(batch or 1, length)`, from 0 on and below n, hierarchically below n^2.

        Returns:
            `(batch or 1, length, embedding_width)`.

        Raises:
            ValueError: a position is outside; looked for on a CPU only.
        """
        alpha, rows = self.config.hierarchical_position, self.config.max_position_embeddings
        longest = rows if alpha is None else rows**2
        # Indices outside a table are a device assertion on a GPU: say it before.
        compiling = torch.compiler.is_compiling()
        if position_ids.device.type == "cpu" and position_ids.numel() and not compiling:
            last = int(position_ids.max())
            if last >= longest:
                raise ValueError(f"position {last} is outside the {longest} positions there are")
        if alpha is None:
            vectors: Tensor = self.position_embeddings(position_ids)
            return vectors
        table = self.position_embeddings.weight
        table = (table - alpha * table[:1]) / (1 - alpha)
        return alpha * table[position_ids // rows] + (1 - alpha) * table[position_ids % rows]


class Output(nn.Module):
    """A dense map, added to what went in, perhaps normalised: the end of each half of a block.

    Reads `(batch, length, inputs)` and what went in, and makes `(batch, length, hidden_size)`.
    """

    def __init__(self, inputs: int, config: TextConfig, normalised: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size, bias=config.use_bias)
        self.LayerNorm = make_norm(config.hidden_size, config) if normalised else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, values: Tensor, residual: Tensor, condition: Tensor | None) -> Tensor:
        values = residual + self.dropout(self.dense(values))
        if self.LayerNorm is not None:
            values = self.LayerNorm(values, condition)
        return values


class Intermediate(nn.Module):
    """The wide half of the feed-forward part.

    Reads `(batch, length, hidden_size)` and makes `(batch, length, intermediate_size)`.
    """

    def __init__(self, config: TextConfig, normalised: bool = False) -> None:
        super().__init__()
        self.LayerNorm = make_norm(config.hidden_size, config) if normalised else None
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.use_bias)
        self.act = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor, condition: Tensor | None) -> Tensor:
        if self.LayerNorm is not None:
            hidden_states = self.LayerNorm(hidden_states, condition)
        return self.act(self.dense(hidden_states))


class Attention(nn.Module):
    """Attention and the map behind it, under transformers' names.

    Reads and makes `(batch, length, hidden_size)`; `other` is what the mixer takes besides: the
    scores of the previous layer, or what an encoder made.

    Args:
        config: of the model.
        first: normalise what goes in.
        last: normalise what comes out.
        mixer: what mixes positions, instead of `SelfAttention`.
    """

    def __init__(
        self,
        config: TextConfig,
        first: bool = False,
        last: bool = True,
        mixer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.LayerNorm = make_norm(config.hidden_size, config) if first else None
        self.self = SelfAttention(config) if mixer is None else mixer
        inputs = config.num_attention_heads * config.value_head_size
        self.output = Output(inputs, config, normalised=last)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        other: Tensor | None,
    ) -> Attended:
        values = hidden_states
        if self.LayerNorm is not None:
            values = self.LayerNorm(values, context.condition)
        joined, weights, scores = self.self(values, context, layer_idx, other)
        return self.output(joined, hidden_states, context.condition), weights, scores


class AttentionFeedForward(GradientCheckpointingLayer):
    """Attention, then feed-forward, each added to what went in.

    `norms` says which of four places are normalised: before and after attention, before and
    after the feed-forward part. Reads and makes `(batch, length, hidden_size)`.

    Args:
        config: of the model.
        mixer: what mixes positions, instead of `SelfAttention`.
    """

    norms: ClassVar[tuple[bool, bool, bool, bool]] = (False, True, False, True)

    def __init__(self, config: TextConfig, mixer: nn.Module | None = None) -> None:
        super().__init__()
        before, between, wide, after = self.norms
        self.attention = Attention(config, before, between, mixer)
        self.intermediate = Intermediate(config, wide)
        self.output = Output(config.intermediate_size, config, after)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        hidden_states, weights, scores = self.attention(
            hidden_states, context, layer_idx, previous_scores
        )
        wide = self.intermediate(hidden_states, context.condition)
        return self.output(wide, hidden_states, context.condition), weights, scores

    @property
    def last_norm(self) -> nn.Module | None:
        """The normalisation at its end; None without one."""
        return self.output.LayerNorm


class PostNormBlock(AttentionFeedForward):
    """BERT's block (arXiv:1706.03762, section 3.1)."""


class PreNormBlock(AttentionFeedForward):
    """GPT-2's block (Radford et al., 2019); a normalisation of its own follows the last one."""

    norms = (True, False, True, False)


class GroverBlock(AttentionFeedForward):
    """Grover's block (arXiv:1905.12616): the feed-forward part is normalised before and after."""

    norms = (False, False, True, True)


class GatedBlock(GradientCheckpointingLayer):
    """One gated attention unit, added to what went in and normalised.

    Reads and makes `(batch, length, hidden_size)`.
    """

    def __init__(self, config: TextConfig) -> None:
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
    ) -> Attended:
        values, weights, scores = self.gau(hidden_states, context, layer_idx, previous_scores)
        values = self.LayerNorm(hidden_states + self.dropout(values), context.condition)
        return values, weights, scores

    @property
    def last_norm(self) -> nn.Module:
        """The normalisation at its end."""
        return self.LayerNorm


BLOCKS: dict[str, type[nn.Module]] = {
    "post_norm": PostNormBlock,
    "pre_norm": PreNormBlock,
    "grover": GroverBlock,
    "gated": GatedBlock,
}


class Encoder(nn.Module):
    """The blocks, under transformers' name; fewer than layers where they share weights.

    Iterating gives the block of each layer, `num_hidden_layers` in all.

    Args:
        config: of the model.
        mixers: what mixes positions in each block, instead of `SelfAttention`.
        kinds: classes of blocks by `block_kind`.
    """

    def __init__(
        self,
        config: TextConfig,
        mixers: Sequence[nn.Module] = (),
        kinds: Mapping[str, type[nn.Module]] = BLOCKS,
    ) -> None:
        super().__init__()
        block = kinds[config.block_kind]
        self.groups = config.num_hidden_groups or config.num_hidden_layers
        self.layers = config.num_hidden_layers
        self.layer = nn.ModuleList(
            [block(config, mixer) for mixer in mixers]
            or [block(config) for _ in range(self.groups)]
        )

    def __iter__(self) -> Iterator[nn.Module]:
        return (self.layer[i * self.groups // self.layers] for i in range(self.layers))


class Pooler(nn.Module):
    """A dense map of the first position.

    Reads `(batch, length, hidden_size)` and makes `(batch, hidden_size)`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.pooler_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.act(self.dense(hidden_states[:, 0]))


def visible(
    config: TextConfig, attention_mask: Tensor, token_type_ids: Tensor, past_length: int
) -> Tensor | None:
    """Which keys are visible to each query.

    Args:
        config: says the kind of mask.
        attention_mask: true or 1 where a key may be visible at all, `(batch, keys)`.
        token_type_ids: segments of the queries, `(batch, queries)`; sums of them rank the
            positions of "prefix". All of the past ranks before.
        past_length: number of keys in the cache; `keys` are these and the queries.

    Returns:
        Bool, `(batch, 1, queries, keys)`; None where all are.
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
