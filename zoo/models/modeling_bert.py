"""BERT as bert4keras builds it: every option its checkpoints were made with.

Names of modules and parameters are those of transformers' BERT, so that weights go both ways where
no option is on. Models of transformers are better supported: use this one where they cannot hold
what a checkpoint needs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import ModelOutput

from .configuration_bert import GenaeBertConfig
from .loading import LoadsById


def activation(name):
    """An activation by name; bert4keras's leaky_relu has the slope 0.2."""
    if name == "leaky_relu":
        return lambda values: leaky_relu(values, 0.2)
    return ACT2FN[name or "linear"]


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer normalisation whose scale and offset may move with a condition.

    The dense maps of the condition start at zero, so that a fresh one is the plain normalisation.
    """

    def __init__(self, size, config):
        super().__init__(size, eps=config.layer_norm_eps)
        self.conditional = config.condition_size is not None
        self.condition_hidden = None
        if not self.conditional:
            return
        width = config.condition_size
        if config.condition_hidden_size is not None:
            self.condition_hidden = nn.Linear(width, config.condition_hidden_size, bias=False)
            self.act = activation(config.condition_hidden_act)
            width = config.condition_hidden_size
        self.condition_bias = nn.Linear(width, size, bias=False)
        self.condition_weight = nn.Linear(width, size, bias=False)

    def forward(self, values, condition=None):
        if not self.conditional:
            return super().forward(values)
        if condition is None:
            raise ValueError(
                "this model's layer normalisation is conditional: give `condition`, of shape "
                f"(batch, {(self.condition_hidden or self.condition_weight).in_features})"
            )
        if self.condition_hidden is not None:
            condition = self.act(self.condition_hidden(condition))
        while condition.ndim < values.ndim:
            condition = condition[:, None]
        plain = nn.functional.layer_norm(values, self.normalized_shape, eps=self.eps)
        scale = self.weight + self.condition_weight(condition)
        return plain * scale + self.bias + self.condition_bias(condition)


class GenaeBertEmbeddings(nn.Module):
    """Tokens, segments and positions, added and normalised."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        if config.type_vocab_size and not config.shared_segment_embeddings:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = ConditionalLayerNorm(width, config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inputs_embeds, token_type_ids, position_ids, condition):
        config = self.config
        values = inputs_embeds
        if config.shared_segment_embeddings:
            values = values + self.word_embeddings(token_type_ids)
        elif config.type_vocab_size:
            values = values + self.token_type_embeddings(token_type_ids)
        values = values + self.positions(position_ids)
        return self.dropout(self.LayerNorm(values, condition))

    def positions(self, position_ids):
        """Rows of the table, or, hierarchically, mixtures of two: of the quotient and the rest.

        With rows p and alpha a: e = (p - a p_0) / (1 - a); position k is a e[k // n] +
        (1 - a) e[k % n], which is p_k below n.
        """
        alpha, rows = self.config.hierarchical_position, self.config.max_position_embeddings
        longest = rows if alpha is None else rows**2
        # Indices outside a table are a device assertion on a GPU: say it before.
        if position_ids.device.type == "cpu" and position_ids.numel():
            last = int(position_ids.max())
            if last >= longest:
                raise ValueError(f"position {last} is outside the {longest} positions there are")
        if alpha is None:
            return self.position_embeddings(position_ids)
        table = self.position_embeddings.weight
        table = (table - alpha * table[:1]) / (1 - alpha)
        return alpha * table[position_ids // rows] + (1 - alpha) * table[position_ids % rows]


def eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention step by step; returns the context, the probabilities and the raw scores."""
    scores = query @ key.transpose(-1, -2) * scaling
    raw = scores
    if (previous := kwargs.get("previous_scores")) is not None:
        scores = scores + previous
    scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    weights = weights.to(query.dtype)
    dropped = nn.functional.dropout(weights, dropout, module.training)
    return (dropped @ value).transpose(1, 2).contiguous(), weights, raw


class GenaeBertSelfAttention(nn.Module):
    """Multi-head attention; keys and values may have widths of their own."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.is_causal = False  # the mask says it all
        heads = config.num_attention_heads
        self.scaling = config.key_head_size**-0.5
        self.query = nn.Linear(config.hidden_size, heads * config.key_head_size)
        self.key = nn.Linear(config.hidden_size, heads * config.key_head_size)
        self.value = nn.Linear(config.hidden_size, heads * config.value_head_size)

    def forward(self, hidden_states, mask, past_key_values, previous_scores, output_attentions):
        query, key, value = (
            dense(hidden_states)
            .unflatten(-1, (self.config.num_attention_heads, -1))
            .transpose(1, 2)
            for dense in (self.query, self.key, self.value)
        )
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        kind = self.config._attn_implementation or "eager"
        scores = None
        if kind == "eager" or output_attentions or self.config.residual_attention_scores:
            context, weights, scores = eager_attention(
                self,
                query,
                key,
                value,
                mask,
                self.scaling,
                dropout,
                previous_scores=previous_scores,
            )
        else:
            context, weights = ALL_ATTENTION_FUNCTIONS[kind](
                self, query, key, value, mask, scaling=self.scaling, dropout=dropout
            )
        return context.flatten(2), weights, scores


class GenaeBertOutput(nn.Module):
    """A dense map, added to what went in, normalised: the end of each half of a block."""

    def __init__(self, inputs, config):
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = ConditionalLayerNorm(config.hidden_size, config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, values, residual, condition):
        return self.LayerNorm(residual + self.dropout(self.dense(values)), condition)


class GenaeBertAttention(nn.Module):
    """Attention and the map behind it, under transformers' names."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.self = GenaeBertSelfAttention(config, layer_idx)
        inputs = config.num_attention_heads * config.value_head_size
        self.output = GenaeBertOutput(inputs, config)


class GenaeBertIntermediate(nn.Module):
    """The wide half of the feed-forward part."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, hidden_states):
        return self.act(self.dense(hidden_states))


class GenaeBertLayer(GradientCheckpointingLayer):
    """One block: attention, then feed-forward, each added and normalised."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.attention = GenaeBertAttention(config, layer_idx)
        self.intermediate = GenaeBertIntermediate(config)
        self.output = GenaeBertOutput(config.intermediate_size, config)

    def forward(
        self,
        hidden_states,
        mask,
        condition=None,
        previous_scores=None,
        past_key_values=None,
        output_attentions=False,
    ):
        context, weights, scores = self.attention.self(
            hidden_states, mask, past_key_values, previous_scores, output_attentions
        )
        hidden_states = self.attention.output(context, hidden_states, condition)
        wide = self.intermediate(hidden_states)
        return self.output(wide, hidden_states, condition), weights, scores


class GenaeBertEncoder(nn.Module):
    """The blocks, under transformers' name."""

    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList(
            GenaeBertLayer(config, i) for i in range(config.num_hidden_layers)
        )


class GenaeBertPooler(nn.Module):
    """A dense map of the first position."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.pooler_act)

    def forward(self, hidden_states):
        return self.act(self.dense(hidden_states[:, 0]))


class GenaeBertPreTrainedModel(LoadsById, PreTrainedModel):
    """What all heads share."""

    config_class = GenaeBertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["GenaeBertEmbeddings", "GenaeBertLayer"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, ConditionalLayerNorm) and module.conditional:
            init.zeros_(module.condition_bias.weight)
            init.zeros_(module.condition_weight.weight)
        elif isinstance(module, GenaeBertLMPredictionHead):
            init.zeros_(module.bias)


def visible(config, attention_mask, token_type_ids, past_length):
    """Which keys each query sees, bool, shape `(B, 1, queries, keys)`.

    Args:
        config: says the kind.
        attention_mask: keys that may be seen at all, `(B, past + queries)`.
        token_type_ids: of the queries, `(B, queries)`; sums of them rank the positions of
            "prefix". All of the past ranks before.
        past_length: keys in the cache.
    """
    batch, queries = token_type_ids.shape
    keys = attention_mask[:, None, None, :].bool()
    if config.attention_mask_kind == "full":
        return keys.expand(batch, 1, queries, keys.shape[-1])
    if config.attention_mask_kind == "causal":
        rank = torch.arange(queries, device=keys.device).expand(batch, queries)
    else:
        rank = token_type_ids.cumsum(1)
    past = torch.ones((batch, 1, queries, past_length), dtype=torch.bool, device=keys.device)
    own = (rank[:, None, :] <= rank[:, :, None])[:, None]
    return keys & torch.cat([past, own], -1)


class GenaeBertModel(GenaeBertPreTrainedModel):
    """BERT without heads; see `GenaeBertConfig` for the options.

    `hidden_states` begins with the embeddings, normalised and mapped to `hidden_size`.
    """

    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        self.embeddings = GenaeBertEmbeddings(config)
        self.embeddings_project = None
        if config.embedding_width != config.hidden_size:
            self.embeddings_project = nn.Linear(config.embedding_width, config.hidden_size)
        self.encoder = GenaeBertEncoder(config)
        self.pooler = GenaeBertPooler(config) if config.pooler and add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        self.embeddings.word_embeddings = value

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
        return_dict: bool | None = None,
        **kwargs,
    ):
        config = self.config
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        batch, length = embeds.shape[:2]
        output_attentions = bool(
            config.output_attentions if output_attentions is None else output_attentions
        )
        collect = (
            config.output_hidden_states if output_hidden_states is None else (output_hidden_states)
        )
        can_cache = config.attention_mask_kind != "full"
        use_cache = can_cache and bool(config.use_cache if use_cache is None else use_cache)
        if config.residual_attention_scores or (self.training and self.is_gradient_checkpointing):
            use_cache = False
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=config)
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if token_type_ids is None:
            token_type_ids = torch.zeros((batch, length), dtype=torch.long, device=embeds.device)
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=embeds.device)[None]
        if attention_mask is None:
            attention_mask = self.default_mask(input_ids, token_type_ids, past)
        mask = visible(config, attention_mask, token_type_ids, past)
        hidden = self.embeddings(embeds, token_type_ids, position_ids, condition)
        if self.embeddings_project is not None:
            hidden = self.embeddings_project(hidden)
        states, attentions, scores = [hidden], [], None
        for layer in self.encoder.layer:
            hidden, weights, scores = layer(
                hidden,
                mask,
                condition,
                scores if config.residual_attention_scores else None,
                past_key_values if use_cache else None,
                output_attentions,
            )
            states.append(hidden)
            attentions.append(weights)
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=hidden,
            pooler_output=None if self.pooler is None else self.pooler(hidden),
            past_key_values=past_key_values if use_cache else None,
            hidden_states=tuple(states) if collect else None,
            attentions=tuple(attentions) if output_attentions else None,
        )
        wants_dict = config.return_dict if return_dict is None else return_dict
        return output if wants_dict else output.to_tuple()

    def default_mask(self, input_ids, token_type_ids, past):
        """bert4keras's own: id 0 is not seen, but for the first position."""
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
        return torch.cat([mask.new_ones((len(mask), past)), mask], 1)


class GenaeBertPredictionHeadTransform(nn.Module):
    """Back to the embeddings' width."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_width)
        self.act = activation(config.hidden_act)
        self.LayerNorm = ConditionalLayerNorm(config.embedding_width, config)

    def forward(self, hidden_states, condition=None):
        return self.LayerNorm(self.act(self.dense(hidden_states)), condition)


class GenaeBertLMPredictionHead(nn.Module):
    """Logits over tokens, tied to the table of tokens."""

    def __init__(self, config):
        super().__init__()
        self.transform = GenaeBertPredictionHeadTransform(config)
        self.decoder = nn.Linear(config.embedding_width, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states, condition=None):
        return self.decoder(self.transform(hidden_states, condition))


class GenaeBertHeads(nn.Module):
    """The heads of pretraining, under transformers' names."""

    def __init__(self, config, mlm=True, nsp=False):
        super().__init__()
        if mlm:
            self.predictions = GenaeBertLMPredictionHead(config)
        if nsp:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)


