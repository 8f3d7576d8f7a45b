"""Configuration of BERT as bert4keras builds it, with the options transformers' own BERT lacks."""

from huggingface_hub.dataclasses import strict

from .configuration_base import GenaeConfig, at_least, one_of

MASK_KINDS = ("full", "causal", "prefix")


@strict
class GenaeBertConfig(GenaeConfig):
    """Sizes and options of `GenaeBertModel`; names are those of transformers where it has one.

    Args:
        vocab_size: tokens.
        hidden_size: width of the hidden states.
        embedding_size: width of the embeddings; None is `hidden_size`.
        num_hidden_layers: blocks.
        num_attention_heads: heads.
        attention_head_size: width of a value head; None is hidden_size / heads.
        attention_key_size: width of a query and key head; None is that of the value head.
        intermediate_size: width inside the feed-forward part.
        hidden_act: an activation of transformers; `leaky_relu` has bert4keras's slope 0.2.
        max_position_embeddings: rows of the table of positions.
        type_vocab_size: segments; 0 for a model without.
        layer_norm_eps: inside the square root.
        initializer_range: standard deviation of fresh weights.
        hidden_dropout_prob: share dropped of hidden states.
        attention_probs_dropout_prob: share dropped of attention.
        attention_mask_kind: "full"; "causal" (a key is seen from itself on); "prefix" (a key is
            seen by queries whose running sum of segment ids is not smaller, as in UniLM).
        hierarchical_position: alpha of positions made of pairs of rows, for lengths up to the
            square of the table; None is the plain table.
        residual_attention_scores: add the raw scores of the previous layer, as in RealFormer.
        shared_segment_embeddings: segment ids look up the table of tokens.
        condition_size: width of the vector that conditional layer normalisation takes.
        condition_hidden_size: width of a dense map before it; None for no such map.
        condition_hidden_act: activation of that map; None is linear.
        pooler: whether there is one.
        pooler_act: its activation.
        pad_token_id: masked, except at the first position.
        tie_word_embeddings: the output layer is the table of tokens.
    """

    model_type = "genae_bert"

    vocab_size: int = 21128
    hidden_size: int = 768
    embedding_size: int | None = None
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    attention_head_size: int | None = None
    attention_key_size: int | None = None
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    attention_mask_kind: str = "full"
    hierarchical_position: float | int | None = None
    residual_attention_scores: bool = False
    shared_segment_embeddings: bool = False
    condition_size: int | None = None
    condition_hidden_size: int | None = None
    condition_hidden_act: str | None = None
    pooler: bool = True
    pooler_act: str = "tanh"
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    classifier_dropout: float | int | None = None
    use_cache: bool = True
    tie_word_embeddings: bool = True

    def validate_options(self):
        """Refuse sizes and options that cannot be."""
        one_of("attention_mask_kind", self.attention_mask_kind, MASK_KINDS)
        for field in ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size"):
            at_least(field, getattr(self, field), 1)
        at_least("type_vocab_size", self.type_vocab_size, 0)
        if self.attention_head_size is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"{self.num_attention_heads} heads; give attention_head_size"
            )
        alpha = self.hierarchical_position
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"hierarchical_position must lie between 0 and 1, got {alpha}")
        if self.condition_hidden_size is not None and self.condition_size is None:
            raise ValueError("condition_hidden_size needs a condition_size")

    @property
    def value_head_size(self) -> int:
        """Width of a value head."""
        return self.attention_head_size or self.hidden_size // self.num_attention_heads

    @property
    def key_head_size(self) -> int:
        """Width of a query and key head."""
        return self.attention_key_size or self.value_head_size

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.embedding_size or self.hidden_size
