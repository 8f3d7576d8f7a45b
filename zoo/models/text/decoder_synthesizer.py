"""The decoder of a Synthesizer: synthesized self-attention, dot products across to the source.

Cross attention has no form but the dot product (arXiv:2005.00743, section 4.1): a source has a
length of its own, and no positions that a table could name.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from .attention import Attended, Context, SelfAttention, Source, attend, split_heads
from .blocks import Attention, AttentionFeedForward, Encoder, PostNormBlock, PreNormBlock
from .configuration_synthesizer import SynthesizerConfig
from .configuration_text import TextConfig
from .synthesizer_base import SynthesizerStack


class CrossAttention(SelfAttention):
    """Multi-head attention to what an encoder made, `(batch, source length, hidden_size)`."""

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        source, states = context.source, previous_scores
        heads = self.config.num_attention_heads
        assert source is not None
        assert states is not None
        cache = source.cache if context.cache is not None else None
        if cache is not None and cache.is_updated.get(layer_idx):
            layer: Any = cache.cross_attention_cache.layers[layer_idx]
            key, value = layer.keys, layer.values
        else:
            key = split_heads(self.key(states), heads)
            value = split_heads(self.value(states), heads)
            if cache is not None:
                cache.is_updated[layer_idx] = True
                key, value = cache.cross_attention_cache.update(key, value, layer_idx)
        query = split_heads(self.query(hidden_states), heads)
        across = replace(context, mask=source.mask)
        return attend(self, query, key, value, across, self.scaling)


class DecoderBlock(AttentionFeedForward):
    """A block with cross attention between its halves; what it gives last are its weights.

    Reads what the encoder made in place of the previous layer's scores.
    """

    def __init__(self, config: TextConfig, mixer: nn.Module | None = None) -> None:
        super().__init__(config, mixer)
        before, after, _, _ = self.norms
        self.crossattention = Attention(config, before, after, CrossAttention(config))

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        hidden_states, weights, _ = self.attention(hidden_states, context, layer_idx, None)
        hidden_states, across, _ = self.crossattention(
            hidden_states, context, layer_idx, previous_scores
        )
        wide = self.intermediate(hidden_states, context.condition)
        return self.output(wide, hidden_states, context.condition), weights, across


class PostNormDecoderBlock(DecoderBlock, PostNormBlock):
    """Normalised after each part."""


class PreNormDecoderBlock(DecoderBlock, PreNormBlock):
    """Normalised before each part."""


FIRST_LAYER = 1000  # of a decoder, so that its fixed logits are not an encoder's
KINDS: dict[str, type[nn.Module]] = {
    "post_norm": PostNormDecoderBlock,
    "pre_norm": PreNormDecoderBlock,
}


class SynthesizerDecoder(SynthesizerStack):
    """The decoder without a table of tokens: it reads embeddings."""

    def __init__(self, config: SynthesizerConfig) -> None:
        super().__init__(config)
        del self.embeddings.word_embeddings

    def make_encoder(self, config: TextConfig) -> Encoder:
        return Encoder(config, self.mixers(config, FIRST_LAYER), KINDS)

    def get_input_embeddings(self) -> nn.Embedding:
        """There is none here.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the table of tokens lies in the encoder")

    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        states: Tensor,
        source_mask: Tensor | None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """Hidden states of the decoder.

        Args:
            inputs_embeds: `(batch, length, embedding_width)`.
            attention_mask: `(batch, past + length)`; None for all visible.
            states: what the encoder made, `(batch, source length, hidden_size)`.
            source_mask: `(batch, source length)`; None for all visible.
            past_key_values: what earlier calls left.
            use_cache: keep something for the next call.
            **kwargs: what else `SynthesizerModel` takes.
        """
        cache = past_key_values
        if cache is None:
            cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        elif not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache, DynamicCache())
        mask = None if source_mask is None else source_mask[:, None, None, :] != 0
        output: BaseModelOutputWithPoolingAndCrossAttentions = super().forward(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=cache.self_attention_cache,
            use_cache=use_cache,
            source=Source(states, mask, cache),
            **kwargs,
        )
        if output.past_key_values is not None:
            output.past_key_values = cache
        return output