class GenaeBertWithHeads(GenaeBertPreTrainedModel):
    """A model with some of the heads of pretraining."""

    mlm, nsp = True, False
    _tied_weights_keys = {  # noqa: RUF012
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config):
        super().__init__(config)
        self.bert = GenaeBertModel(config)
        self.cls = GenaeBertHeads(config, self.mlm, self.nsp)
        self.post_init()

    def get_output_embeddings(self):
        return self.cls.predictions.decoder if self.mlm else None

    def set_output_embeddings(self, value):
        self.cls.predictions.decoder = value
        self.cls.predictions.bias = value.bias

    def logits(self, output, condition):
        """Scores of tokens, `(B, L, vocab_size)`."""
        return self.cls.predictions(output.last_hidden_state, condition)

    def relation(self, output):
        """Scores of (is next, is not), `(B, 2)`."""
        if output.pooler_output is None:
            raise ValueError("this head needs the pooler: config.pooler is False")
        return self.cls.seq_relationship(output.pooler_output)


def token_loss(logits, labels):
    """Mean cross-entropy over labels that are not -100."""
    return cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


class GenaeBertForMaskedLM(GenaeBertWithHeads):
    """With the head that fills in masked tokens."""

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        condition=None,
        inputs_embeds=None,
        labels=None,
        **kwargs,
    ):
        output = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            condition,
            inputs_embeds,
            **kwargs | {"return_dict": True},
        )
        logits = self.logits(output, condition)
        return MaskedLMOutput(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class GenaeBertForCausalLM(GenaeBertWithHeads, GenerationMixin):
    """With the same head, predicting the next token; generates."""

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        condition=None,
        inputs_embeds=None,
        labels=None,
        past_key_values=None,
        logits_to_keep=0,
        **kwargs,
    ):
        output = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            condition,
            inputs_embeds,
            past_key_values,
            **kwargs | {"return_dict": True},
        )
        kept = slice(-logits_to_keep, None) if logits_to_keep else slice(None)
        logits = self.cls.predictions(output.last_hidden_state[:, kept], condition)
        return CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else token_loss(logits[:, :-1], labels[:, 1:]),
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def _update_model_kwargs_for_generation(self, outputs, model_kwargs, *args, **kwargs):
        """Generated tokens are of segment 1 after a prefix, else of segment 0."""
        updated = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, *args, **kwargs
        )
        segments = updated.get("token_type_ids")
        if segments is not None:
            segments[:, -1] = int(self.config.attention_mask_kind == "prefix")
        return updated


