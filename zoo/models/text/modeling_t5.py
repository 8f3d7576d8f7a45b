"""T5 with every option that bert4keras built it with (arXiv:1910.10683).

Names of modules and parameters are those of transformers' T5, so that weights go both ways. Its
models are better supported: these are for what it lacks.
"""

import copy
from operator import attrgetter
from typing import Any, cast

from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.cache_utils import Cache
from transformers.modeling_outputs import (
    BaseModelOutput,
    CausalLMOutputWithCrossAttentions,
    Seq2SeqLMOutput,
)
from transformers.utils.generic import can_return_tuple

from .configuration_t5 import GenaeT5Config
from .heads_fine_tuning import CLASSES, CLASSIFIERS, fine_tuned
from .losses import shifted, token_loss
from .t5_base import GenaeT5PreTrainedModel, T5Seq2Seq, decoder_depth
from .t5_bias import visible_tokens
from .t5_blocks import T5Stack


class GenaeT5Model(T5Seq2Seq):
    """Encoder and decoder without a head; `forward` is `T5Seq2Seq.run`."""

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^lm_head\.",
    ]

    def __init__(self, config: GenaeT5Config) -> None:
        super().__init__(config)
        self.post_init()

    forward = can_return_tuple(T5Seq2Seq.run)


class GenaeT5ForConditionalGeneration(T5Seq2Seq, GenerationMixin):
    """With the head that predicts the next token; generates.

    Arguments and errors as of `T5Seq2Seq`, and `labels` `(batch, length)`, -100 where none is
    asked for; without `decoder_input_ids` the decoder reads them shifted. `logits` are `(batch,
    length, vocab_size)`; `loss` is `token_loss`, in nats.

    `generate` without `attention_mask` lets cross attention read the encoder's padding, as
    bert4keras does there: give the mask with padded batches.
    """

    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # noqa: RUF012

    def __init__(self, config: GenaeT5Config) -> None:
        super().__init__(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to predict the labels; data collators ask for it."""
        return shifted(labels, self.config.decoder_start_token_id, self.config.pad_token_id)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        *args: Any,
        decoder_attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A generated padding token is not visible later on, whether or not it is in a cache."""
        if decoder_attention_mask is None:
            mask = visible_tokens(input_ids, self.config.pad_token_id)
            decoder_attention_mask = mask.long()
        prepare: Any = super().prepare_inputs_for_generation  # type: ignore[misc]
        inputs: dict[str, Any] = prepare(
            input_ids, *args, decoder_attention_mask=decoder_attention_mask, **kwargs
        )
        return inputs

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        output: Any = self.run(
            input_ids, attention_mask, decoder_input_ids, decoder_attention_mask,
            encoder_outputs, past_key_values, inputs_embeds, decoder_inputs_embeds, use_cache,
            output_attentions, output_hidden_states,
        )  # fmt: skip
        logits = self.logits(output.last_hidden_state)
        return Seq2SeqLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            **{name: value for name, value in output.items() if name != "last_hidden_state"},
        )


class GenaeT5EncoderModel(GenaeT5PreTrainedModel):
    """The encoder alone.

    Takes `input_ids` `(batch, length)` or `inputs_embeds` `(batch, length, d_model)`, and
    `attention_mask` `(batch, length)`; absent, padding is not visible but for the first position.
    Returns `last_hidden_state` `(batch, length, d_model)`.

    Raises:
        ValueError: of `forward`, with both ids and embeddings or neither.
    """

    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^(lm_head|decoder)\.",
    ]

    def __init__(self, config: GenaeT5Config) -> None:
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
        **kwargs: Any,
    ) -> BaseModelOutput:
        output = self.get_encoder()(
            input_ids, attention_mask, inputs_embeds, output_attentions, output_hidden_states
        )
        return cast(BaseModelOutput, output)


class GenaeT5DecoderForCausalLM(GenaeT5PreTrainedModel):
    """The decoder alone, with its head, on what an encoder made: bert4keras's `t5_decoder`.

    Takes `input_ids` `(batch, length)` or `inputs_embeds` `(batch, length, d_model)`, and
    `encoder_hidden_states` `(batch, source length, d_model)`, with masks `attention_mask`
    `(batch, past + length)` and `encoder_attention_mask` `(batch, source length)`. Returns
    `logits` `(batch, length, vocab_size)`. `generate` belongs to
    `GenaeT5ForConditionalGeneration`.

    Raises:
        ValueError: of `forward`, without `encoder_hidden_states`, or with both ids and embeddings
            or neither.
    """

    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        *GenaeT5PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^encoder\.",
    ]

    def __init__(self, config: GenaeT5Config) -> None:
        config = copy.deepcopy(config)
        config.is_encoder_decoder = False
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.decoder = T5Stack(config, decoder_depth(config), decoder=True)
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
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        if encoder_hidden_states is None:
            raise ValueError("give encoder_hidden_states: the decoder attends to them")
        output = self.decode(
            input_ids, attention_mask, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, past_key_values, use_cache, output_attentions,
            output_hidden_states,
        )  # fmt: skip
        rest = {name: value for name, value in output.items() if name != "last_hidden_state"}
        logits = self.logits(cast(Tensor, output.last_hidden_state))
        return CausalLMOutputWithCrossAttentions(logits=logits, **rest)


#: Heads of fine-tuning stand on the encoder.
globals().update(
    fine_tuned(
        "GenaeT5",
        __name__,
        GenaeT5PreTrainedModel,
        GenaeT5EncoderModel,
        attrgetter("encoder.final_layer_norm"),
        CLASSIFIERS | CLASSES,
        GenaeT5EncoderModel._keys_to_ignore_on_load_unexpected,
    )
)
