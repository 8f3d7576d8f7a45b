"""The text model, and what stands on one; the families name them (`modeling_bert.py`).

Heads: `heads_pretraining.py`, `heads_classification.py`. Shapes: a batch of texts, `length` tokens
of each.

Names of modules and parameters are those of transformers' BERT, so that weights go both ways where
transformers has the architecture. Its models are better supported: these are for what it lacks.
"""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
)
from transformers.utils.generic import can_return_tuple

from .activations import activation
from .attention import Context, GatedAttentionUnit, Source, relative_vectors, rotary_angles
from .blocks import (
    BLOCKS,
    Encoder,
    Pooler,
    TextEmbeddings,
    visible,
)
from .configuration_text import TextConfig
from .norms import ConditionalLayerNorm, make_norm


class TextPreTrainedModel(PreTrainedModel):
    """What all text models share: fresh weights, and what transformers asks of a model."""

    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules: set[str] | list[str] | None = [  # noqa: RUF012
        "TextEmbeddings",
        *(block.__name__ for block in BLOCKS.values()),
    ]

    def post_init(self) -> None:
        """As transformers does; but of blocks name those that there are: FSDP looks for all."""
        super().post_init()
        kinds = {type(each).__name__ for each in self.modules()}
        self._no_split_modules = kinds.intersection(self._no_split_modules or ())

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ConditionalLayerNorm) and module.conditional:
            init.zeros_(module.condition_bias.weight)
            init.zeros_(module.condition_weight.weight)
        elif isinstance(module, PredictionHead):
            init.zeros_(module.bias)
        elif isinstance(module, GatedAttentionUnit):
            init.ones_(module.query_scale)
            init.ones_(module.key_scale)


