"""The Synthesizer: attention whose logits need no queries and keys (arXiv:2005.00743)."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput
from transformers.utils.generic import can_return_tuple

from .configuration_synthesizer import SynthesizerConfig
from .decoder_synthesizer import SynthesizerDecoder
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM
from .losses import shifted, token_loss
from .synthesizer_base import SynthesizerPreTrainedModel, SynthesizerStack


class SynthesizerModel(SynthesizerStack):
    """Without heads; `forward` as of `SynthesizerStack`."""


class SynthesizerForMaskedLM(SynthesizerPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = SynthesizerModel


class SynthesizerForCausalLM(SynthesizerPreTrainedModel, CausalLM):
    """With the head that predicts the next token; a mask of kind "full" becomes "causal"."""

    model_class = SynthesizerModel

    def __init__(self, config: SynthesizerConfig) -> None:
        if config.attention_mask_kind == "full":
            config = copy.deepcopy(config)
            config.attention_mask_kind = "causal"
        super().__init__(config)


class SynthesizerForSequenceClassification(SynthesizerPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = SynthesizerModel


class SynthesizerForTokenClassification(SynthesizerPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = SynthesizerModel


class SynthesizerForConditionalGeneration(SynthesizerPreTrainedModel, GenerationMixin):
    """Encoder and decoder with a head that predicts the next token; generates.

    Self-attention of both is as the configuration says, cross attention a dot product. Head,
    encoder and decoder share the table of tokens, the head where `tie_word_embeddings` says so.

    What `forward` takes: `input_ids` and `attention_mask` of the encoder `(batch, source length)`,
    `decoder_input_ids` and `decoder_attention_mask` `(batch, length)`, or `inputs_embeds` and
    `decoder_inputs_embeds` of the embeddings' width instead of ids; or `encoder_outputs` instead
    of what the encoder reads; `labels` `(batch, length)`, -100 where none is asked for, which the
    decoder reads shifted where it is given nothing else. Without masks, the encoder's padding is
    not visible, and all that the decoder reads is.

    `logits` are `(batch, length, vocab_size)`; `loss` is `token_loss`, in nats.

    Raises:
        ValueError: of `forward`, with both ids and embeddings or neither, of each half; a text
            longer than `max_position_embeddings`; padding on the left without a mask.
    """

    _tied_weights_keys = {  # noqa: RUF012
        "lm_head.weight": "encoder.embeddings.word_embeddings.weight"
    }
    base_model_prefix = ""

    def __init__(self, config: SynthesizerConfig) -> None:
        config = copy.deepcopy(config)
        config.is_encoder_decoder = True
        if config.decoder_start_token_id is None:
            config.decoder_start_token_id = config.bos_token_id or config.pad_token_id or 0
        super().__init__(config)
        self.encoder = SynthesizerModel(config.encoder_config(), add_pooling_layer=False)
        self.decoder = SynthesizerDecoder(config.decoder_config())
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> SynthesizerModel:
        """The encoder; there is one, whatever the modality."""
        return self.encoder

    def get_input_embeddings(self) -> nn.Embedding:
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.set_input_embeddings(value)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What the decoder reads to predict the labels; data collators ask for it."""
        return shifted(labels, self.config.decoder_start_token_id, self.config.pad_token_id)

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
        if attention_mask is None and input_ids is not None:
            segments = torch.zeros_like(input_ids)
            attention_mask = self.encoder.default_mask(input_ids, segments, 0)
        wanted = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        encoded: Any = encoder_outputs
        if encoded is None:
            encoded = self.encoder(
                input_ids, attention_mask, inputs_embeds=inputs_embeds, return_dict=True, **wanted
            )
        elif isinstance(encoded, tuple):
            encoded = BaseModelOutput(*encoded)
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if (decoder_input_ids is None) == (decoder_inputs_embeds is None):
            raise ValueError("give decoder_input_ids, decoder_inputs_embeds or labels")
        if decoder_inputs_embeds is None:
            decoder_inputs_embeds = self.get_input_embeddings()(decoder_input_ids)
        output = self.decoder(
            decoder_inputs_embeds,
            decoder_attention_mask,
            encoded.last_hidden_state,
            attention_mask,
            past_key_values,
            use_cache,
            return_dict=True,
            **wanted,
        )
        decoded = output.last_hidden_state
        if self.config.scale_output:
            decoded = decoded * self.config.hidden_size**-0.5
        logits = self.lm_head(decoded)
        return Seq2SeqLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            past_key_values=output.past_key_values,
            decoder_hidden_states=output.hidden_states,
            decoder_attentions=output.attentions,
            cross_attentions=output.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )


globals().update(fine_tuned("Synthesizer", __name__, SynthesizerPreTrainedModel, SynthesizerModel))
