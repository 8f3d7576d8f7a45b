"""What all Synthesizers share: fresh weights, and a stack of blocks that knows positions."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from .attention import Places
from .attention_synthesizer import SynthesizedAttention
from .blocks import Encoder
from .configuration_synthesizer import SynthesizerConfig
from .configuration_text import TextConfig
from .modeling_text import TextModel, TextPreTrainedModel
from .synthesizer_forms import Form, HeadMap


class SynthesizerPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = SynthesizerConfig
    base_model_prefix = "synthesizer"
    config: SynthesizerConfig

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (SynthesizedAttention, Form, HeadMap)):
            module.draw()

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """There is no such thing: every form but the dot product has logits for each position.

        Raises:
            NotImplementedError: always, with the way out.
        """
        raise NotImplementedError(
            f"max_position_embeddings cannot become {new_num_position_embeddings}: a Synthesizer "
            f"has logits for each of {self.config.max_position_embeddings} positions, none for "
            "others; train one with max_position_embeddings as long as its texts"
        )


class SynthesizerStack(SynthesizerPreTrainedModel, TextModel):
    """Embeddings and blocks; `forward` as of `TextModel`.

    Logits belong to positions, so these follow the mask: absent, `position_ids` count from the
    first visible token on. What is padded on the left therefore gives what it gives alone; padding
    on the left without a mask is refused.

    Raises:
        ValueError: of `forward`, besides those of `TextModel`: a text longer than
            `max_position_embeddings`; padding on the left without `attention_mask`.
    """

    def make_encoder(self, config: TextConfig) -> Encoder:
        return Encoder(config, self.mixers(config))

    def mixers(self, config: TextConfig, first: int = 0) -> list[SynthesizedAttention]:
        """The attention of each layer.

        Args:
            config: of the model.
            first: number of the first layer.
        """
        own = cast(SynthesizerConfig, config)
        return [
            SynthesizedAttention(own, forms, layer)
            for layer, forms in enumerate(own.forms(), first)
        ]

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