class TextModel(TextPreTrainedModel):
    """A text model without heads; see `TextConfig` for the options.

    What `forward` takes, and all heads with it:

    * `input_ids` `(batch, length)`, below `vocab_size`; or `inputs_embeds` `(batch, length,
      embedding_width)` instead.
    * `attention_mask` `(batch, length)`, true or 1 where a token is visible; with a cache
      `(batch, past + length)`. Absent, padding is not visible but for the first position.
    * `token_type_ids` `(batch, length)`, segments below `type_vocab_size`; absent, 0.
    * `position_ids` `(batch or 1, length)`; absent, they count from the past on.
    * `condition` `(batch, condition_size)` or `(batch, length, condition_size)`, where
      normalisation is conditional; with a table of conditions also numbers of its rows, below
      `num_conditions`, `(batch,)`, or `(batch, 1 or length)`.
    * `past_key_values`, `use_cache`, `output_attentions`, `output_hidden_states` and
      `return_dict`, as in transformers.

    What it returns: `last_hidden_state` `(batch, length, hidden_size)`, `pooler_output` `(batch,
    hidden_size)` where there is a pooler, `hidden_states`, which begin with the embeddings,
    normalised and mapped to `hidden_size`, and end with `last_hidden_state`, and `attentions`
    `(batch, num_attention_heads, length, past + length)`, in [0, 1].

    Args:
        config: sizes and options.
        add_pooling_layer: False leaves the pooler out, whatever the configuration says.

    Raises:
        ValueError: of `forward`, with both ids and embeddings or neither, with positions outside
            the table, or without a condition that is needed.
    """

    def __init__(self, config: TextConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = TextEmbeddings(config)
        self.embeddings_project: nn.Linear | None = None
        if config.embedding_width != config.hidden_size:
            self.embeddings_project = nn.Linear(
                config.embedding_width, config.hidden_size, bias=config.use_bias
            )
        self.condition_embeddings: nn.Embedding | None = None
        if config.num_conditions is not None and config.condition_size is not None:
            self.condition_embeddings = nn.Embedding(config.num_conditions, config.condition_size)
        self.encoder = self.make_encoder(config)
        self.final_norm = make_norm(config.hidden_size, config) if config.final_norm else None
        self.pooler = Pooler(config) if config.pooler and add_pooling_layer else None
        self.post_init()

    def make_encoder(self, config: TextConfig) -> Encoder:
        """The blocks."""
        return Encoder(config)

    @property
    def last_norm(self) -> nn.Module:
        """The normalisation that makes `last_hidden_state`."""
        if self.final_norm is not None:
            return self.final_norm
        return cast(nn.Module, self.encoder.layer[-1].last_norm)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.word_embeddings = cast(nn.Embedding, value)

    def conditions(self, condition: Tensor | None) -> Tensor | None:
        """The vectors of conditions, of those that are given by number too.

        Raises:
            ValueError: they are numbers, and there is no table of them.
        """
        if condition is None or condition.is_floating_point():
            return condition
        if self.condition_embeddings is None:
            raise ValueError(
                "`condition` has numbers, and this model has no table of conditions "
                "(num_conditions); give vectors, of a floating-point type"
            )
        return cast(Tensor, self.condition_embeddings(condition))

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        condition: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        source: Source | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        config = cast(TextConfig, self.config)
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        batch, length = embeds.shape[:2]
        output_attentions = bool(
            config.output_attentions if output_attentions is None else output_attentions
        )
        collect = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        can_cache = config.attention_mask_kind != "full"
        use_cache = can_cache and bool(config.use_cache if use_cache is None else use_cache)
        checkpointing = any(layer.gradient_checkpointing for layer in self.encoder.layer)
        if config.residual_attention_scores or (self.training and checkpointing):
            use_cache = False
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=config)
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if token_type_ids is None:
            token_type_ids = torch.zeros((batch, length), dtype=torch.long, device=embeds.device)
        cache = past_key_values if use_cache else None
        position_ids, places = self.positions(position_ids, attention_mask, past, embeds, cache)
        if attention_mask is None:
            attention_mask = self.default_mask(input_ids, token_type_ids, past)
        condition = self.conditions(condition)
        hidden = self.embeddings(embeds, token_type_ids, position_ids, condition)
        if self.embeddings_project is not None:
            hidden = self.embeddings_project(hidden)
        context = Context(
            mask=visible(config, attention_mask, token_type_ids, past),
            keys=past + length,
            condition=condition,
            cache=cache,
            output_attentions=output_attentions,
            source=source,
            **places,
        )
        states, attentions, crosses = [hidden], [], []
        # What carries gradients goes by position, as checkpointing wants it.
        other = None if source is None else source.states
        for index, layer in enumerate(self.encoder):
            hidden, weights, more = layer(hidden, context, index, other)
            states.append(hidden)
            attentions.append(weights)
            crosses.append(more)  # of a decoder: the weights of cross attention
            if config.residual_attention_scores:
                other = more
        if self.final_norm is not None:
            hidden = states[-1] = self.final_norm(hidden, condition)
        return BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden),
            past_key_values=cache,
            hidden_states=tuple(states) if collect else None,
            attentions=tuple(attentions) if output_attentions else None,
            cross_attentions=tuple(crosses) if output_attentions and source is not None else None,
        )

    def positions(
        self,
        position_ids: Tensor | None,
        attention_mask: Tensor | None,
        past: int,
        embeds: Tensor,
        cache: Cache | None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Positions, and what attention has to know of them, once for all layers.

        Args:
            position_ids: `(batch or 1, length)`; None counts from the past on.
            attention_mask: `(batch, past + length)`, as it was given.
            past: number of tokens in the cache.
            embeds: embeddings, `(batch, length, embedding_width)`.
            cache: to be read and filled; None for none.

        Returns:
            Positions `(batch or 1, length)`, and fields of `Context`.
        """
        config, size, length = self.config, self.config.key_head_size, embeds.shape[1]
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=embeds.device)[None]
        if config.position_kind == "rotary":
            return position_ids, {"rotary": rotary_angles(position_ids, size, embeds.dtype)}
        if config.position_kind == "relative":
            distance = config.max_relative_position
            vectors = relative_vectors(length, past + length, size, distance, embeds)
            return position_ids, {"relative": vectors}
        return position_ids, {}

    def default_mask(self, input_ids: Tensor | None, token_type_ids: Tensor, past: int) -> Tensor:
        """bert4keras's own mask: padding is not visible, but for the first position.

        Args:
            input_ids: `(batch, length)`; None makes all visible.
            token_type_ids: `(batch, length)`; 0 is padding too where segments look up tokens.
            past: number of tokens in the cache, all visible.

        Returns:
            Bool, `(batch, past + length)`.
        """
        if input_ids is None:
            return torch.ones(
                (token_type_ids.shape[0], past + token_type_ids.shape[1]),
                dtype=torch.bool,
                device=token_type_ids.device,
            )
        mask = input_ids != (self.config.pad_token_id or 0)
        if self.config.shared_segment_embeddings:
            mask = mask & (token_type_ids != 0)
        if past == 0:
            mask = torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], 1)
        return torch.cat([mask.new_ones((mask.shape[0], past)), mask], 1)


class HeadTransform(nn.Module):
    """Back to the embeddings' width, an activation, and the family's normalisation.

    Reads `(batch, length, hidden_size)` and makes `(batch, length, embedding_width)`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_width)
        self.act = activation(config.hidden_act)
        self.LayerNorm = make_norm(config.embedding_width, config, config.head_norm_eps)

    def forward(self, hidden_states: Tensor, condition: Tensor | None = None) -> Tensor:
        values: Tensor = self.LayerNorm(self.act(self.dense(hidden_states)), condition)
        return values


class PredictionHead(nn.Module):
    """Logits over tokens, tied to the table of tokens (arXiv:1810.04805, section 3.1).

    Reads `(batch, length, hidden_size)` and makes `(batch, length, vocab_size)`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.transform = HeadTransform(config)
        self.decoder = nn.Linear(config.embedding_width, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.decoder(self.transform(hidden_states, condition))
        return logits


class WithBackbone(TextPreTrainedModel):
    """A head on the family's model, which lies under `base_model_prefix`."""

    model_class: ClassVar[type[TextModel]]

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.model_class(config))

    def run(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        condition: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        """The backbone's output as an object; arguments and errors as of `TextModel`."""
        output = self.base_model(
            input_ids, attention_mask, token_type_ids, position_ids, condition, inputs_embeds,
            **kwargs | {"return_dict": True},
        )  # fmt: skip
        return cast(BaseModelOutputWithPoolingAndCrossAttentions, output)
