"""Blocks of T5: attention with a bias for each offset, and the stack of one half.

Shapes: `queries` is the length of what is read now; `keys` counts the past in a cache as well.
"""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .activations import activation
from .configuration_t5 import GenaeT5Config
from .t5_bias import additive, buckets, visible_tokens

#: Hidden states, and the probabilities of attention where they are computed.
Weighted = tuple[Tensor, Tensor | None]


class Matrix(nn.Linear):
    """A linear map without bias, `(..., inputs)` to `(..., outputs)`.

    `spread` is the standard deviation of its fresh weights.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.spread = inputs**-0.5


class OffsetTable(nn.Embedding):
    """A bias for each bucket and head, `(buckets, heads)`; `spread` as of `Matrix`."""

    def __init__(self, config: GenaeT5Config) -> None:
        super().__init__(config.relative_attention_num_buckets, config.num_heads)
        self.spread = config.d_model**-0.5


class T5Attention(nn.Module):
    """Multi-head attention without scaling of scores (arXiv:1910.10683, section 2.1).

    Reads and makes `(batch, queries, d_model)`, and gives the probabilities `(batch, num_heads,
    queries, keys)` where they are computed.

    Args:
        config: of the model.
        layer_idx: the block's number from 0 on, which is its place in the cache.
        table: whether the biases of offsets lie here, as they do in the first block.
    """

    def __init__(self, config: GenaeT5Config, layer_idx: int, table: bool = False) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.is_causal = False  # the mask says it all
        width = config.num_heads * config.d_kv
        self.q, self.k, self.v = (Matrix(config.d_model, width) for _ in range(3))
        self.q.spread *= config.d_kv**-0.5  # in place of the scaling of scores
        self.o = Matrix(width, config.d_model)
        self.relative_attention_bias = OffsetTable(config) if table else None

    def forward(
        self,
        hidden_states: Tensor,
        bias: Tensor | None,
        source: Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
    ) -> Weighted:
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

    def split(self, dense: nn.Linear, values: Tensor) -> Tensor:
        """Map `(batch, length, d_model)` and split the heads, `(batch, heads, length, d_kv)`."""
        heads: Tensor = dense(values).unflatten(-1, (self.config.num_heads, -1))
        return heads.transpose(1, 2)

    def keys_and_values(
        self, hidden_states: Tensor, source: Tensor | None, cache: EncoderDecoderCache | None
    ) -> tuple[Tensor, Tensor]:
        """Those of the past included; the encoder's are computed once.

        Args:
            hidden_states: `(batch, queries, d_model)`.
            source: what the encoder made, `(batch, source length, d_model)`; None for self
                attention.
            cache: read and filled; None for none.

        Returns:
            Each `(batch, heads, keys, d_kv)`.
        """
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
    """wo(act(wi x)), or gated, wo(act(wi_0 x) * wi_1 x) (arXiv:2002.05202, equation 6).

    Reads and makes `(batch, length, d_model)`; there are no probabilities to give.
    """

    def __init__(self, config: GenaeT5Config) -> None:
        super().__init__()
        self.names = ("wi_0", "wi_1") if config.is_gated_act else ("wi",)
        for name in self.names:
            self.add_module(name, Matrix(config.d_model, config.d_ff))
        self.wo = Matrix(config.d_ff, config.d_model)
        self.act = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor) -> Weighted:
        first, *gated = (getattr(self, name)(hidden_states) for name in self.names)
        wide = self.act(first)
        for linear in gated:
            wide = wide * linear
        return self.wo(self.dropout(wide)), None


class T5Sublayer(nn.Module):
    """What goes in, plus a part of it normalised; the part lies under transformers' name.

    Reads and makes `(batch, length, d_model)`; gives the probabilities that the part gives.

    Args:
        config: of the model.
        name: transformers' of the part.
        part: attention, or the feed-forward part.
    """

    def __init__(self, config: GenaeT5Config, name: str, part: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, part)
        self.layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor, *args: Any) -> Weighted:
        part = getattr(self, self.name)
        changed, weights = part(self.layer_norm(hidden_states), *args)
        return hidden_states + self.dropout(changed), weights


class T5Block(GradientCheckpointingLayer):
    """Self attention, in a decoder cross attention, and the feed-forward part.

    Reads and makes `(batch, queries, d_model)`, and gives the probabilities of both attentions
    where they are computed.
    """

    def __init__(self, config: GenaeT5Config, layer_idx: int, decoder: bool) -> None:
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
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
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

    Reads embeddings `(batch, queries, d_model)`, a mask `(batch, keys)` of what may be visible at
    all, and in a decoder the encoder's `source` `(batch, source length, d_model)` with its own.

    `hidden_states` begins with the embeddings and ends with `last_hidden_state`, normalised; the
    last block's own output is what `block[-1]` returns first. All are `(batch, queries,
    d_model)`, attentions `(batch, num_heads, queries, keys)`.

    Args:
        config: of the model.
        layers: number of blocks.
        decoder: each position attends to itself and those before, and to the source.
    """

    main_input_name: ClassVar[str] = "input_ids"  # `generate` asks the encoder for it

    def __init__(self, config: GenaeT5Config, layers: int, decoder: bool = False) -> None:
        super().__init__()
        self.config, self.decoder = config, decoder
        self.block: Any = nn.ModuleList(T5Block(config, i, decoder) for i in range(layers))
        self.final_layer_norm = nn.RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def position_bias(self, queries: int, keys: int, past: int = 0) -> Tensor:
        """The table's entry for each key and query.

        Args:
            queries: number of queries.
            keys: number of keys, from position 0 on.
            past: position of the first query.

        Returns:
            `(1, num_heads, queries, keys)`.
        """
        table: OffsetTable = self.block[0].layer[0].SelfAttention.relative_attention_bias
        offsets = torch.arange(1 - past - queries, keys - past, device=table.weight.device)
        config = self.config
        rows = buckets(
            offsets,
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
            self.decoder,
        )
        biases: Tensor = table(rows).T
        # Row q of the matrix is a window of the offsets, one step further left than row q - 1.
        if torch.compiler.is_compiling():  # where the size of a window would be fixed
            steps = torch.arange(keys + queries, device=table.weight.device)
            places = steps[:keys] + (queries - 1 - steps[:queries, None])
            return biases[:, places][None]
        return biases.unfold(-1, keys, 1).flip(-2)[None]

    def forward(
        self,
        embeds: Tensor,
        mask: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
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
    """The encoder together with the table of tokens: what `generate` asks for.

    Reads ids and mask `(batch, length)`, or embeddings `(batch, length, d_model)`.
    """

    def __init__(self, config: GenaeT5Config, shared: nn.Module, stack: T5Stack) -> None:
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
    ) -> BaseModelOutput:
        config = self.config
        embeds = embedded(self.shared, input_ids, inputs_embeds)
        if attention_mask is None and input_ids is not None:
            attention_mask = visible_tokens(input_ids, config.pad_token_id)
        output = self.stack(
            embeds,
            attention_mask,
            output_attentions=flag(config.output_attentions, output_attentions),
            output_hidden_states=flag(config.output_hidden_states, output_hidden_states),
        )
        return BaseModelOutput(output.last_hidden_state, output.hidden_states, output.attentions)


def embedded(table: nn.Module, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """Embeddings of tokens, unless they are given.

    Args:
        table: of tokens.
        input_ids: `(batch, length)`, or None.
        inputs_embeds: `(batch, length, d_model)`, or None.

    Raises:
        ValueError: both are given, or none.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give token ids or embeddings, one of them, to encoder and decoder each")
    return cast(Tensor, table(input_ids)) if inputs_embeds is None else inputs_embeds


def flag(default: bool | None, option: bool | None) -> bool:
    """The value of an option that may be left to the configuration's default."""
    return bool(default if option is None else option)
