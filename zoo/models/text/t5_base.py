"""What all T5 models share: the table of tokens, encoder and decoder, and how both are run."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqModelOutput,
)

from .configuration_t5 import GenaeT5Config
from .t5_bias import visible_tokens
from .t5_blocks import T5Stack, T5TokenEncoder, embedded, flag


def decoder_depth(config: GenaeT5Config) -> int:
    """Number of blocks of the decoder: that of the encoder's unless it is given."""
    return config.num_decoder_layers or config.num_layers


class GenaeT5PreTrainedModel(PreTrainedModel):
    """What all of them share: the table of tokens, one half or both, fresh weights."""

    config_class = GenaeT5Config
    base_model_prefix = "transformer"
    config: GenaeT5Config
    shared: nn.Embedding
    encoder: T5Stack
    decoder: T5Stack
    lm_head: nn.Linear
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["T5Block"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"embed_tokens\.weight$",  # in old files once for each stack, equal to `shared`
        r"EncDecAttention\.relative_attention_bias\.weight$",  # in old files, never read
    ]

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        """The standard deviations of Mesh TensorFlow, as transformers' T5 has them.

        Only a module with weights of its own is asked, so each matrix knows its spread.
        """
        super()._init_weights(module)
        if (spread := getattr(module, "spread", None)) is not None:
            init.normal_(module.weight, std=self.config.initializer_factor * spread)

    @property
    def _whole(self) -> Any:
        """The model that has the table of tokens: the backbone of one with heads."""
        return self.base_model

    def get_input_embeddings(self) -> nn.Embedding:
        return cast(nn.Embedding, self._whole.shared)

    def set_input_embeddings(self, value: nn.Module) -> None:
        self._whole.shared = value

    def get_encoder(self, modality: str | None = None) -> T5TokenEncoder:
        """The encoder from token ids on; there is one, whatever the modality."""
        made = T5TokenEncoder(self.config, self._whole.shared, self._whole.encoder)
        made.training = self.training  # its modules are this model's, and have theirs
        return made

    def decode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        inputs_embeds: Tensor | None,
        source: Tensor | None,
        source_mask: Tensor | None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Run the decoder.

        Args:
            input_ids: the decoder's, `(batch, length)`.
            attention_mask: its mask, `(batch, past + length)`.
            inputs_embeds: `(batch, length, d_model)`, instead of ids.
            source: what the encoder made, `(batch, source length, d_model)`.
            source_mask: the encoder's, `(batch, source length)`; None for all visible.
            past_key_values: keys and values of earlier calls.
            use_cache: as in transformers, like what follows.
            output_attentions: give the probabilities.
            output_hidden_states: give those of every block.

        Returns:
            `last_hidden_state` `(batch, length, d_model)`, and what was asked for.

        Raises:
            ValueError: both ids and embeddings are given, or none.
        """
        config, stack = self.config, self.decoder
        embeds = embedded(self.shared, input_ids, inputs_embeds)
        cache = past_key_values
        if cache is None and flag(config.use_cache, use_cache):
            cache = DynamicCache()
        if self.training and any(block.gradient_checkpointing for block in stack.block):
            cache = None
        if cache is not None and not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache, DynamicCache())
        if attention_mask is None and input_ids is not None:
            attention_mask = visible_tokens(input_ids, config.pad_token_id)
            if past := 0 if cache is None else cache.get_seq_length():
                own = input_ids != (config.pad_token_id or 0)
                attention_mask = torch.cat([own.new_ones(own.shape[0], past), own], 1)
        output = stack(
            embeds,
            attention_mask,
            source,
            source_mask,
            cache,
            flag(config.output_attentions, output_attentions),
            flag(config.output_hidden_states, output_hidden_states),
        )
        return cast(BaseModelOutputWithPastAndCrossAttentions, output)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Scores of tokens before the softmax.

        Args:
            hidden_states: `(batch, length, d_model)`.

        Returns:
            `(batch, length, vocab_size)`.
        """
        if self.config.scale_output:
            hidden_states = hidden_states * self.config.d_model**-0.5
        return cast(Tensor, self.lm_head(hidden_states))


class T5Seq2Seq(GenaeT5PreTrainedModel):
    """Encoder and decoder.

    What `forward` takes: `input_ids` and `attention_mask` of the encoder `(batch, source length)`,
    `decoder_input_ids` and `decoder_attention_mask` `(batch, length)`, or `inputs_embeds` and
    `decoder_inputs_embeds` of width `d_model` instead of ids; or `encoder_outputs` instead of what
    the encoder reads.

    Without masks, padding is not visible but for the first position, as in bert4keras. With
    `encoder_outputs` and without `attention_mask` all of the encoder's positions are visible: so
    bert4keras's models of the two halves work. With a cache, `decoder_attention_mask` covers its
    positions as well; absent, all of them are visible.

    Raises:
        ValueError: of `forward`, with both ids and embeddings or neither, of each half.
    """

    def __init__(self, config: GenaeT5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, config.num_layers)
        self.decoder = T5Stack(config, decoder_depth(config), decoder=True)

    def run(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqModelOutput:
        """The hidden states of both halves; arguments and errors as the class says.

        Returns:
            `last_hidden_state` `(batch, length, d_model)`, `encoder_last_hidden_state` `(batch,
            source length, d_model)`, and what was asked for.
        """
        wanted = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        encoded: Any = encoder_outputs
        if encoded is None:
            if attention_mask is None and input_ids is not None:
                attention_mask = visible_tokens(input_ids, self.config.pad_token_id)
            encoded = self.get_encoder()(input_ids, attention_mask, inputs_embeds, **wanted)
        elif not isinstance(encoded, BaseModelOutput):
            encoded = BaseModelOutput(*encoded)
        output = self.decode(
            decoder_input_ids,
            decoder_attention_mask,
            decoder_inputs_embeds,
            encoded.last_hidden_state,
            attention_mask,
            past_key_values,
            use_cache,
            **wanted,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=output.last_hidden_state,
            past_key_values=cast(EncoderDecoderCache | None, output.past_key_values),
            decoder_hidden_states=output.hidden_states,
            decoder_attentions=output.attentions,
            cross_attentions=output.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )
