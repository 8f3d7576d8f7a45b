"""Attention of text models: multi-head with three kinds of positions, and the gated unit.

Shapes: `queries` is the length of what is read now; `keys` counts the past in a cache as well.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .activations import activation
from .configuration_text import TextConfig
from .t5_bias import additive

#: What attention or a block makes of hidden states: its own hidden states `(batch, queries, ...)`,
#: and probabilities and scores `(batch, heads, queries, keys)`, None where they are not computed.
Attended = tuple[Tensor, Tensor | None, Tensor | None]


@dataclass
class Context:
    """What every block of one forward pass reads.

    Attributes:
        mask: which keys are visible to each query, bool, `(batch, 1, queries, keys)`; None for
            all.
        keys: number of keys.
        rotary: cosines and sines, each `(batch or 1, queries, 1, key_head_size / 2)`.
        relative: vectors of offsets, `(queries, keys, key_head_size)`.
        condition: what conditional normalisation takes, `(batch, condition_size)` or
            `(batch, length, condition_size)`.
        cache: past keys and values.
        output_attentions: whether probabilities are wanted.
        places: positions of queries and keys, where attention itself reads them.
        source: what cross attention reads, in a decoder.
    """

    mask: Tensor | None
    keys: int
    rotary: tuple[Tensor, Tensor] | None = None
    relative: Tensor | None = None
    condition: Tensor | None = None
    cache: Cache | None = None
    output_attentions: bool = False
    places: "Places | None" = None
    source: "Source | None" = None


@dataclass(frozen=True)
class Source:
    """What an encoder made.

    Attributes:
        states: `(batch, source length, hidden_size)`.
        mask: which of them are visible, bool, `(batch, 1, 1, source length)`; None for all.
        cache: their keys and values; None for none.
    """

    states: Tensor
    mask: Tensor | None
    cache: EncoderDecoderCache | None


@dataclass(frozen=True)
class Places:
    """Positions of queries and keys.

    Attributes:
        start: position of the first query, where queries and keys are given by their order alone.
        queries: positions otherwise, `(batch or 1, queries)`; None by their order.
        keys: the same, `(batch or 1, keys)`.
        padded: some key may be hidden from every query.
    """

    start: int
    queries: Tensor | None
    keys: Tensor | None
    padded: bool


def rotary_angles(position_ids: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position times 10000^(-2 i / size) (arXiv:2104.09864, equation 15).

    Args:
        position_ids: `(batch or 1, length)`, whole numbers from 0.
        size: width of a head, even.
        dtype: of the result; angles are computed in float64.

    Returns:
        Each `(batch or 1, length, 1, size / 2)`, in [-1, 1].
    """
    steps = torch.arange(0, size, 2, device=position_ids.device, dtype=torch.float64) / size
    angles = position_ids[:, :, None, None].double() * 10000**-steps
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(values: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Turn neighbouring pairs (x0, x1), (x2, x3) ... by the angles of their positions.

    Args:
        values: `(batch, length, heads, size)`.
        rotary: as `rotary_angles` gives them.

    Returns:
        The same shape; the norm of each pair stays.
    """
    cosine, sine = rotary
    even, odd = values[..., 0::2], values[..., 1::2]
    turned = torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), -1)
    return turned.flatten(-2)


def relative_vectors(
    queries: int, keys: int, size: int, max_distance: int, like: Tensor
) -> Tensor:
    """Sinusoids of the offset of each key from each query (arXiv:1909.00204, equation 5).

    Args:
        queries: number of queries, the last ones of the keys.
        keys: number of keys.
        size: width of a head; sines stand in even columns, cosines in odd ones.
        max_distance: offsets are clipped to this many tokens, either way.
        like: a tensor of the dtype and on the device that are wanted.

    Returns:
        `(queries, keys, size)`, in [-1, 1].
    """
    device = like.device
    rows = torch.arange(2 * max_distance + 1, device=device, dtype=torch.float64)[:, None]
    columns = torch.arange(0, size, 2, device=device, dtype=torch.float64)
    angles = rows * 10000 ** (-columns / size)
    table = torch.stack((angles.sin(), angles.cos()), -1).flatten(1)[:, :size].to(like.dtype)
    query = torch.arange(keys - queries, keys, device=device)
    offsets = torch.arange(keys, device=device)[None] - query[:, None]
    return table[offsets.clamp(-max_distance, max_distance) + max_distance]


def per_query(values: Tensor, vectors: Tensor) -> Tensor:
    """Products with each query's own matrix.

    Args:
        values: `(batch, heads, queries, m)`.
        vectors: `(queries, m, n)`.

    Returns:
        `(batch, heads, queries, n)`.
    """
    batch, heads, queries, _ = values.shape
    flat = values.permute(2, 0, 1, 3).reshape(queries, batch * heads, -1)
    products: Tensor = (flat @ vectors).unflatten(1, (batch, heads))
    return products.permute(1, 2, 0, 3)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    rate: float = 0.0,
    relative: Tensor | None = None,
    previous_scores: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention step by step.

    Args:
        module: asked whether it is in training.
        query: `(batch, heads, queries, key_head_size)`.
        key: `(batch, heads, keys, key_head_size)`.
        value: `(batch, heads, keys, value_head_size)`.
        mask: bool, as `Context.mask`; None for all visible.
        scaling: factor on scores.
        rate: share of probabilities dropped in training, in [0, 1].
        relative: vectors of offsets, added to keys and values (arXiv:1909.00204, equations 1
            and 2).
        previous_scores: those of the previous layer, added after scaling (arXiv:2012.11747,
            equation 4), or any other bias, `(batch or 1, heads, queries, keys)`.

    Returns:
        The context `(batch, queries, heads, value_head_size)`; the probabilities, in [0, 1], and
        the scaled scores of this layer alone, both `(batch, heads, queries, keys)`.
    """
    scores = query @ key.transpose(-1, -2)
    if relative is not None:
        scores = scores + per_query(query, relative.transpose(1, 2))
    raw = scores = scores * scaling
    if previous_scores is not None:
        scores = scores + previous_scores
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    weights = weights.to(query.dtype)
    dropped = dropout(weights, rate, module.training)
    context = dropped @ value
    if relative is not None:
        context = context + per_query(dropped, relative)
    return context.transpose(1, 2).contiguous(), weights, raw


class SelfAttention(nn.Module):
    """Multi-head attention; keys and values may have widths of their own.

    Reads `(batch, queries, hidden_size)`; its context has the heads joined, `(batch, queries,
    num_attention_heads * value_head_size)`. arXiv:1706.03762, section 3.2.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.is_causal = False  # the mask says it all
        heads, bias = config.num_attention_heads, config.use_bias
        self.scaling = config.dot_product_scale
        self.query = nn.Linear(config.hidden_size, heads * config.key_head_size, bias)
        self.key = nn.Linear(config.hidden_size, heads * config.key_head_size, bias)
        self.value = nn.Linear(config.hidden_size, heads * config.value_head_size, bias)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        heads = self.config.num_attention_heads
        query, key, value = (
            dense(hidden_states).unflatten(-1, (heads, -1))
            for dense in (self.query, self.key, self.value)
        )
        if context.rotary is not None:
            query, key = rotate(query, context.rotary), rotate(key, context.rotary)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if context.cache is not None:
            key, value = context.cache.update(key, value, layer_idx)
        return attend(self, query, key, value, context, self.scaling, previous_scores)


def split_heads(values: Tensor, num_heads: int) -> Tensor:
    """`(batch, length, num_heads * size)` as `(batch, num_heads, length, size)`."""
    heads: Tensor = values.unflatten(-1, (num_heads, -1))
    return heads.transpose(1, 2)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Context,
    scaling: float,
    previous_scores: Tensor | None = None,
) -> Attended:
    """Attention by the configured implementation.

    Args:
        module: whose configuration says which, and which is asked whether it is in training.
        query: `(batch, heads, queries, key_head_size)`.
        key: `(batch, heads, keys, key_head_size)`.
        value: `(batch, heads, keys, value_head_size)`.
        context: of this forward pass.
        scaling: factor on scores.
        previous_scores: what is added to scores, where something is: those of the previous
            layer, or any other bias.

    Returns:
        The context with its heads joined, `(batch, queries, heads * value_head_size)`,
        probabilities and scores; the latter two only where they are computed at all.
    """
    config = cast(TextConfig, module.config)
    rate = config.attention_probs_dropout_prob if module.training else 0.0
    kind = config._attn_implementation or "eager"
    stepwise = (
        kind == "eager"
        or context.output_attentions
        or config.residual_attention_scores
        or context.relative is not None
    )
    if stepwise:
        joined, weights, scores = eager_attention(
            module, query, key, value, context.mask, scaling, rate, context.relative,
            previous_scores,
        )  # fmt: skip
        return joined.flatten(2), weights, scores
    mask = context.mask
    if previous_scores is not None:
        mask = additive(previous_scores, mask, query.dtype)
    joined, weights = ALL_ATTENTION_FUNCTIONS[kind](
        module, query, key, value, mask, scaling=scaling, dropout=rate
    )
    return joined.flatten(2), weights, None


class GatedAttentionUnit(nn.Module):
    """Attention and feed-forward in one: a gate times the values attended to.

    One dense map gives the gate u, the values v and z; queries and keys are z, scaled apart
    (arXiv:2202.10447, section 3). Scores of n visible keys, 16 at least, are multiplied by
    log n / log `attention_reference_length`, as in the GAU-alpha release.

    Reads and makes `(batch, queries, hidden_size)`. The configuration is a `GenaeGAUAlphaConfig`.
    """

    min_keys: ClassVar[int] = 16

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.is_causal = False
        wide, size = config.intermediate_size, config.key_head_size
        self.i_dense = nn.Linear(config.hidden_size, 2 * wide + size, bias=config.use_bias)
        self.query_scale = nn.Parameter(torch.ones(size))
        self.key_scale = nn.Parameter(torch.ones(size))
        self.o_dense = nn.Linear(wide, config.hidden_size, bias=config.use_bias)
        self.act = activation(config.hidden_act)

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        wide, size = self.config.intermediate_size, self.config.key_head_size
        mixed = self.act(self.i_dense(hidden_states))
        gate, value, shared = mixed.split((wide, wide, size), dim=-1)
        query, key, value = (
            part.unsqueeze(2)
            for part in (shared * self.query_scale, shared * self.key_scale, value)
        )
        assert context.rotary is not None  # its positions are rotary always
        query, key = rotate(query, context.rotary), rotate(key, context.rotary)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if context.cache is not None:
            key, value = context.cache.update(key, value, layer_idx)
        query = query * self.sharpness(context, query)
        scaling = self.config.key_head_size**-0.5
        joined, weights, scores = attend(
            self, query, key, value, context, scaling, previous_scores
        )
        return self.o_dense(gate * joined), weights, scores

    def sharpness(self, context: Context, query: Tensor) -> Tensor | float:
        """The factor on queries, log n / log `attention_reference_length`.

        Args:
            context: whose mask says how many keys n are visible.
            query: of the dtype that is wanted.

        Returns:
            `(batch, 1, queries, 1)`, or one number where all keys are visible.
        """
        reference = math.log(self.config.attention_reference_length)
        if context.mask is None:
            return math.log(max(context.keys, self.min_keys)) / reference
        count = context.mask.sum(-1, keepdim=True).clamp(min=self.min_keys)
        return (count.to(torch.float32).log() / reference).to(query.dtype)
