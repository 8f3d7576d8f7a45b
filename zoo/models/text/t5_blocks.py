"""Blocks of T5: buckets of offsets, attention with their bias, and the stack of one half."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers import PreTrainedConfig
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .activations import activation
from .configuration_t5 import GenaeT5Config


def bucket_starts(count: int, furthest: int) -> list[int]:
    """The smallest distance of each bucket, whole numbers: no logarithm rounds differently.

    Half of the buckets hold one distance each; bucket h + k of the others begins where
    h (furthest / h)^(k / (count - h)) is reached, h = count / 2 (arXiv:1910.10683, section 2.1).

    Example:
        >>> bucket_starts(16, 128)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]
    """
    half = count // 2
    steps = count - half
    starts, distance = list(range(half)), half
    for k in range(steps):
        while distance**steps * half**k < half**steps * furthest**k:
            distance += 1
        starts.append(distance)
    return starts


def buckets(offsets: Tensor, count: int, furthest: int, one_sided: bool) -> Tensor:
    """The bucket of each offset (key - query).

    Args:
        offsets: whole numbers of any shape.
        count: buckets; two-sided, the second half is for keys behind the query.
        furthest: distances from here on are alike.
        one_sided: keys behind the query are all in bucket 0.
    """
    half = count if one_sided else count // 2
    distances = (-offsets).clamp(min=0) if one_sided else offsets.abs()
    starts = torch.tensor(bucket_starts(half, furthest), device=offsets.device)
    found = torch.bucketize(distances, starts, right=True) - 1
    return found if one_sided else found + half * (offsets > 0)


def seen(input_ids: Tensor, pad_token_id: int | None) -> Tensor:
    """bert4keras's own mask, bool: padding is not seen, but for the first position."""
    mask = input_ids != (pad_token_id or 0)
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], 1)


def additive(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to scores: the bias where the mask is true, a very low number elsewhere.

    Half the lowest, so that adding a score does not overflow.
    """
    if mask is None:
        return None if bias is None else bias.to(dtype)
    values = mask.new_zeros((), dtype=dtype) if bias is None else bias.to(dtype)
    return torch.where(mask, values, torch.finfo(dtype).min / 2)


def matrix(inputs: int, outputs: int) -> Any:
    """A linear map without bias; `spread` is the standard deviation of its fresh weights."""
    made: Any = nn.Linear(inputs, outputs, bias=False)
    made.spread = inputs**-0.5
    return made


class T5Attention(nn.Module):
    """Multi-head attention without scaling of scores."""

    def __init__(self, config: GenaeT5Config, layer_idx: int, table: bool = False):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.is_causal = False  # the mask says it all
        width = config.num_heads * config.d_kv
        self.q, self.k, self.v = (matrix(config.d_model, width) for _ in range(3))
        self.q.spread *= config.d_kv**-0.5  # in place of the scaling of scores
        self.o = matrix(width, config.d_model)
        self.relative_attention_bias = None
        if table:
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )
            self.relative_attention_bias.spread = config.d_model**-0.5

    def forward(
        self,
        hidden_states: Tensor,
        bias: Tensor | None,
        source: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
    ):
        query = self.split(self.q, hidden_states)
        key, value = self.keys_and_values(hidden_states, source, cache)
        rate = self.config.dropout_rate if self.training else 0.0
        kind = self.config._attn_implementation or "eager"
        if kind == "eager" or output_attentions:
            scores = query @ key.transpose(-1, -2)
            scores = scores if bias is None else scores + bias
            exact = torch.promote_types(scores.dtype, torch.float32)
            weights = scores.softmax(-1, dtype=exact).to(query.dtype)
            joined = (dropout(weights, rate, self.training) @ value).transpose(1, 2)
        else:
            joined, weights = ALL_ATTENTION_FUNCTIONS[kind](
                self, query, key, value, bias, scaling=1.0, dropout=rate
            )
        return self.o(joined.flatten(2)), weights

    def split(self, dense, values: Tensor):
        """`(B, L, width)` to `(B, heads, L, d_kv)`."""
        return dense(values).unflatten(-1, (self.config.num_heads, -1)).transpose(1, 2)

    def keys_and_values(
        self, hidden_states: Tensor, source: Tensor | None, cache: EncoderDecoderCache | None
    ):
        """Those of the past included; the encoder's are computed once."""
        place = self.layer_idx
        if source is not None and cache is not None and cache.is_updated.get(place):
            layer: Any = cache.cross_attention_cache.layers[place]
            return layer.keys, layer.values
        values = hidden_states if source is None else source
        pair = self.split(self.k, values), self.split(self.v, values)
        if cache is None:
            return pair
        if source is None:
            return cache.self_attention_cache.update(*pair, place)
        cache.is_updated[place] = True
        return cache.cross_attention_cache.update(*pair, place)


class T5FeedForward(nn.Module):
    """wo(act(wi x)), or gated, wo(act(wi_0 x) * wi_1 x) (arXiv:2002.05202)."""

    def __init__(self, config: GenaeT5Config):
        super().__init__()
        self.names = ("wi_0", "wi_1") if config.is_gated_act else ("wi",)
        for name in self.names:
            self.add_module(name, matrix(config.d_model, config.d_ff))
        self.wo = matrix(config.d_ff, config.d_model)
        self.act = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor):
        first, *gated = (getattr(self, name)(hidden_states) for name in self.names)
        wide = self.act(first)
        for linear in gated:
            wide = wide * linear
        return self.wo(self.dropout(wide)), None


