"""T5 with every option that bert4keras built it with (arXiv:1910.10683).

Names of modules and parameters are those of transformers' T5, so that weights go both ways. Its
models are better supported: these are for what it lacks.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import (
    BaseModelOutput,
    CausalLMOutputWithCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from transformers.utils.generic import can_return_tuple

from .configuration_t5 import GenaeT5Config
from .losses import token_loss
from .t5_blocks import T5Stack, T5TokenEncoder, chosen, embedded, seen


class GenaeT5PreTrainedModel(PreTrainedModel):
    """What all of them share."""

    config_class = GenaeT5Config
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["T5Block"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"embed_tokens\.weight$",  # in old files once for each stack, equal to `shared`
        r"EncDecAttention\.relative_attention_bias\.weight$",  # in old files, never read
    ]

    @torch.no_grad()
    def _init_weights(self, module: Any):
        """The standard deviations of Mesh TensorFlow, as transformers' T5 has them.

        Only a module with weights of its own is asked, so each matrix knows its spread.
        """
        super()._init_weights(module)
        if (spread := getattr(module, "spread", None)) is not None:
            init.normal_(module.weight, std=self.config.initializer_factor * spread)

    def get_input_embeddings(self):
        return self.shared

    def set_input_embeddings(self, value: nn.Module):
        self.shared = value

    def get_encoder(self, modality=None):
        """The encoder from token ids on."""
        return T5TokenEncoder(self.config, self.shared, self.encoder)

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
    ):
        """Run the decoder; arguments as `GenaeT5Model`'s, `source` as the encoder returns it."""
        config = self.config
        stack: T5Stack = self.decoder  # type: ignore[assignment]
        embeds = embedded(self.shared, input_ids, inputs_embeds)
        cache = past_key_values
        if cache is None and chosen(config.use_cache, use_cache):
            cache = DynamicCache()
        if self.training and any(block.gradient_checkpointing for block in stack.block):
            cache = None
        if cache is not None and not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache, DynamicCache())
        if attention_mask is None and input_ids is not None:
            attention_mask = seen(input_ids, config.pad_token_id)
            if past := 0 if cache is None else cache.get_seq_length():
                own = input_ids != (config.pad_token_id or 0)
                attention_mask = torch.cat([own.new_ones(len(own), past), own], 1)
        return stack(
            embeds,
            attention_mask,
            source,
            source_mask,
            cache,
            chosen(config.output_attentions, output_attentions),
            chosen(config.output_hidden_states, output_hidden_states),
        )

    def logits(self, hidden_states: Tensor):
        """Scores of tokens, `(B, L, vocab_size)`."""
        if self.config.scale_output:
            hidden_states = hidden_states * self.config.d_model**-0.5
        return self.lm_head(hidden_states)


class T5Seq2Seq(GenaeT5PreTrainedModel):
    """Encoder and decoder.

    Without masks, padding is not seen but for the first position, as in bert4keras. With
    `encoder_outputs` and without `attention_mask` all of the encoder's positions are seen: so
    bert4keras's models of the two halves work. With a cache, `decoder_attention_mask` covers its
    positions as well; absent, all of them are seen.
    """

    def __init__(self, config: GenaeT5Config):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, config.num_layers)
        self.decoder = T5Stack(config, config.num_decoder_layers, decoder=True)

    def run(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs=None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ) -> Seq2SeqModelOutput:
        """The hidden states of both halves."""
        wanted = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        if encoder_outputs is None:
            if attention_mask is None and input_ids is not None:
                attention_mask = seen(input_ids, self.config.pad_token_id)
            encoder_outputs = self.get_encoder()(
                input_ids, attention_mask, inputs_embeds, **wanted
            )
        elif not isinstance(encoder_outputs, BaseModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        made = self.decode(
            decoder_input_ids,
            decoder_attention_mask,
            decoder_inputs_embeds,
            encoder_outputs.last_hidden_state,
            attention_mask,
            past_key_values,
            use_cache,
            **wanted,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=made.last_hidden_state,
            past_key_values=made.past_key_values,
            decoder_hidden_states=made.hidden_states,
            decoder_attentions=made.attentions,
            cross_attentions=made.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )


class GenaeT5Model(T5Seq2Seq):
    """Encoder and decoder without a head."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^lm_head\.",
    ]

    def __init__(self, config: GenaeT5Config):
        super().__init__(config)
        self.post_init()

    forward = can_return_tuple(T5Seq2Seq.run)


def shifted(labels: Tensor, config: PreTrainedConfig) -> Tensor:
    """What the decoder reads to predict the labels: the start token, then all but the last."""
    start = labels.new_full((len(labels), 1), config.decoder_start_token_id or 0)
    ids = torch.cat([start, labels[:, :-1]], 1)
    return ids.masked_fill(ids == -100, config.pad_token_id or 0)


class GenaeT5ForConditionalGeneration(T5Seq2Seq, GenerationMixin):
    """With the head that predicts the next token; generates.

    `generate` without `attention_mask` lets cross attention see the encoder's padding, as
    bert4keras does there: give the mask with padded batches.
    """

    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # noqa: RUF012

    def __init__(self, config: GenaeT5Config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor):
        """What the decoder reads to predict the labels; data collators ask for it."""
        return shifted(labels, self.config)

    def prepare_inputs_for_generation(
        self, input_ids, *args, decoder_attention_mask=None, **kwargs
    ):
        """A generated padding token is not seen later on, whether or not it is in a cache."""
        if decoder_attention_mask is None:
            decoder_attention_mask = seen(input_ids, self.config.pad_token_id).long()
        prepare = super().prepare_inputs_for_generation  # type: ignore[misc]
        return prepare(input_ids, *args, decoder_attention_mask=decoder_attention_mask, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs=None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ):
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = shifted(labels, self.config)
        made: Any = self.run(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask,
            encoder_outputs, past_key_values, inputs_embeds, decoder_inputs_embeds, use_cache,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        logits = self.logits(made.last_hidden_state)
        return Seq2SeqLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            **{name: value for name, value in made.items() if name != "last_hidden_state"},
        )


class GenaeT5EncoderModel(GenaeT5PreTrainedModel):
    """The encoder alone."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^(lm_head|decoder)\.",
    ]

    def __init__(self, config: GenaeT5Config):
        config = copy.deepcopy(config)
        config.is_encoder_decoder = False
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, config.num_layers)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ):
        return self.get_encoder()(
            input_ids, attention_mask, inputs_embeds, output_attentions, output_hidden_states
        )


class GenaeT5DecoderForCausalLM(GenaeT5PreTrainedModel):
    """The decoder alone, with its head, on what an encoder made: bert4keras's `t5_decoder`.

    `generate` belongs to `GenaeT5ForConditionalGeneration`.
    """

    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^encoder\.",
    ]

    def __init__(self, config: GenaeT5Config):
        config = copy.deepcopy(config)
        config.is_encoder_decoder = False
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.decoder = T5Stack(config, config.num_decoder_layers, decoder=True)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs,
    ):
        if encoder_hidden_states is None:
            raise ValueError("give encoder_hidden_states: the decoder attends to them")
        made = self.decode(
            input_ids, attention_mask, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, past_key_values, use_cache, output_attentions,
            output_hidden_states,
        )  # fmt: skip
        rest = {name: value for name, value in made.items() if name != "last_hidden_state"}
        logits = self.logits(made.last_hidden_state)
        return CausalLMOutputWithCrossAttentions(logits=logits, **rest)