@dataclass
class GenaeBertForPreTrainingOutput(ModelOutput):
    """Scores of both heads; `loss` is the sum of their losses."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class GenaeBertForPreTraining(GenaeBertWithHeads):
    """With both heads of pretraining."""

    nsp = True

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        condition=None,
        inputs_embeds=None,
        labels=None,
        next_sentence_label=None,
        **kwargs,
    ):
        output = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            condition,
            inputs_embeds,
            **kwargs | {"return_dict": True},
        )
        logits, relation = self.logits(output, condition), self.relation(output)
        losses = [] if labels is None else [token_loss(logits, labels)]
        losses += (
            []
            if next_sentence_label is None
            else [cross_entropy(relation.float(), next_sentence_label.flatten())]
        )
        return GenaeBertForPreTrainingOutput(
            loss=sum(losses) if losses else None,
            prediction_logits=logits,
            seq_relationship_logits=relation,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class GenaeBertForNextSentencePrediction(GenaeBertWithHeads):
    """With the head that says whether the second text follows the first."""

    mlm, nsp = False, True
    _tied_weights_keys = {}  # noqa: RUF012

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        condition=None,
        inputs_embeds=None,
        labels=None,
        **kwargs,
    ):
        output = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            condition,
            inputs_embeds,
            **kwargs | {"return_dict": True},
        )
        logits = self.relation(output)
        return SequenceClassifierOutput(
            loss=None if labels is None else cross_entropy(logits.float(), labels.flatten()),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class GenaeBertClassifier(GenaeBertPreTrainedModel):
    """A linear head over the pooled vector or over every position."""

    pooled = True

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = GenaeBertModel(config)
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        condition=None,
        inputs_embeds=None,
        labels=None,
        **kwargs,
    ):
        output = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            condition,
            inputs_embeds,
            **kwargs | {"return_dict": True},
        )
        values = output.last_hidden_state
        if self.pooled:
            # Without a pooler, the first position itself.
            values = values[:, 0] if output.pooler_output is None else output.pooler_output
        logits = self.classifier(self.dropout(values))
        flat = logits.reshape(-1, self.num_labels).float()
        kind = SequenceClassifierOutput if self.pooled else TokenClassifierOutput
        return kind(
            loss=None if labels is None else cross_entropy(flat, labels.flatten()),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


class GenaeBertForSequenceClassification(GenaeBertClassifier):
    """Classes of whole texts."""


class GenaeBertForTokenClassification(GenaeBertClassifier):
    """Classes of every token."""

    pooled = False