class T5Sublayer(nn.Module):
    """What goes in, plus a part of it normalised; the part lies under transformers' name."""

    def __init__(self, config: GenaeT5Config, name: str, part):
        super().__init__()
        self.name = name
        self.add_module(name, part)
        self.layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor, *args):
        part = getattr(self, self.name)
        changed, weights = part(self.layer_norm(hidden_states), *args)
        return hidden_states + self.dropout(changed), weights


class T5Block(GradientCheckpointingLayer):
    """Self attention, in a decoder cross attention, and the feed-forward part."""

    def __init__(self, config: GenaeT5Config, layer_idx: int, decoder: bool):
        super().__init__()
        parts: list[tuple[str, nn.Module]]
        parts = [("SelfAttention", T5Attention(config, layer_idx, table=layer_idx == 0))]
        parts += [("EncDecAttention", T5Attention(config, layer_idx))] if decoder else []
        parts += [("DenseReluDense", T5FeedForward(config))]
        self.layer = nn.ModuleList(T5Sublayer(config, *part) for part in parts)

    # Biases carry gradients: by position, as checkpointing wants them.
    def forward(
        self,
        hidden_states: Tensor,
        bias: Tensor | None,
        source: Tensor | None = None,
        cross_bias: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
    ):
        hidden_states, weights = self.layer[0](
            hidden_states, bias, None, past_key_values, output_attentions
        )
        cross = None
        if source is not None:
            hidden_states, cross = self.layer[1](
                hidden_states, cross_bias, source, past_key_values, output_attentions
            )
        hidden_states, _ = self.layer[-1](hidden_states)
        return hidden_states, weights, cross


class T5Stack(nn.Module):
    """The encoder, or the decoder, from embeddings on.

    `hidden_states` begins with the embeddings and ends with `last_hidden_state`, normalised; the
    last block's own output is what `block[-1]` returns first.
    """

    main_input_name = "input_ids"  # `generate` asks the encoder for it

    def __init__(self, config: GenaeT5Config, layers, decoder: bool = False):
        super().__init__()
        self.config, self.decoder = config, decoder
        self.block: Any = nn.ModuleList(T5Block(config, i, decoder) for i in range(layers))
        self.final_layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def position_bias(self, queries: int, keys: int, past: int = 0) -> Tensor:
        """The table's entry for each key and query, `(1, heads, queries, keys)`.

        Args:
            queries: how many.
            keys: how many, from position 0 on.
            past: position of the first query.
        """
        table = self.block[0].layer[0].SelfAttention.relative_attention_bias
        offsets = torch.arange(1 - past - queries, keys - past, device=table.weight.device)
        config = self.config
        found = buckets(
            offsets,
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
            self.decoder,
        )
        # Row q of the matrix is a window of the offsets, one step further left than row q - 1.
        return table(found).T.unfold(-1, keys, 1).flip(-2)[None]

    def forward(
        self,
        embeds: Tensor,
        mask: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ):
        queries, dtype = embeds.shape[1], embeds.dtype
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        keys = past + queries
        visible = None if mask is None else mask[:, None, None, :].bool()
        if self.decoder:
            order = torch.arange(keys, device=embeds.device)
            causal = order[None, :] <= order[past:, None]
            visible = causal if visible is None else visible & causal
        bias = additive(self.position_bias(queries, keys, past), visible, dtype)
        cross_bias = None
        if source is not None:
            cross_bias = additive(
                self.position_bias(queries, source.shape[1], past)
                if self.config.cross_position_bias
                else None,
                None if source_mask is None else source_mask[:, None, None, :].bool(),
                dtype,
            )
        hidden = self.dropout(embeds)
        states, attentions, crosses = [hidden], [], []
        for block in self.block:
            hidden, weights, cross = block(
                hidden, bias, source, cross_bias,
                past_key_values=past_key_values, output_attentions=output_attentions,
            )  # fmt: skip
            states.append(hidden)
            attentions.append(weights)
            crosses.append(cross)
        hidden = states[-1] = self.dropout(self.final_layer_norm(hidden))
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden,
            past_key_values=past_key_values,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            cross_attentions=tuple(crosses) if output_attentions and source is not None else None,
        )


class T5TokenEncoder(nn.Module):
    """The encoder together with the table of tokens: what `generate` asks for."""

    def __init__(self, config: PreTrainedConfig, shared, stack):
        super().__init__()
        self.config, self.shared, self.stack = config, shared, stack

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ):
        config = self.config
        embeds = embedded(self.shared, input_ids, inputs_embeds)
        if attention_mask is None and input_ids is not None:
            attention_mask = seen(input_ids, config.pad_token_id)
        made = self.stack(
            embeds,
            attention_mask,
            output_attentions=chosen(config.output_attentions, output_attentions),
            output_hidden_states=chosen(config.output_hidden_states, output_hidden_states),
        )
        return BaseModelOutput(made.last_hidden_state, made.hidden_states, made.attentions)


def embedded(table: nn.Module, input_ids: Tensor | None, inputs_embeds: Tensor | None):
    """Embeddings of tokens, unless they are given."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give token ids or embeddings, one of them, to encoder and decoder each")
    return table(input_ids) if inputs_embeds is None else inputs_embeds


def chosen(default, given):
    """A flag's value."""
    return bool(default if given is None else given)
