"""The Synthesizer: attention whose logits need no queries and keys (arXiv:2005.00743)."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from .attention import Places
from .attention_synthesizer import SynthesizedAttention
from .blocks import Encoder
from .configuration_synthesizer import SynthesizerConfig
from .configuration_text import TextConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_pretraining import CausalLM, MaskedLM
from .modeling_text import TextModel, TextPreTrainedModel
from .synthesizer_forms import Form, HeadMap


class SynthesizerPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = SynthesizerConfig
    base_model_prefix = "synthesizer"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (SynthesizedAttention, Form, HeadMap)):
            module.draw()


class SynthesizerModel(SynthesizerPreTrainedModel, TextModel):
    """Without heads; `forward` as of `TextModel`.

    Logits belong to positions, so these follow the mask: absent, `position_ids` count from the
    first visible token on. What is padded on the left therefore gives what it gives alone; padding
    on the left without a mask is refused.

    Raises:
        ValueError: of `forward`, besides those of `TextModel`: a text longer than
            `max_position_embeddings`; padding on the left without `attention_mask`.
    """

    def make_encoder(self, config: TextConfig) -> Encoder:
        own = cast(SynthesizerConfig, config)
        mixers = [SynthesizedAttention(own, forms, i) for i, forms in enumerate(own.forms())]
        return Encoder(config, mixers)

    def positions(
        self,
        position_ids: Tensor | None,
        attention_mask: Tensor | None,
        past: int,
        embeds: Tensor,
        cache: Cache | None,
    ) -> tuple[Tensor, dict[str, Any]]:
        batch, length = embeds.shape[:2]
        compiling = torch.compiler.is_compiling()
        order = torch.arange(past + length, device=embeds.device)[None]
        in_order = position_ids is None
        if position_ids is None:
            position_ids = order[:, past:]
            if attention_mask is not None:
                visible = attention_mask != 0
                if compiling or not visible[:, 0].all():
                    first = visible.long().argmax(-1, keepdim=True)
                    position_ids = (order - first).clamp(min=0)[:, past:]
                    in_order = False
        self._check_length(position_ids, past + length)
        keys = position_ids
        if cache is not None:
            keys = self._remember(cache, position_ids.expand(batch, -1))
        if not compiling:
            in_order = torch.equal(keys, order.expand(len(keys), -1))
        padded = compiling or attention_mask is None or not bool(attention_mask.all())
        places = Places(
            past,
            None if in_order else position_ids,
            None if in_order else keys,
            padded,
        )
        return position_ids, {"places": places}

    def _check_length(self, position_ids: Tensor, tokens: int) -> None:
        """Raise `ValueError` for a text that is longer than the positions that there are."""
        longest = self.config.max_position_embeddings
        if tokens <= longest:
            return
        if torch.compiler.is_compiling() or int(position_ids.max()) >= longest:
            raise ValueError(
                f"a text of {tokens} tokens is longer than max_position_embeddings, {longest}; "
                "shorten it (truncation=True of the tokenizer), or train a longer model"
            )

    def _remember(self, cache: Cache, position_ids: Tensor) -> Tensor:
        """Add positions to those of the past, behind the layers of the cache.

        There they are reordered and cropped as keys and values are.

        Args:
            cache: to be filled.
            position_ids: `(batch, length)`.

        Returns:
            Of all keys, `(batch, past + length)`.
        """
        place = len(self.encoder.layer)
        while len(cache.layers) <= place:
            cache.layers.append(DynamicLayer())
        column = position_ids[:, None, :, None]
        keys: Tensor = cache.update(column, column, place)[0]
        return keys[:, 0, :, 0]

    def default_mask(self, input_ids: Tensor | None, token_type_ids: Tensor, past: int) -> Tensor:
        """Padding is not visible where that has to be said.

        With a mask of kind "causal" no token sees the padding behind it; and what is read after a
        past is a token, as `generate` leaves out masks that hide nothing.

        Raises:
            ValueError: a text begins with padding.
        """
        pad, kind = self.config.pad_token_id, self.config.attention_mask_kind
        if input_ids is None or pad is None or past:
            return super().default_mask(None, token_type_ids, past)
        padding = input_ids == pad
        starts = padding[:, 0] & ~padding.all(1)
        if not torch.compiler.is_compiling() and bool(starts.any()):
            raise ValueError(
                f"a text begins with the padding token {pad} and there is no attention_mask, "
                "which says where it really begins; give the tokenizer's, or pad on the right"
            )
        return super().default_mask(None if kind == "causal" else input_ids, token_type_ids, past)


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
