"""What the configurations of all text models share: sizes, options, and traits of the family."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .activations import check_activation
from .checks import at_least, one_of
from .configuration_heads import read_heads

MASK_KINDS = ("full", "causal", "prefix")


@strict
class TextConfig(PreTrainedConfig):
    """Sizes and options of a text model; names are those of transformers where it has one.

    What a family always does stands on its class, not in its files: `position_kind` ("table",
    "rotary", "relative", "none"), `block_kind` ("post_norm", "pre_norm", "grover", "gated"),
    `norm_kind` ("layer", "scaled_rms", or "rms" without parameters), `head_kind` ("transform", or
    "tied" to the embeddings without parameters), `embedding_norm`, `final_norm` and `use_bias`.

    Sizes and options that cannot be are a `ValueError`, which transformers hands on as
    huggingface_hub's `StrictDataclassClassValidationError`. Options without a paper are those of
    bert4keras 0.11.5.

    Args:
        vocab_size: number of tokens.
        hidden_size: width of the hidden states.
        embedding_size: width of the embeddings; None is `hidden_size`.
        num_hidden_layers: number of blocks.
        num_hidden_groups: number of blocks with weights of their own, used evenly, 1 to
            `num_hidden_layers`; None is all of them.
        num_attention_heads: number of heads.
        attention_head_size: width of a value head; None is `hidden_size / num_attention_heads`.
        attention_key_size: width of a query and key head; None is that of the value head.
        intermediate_size: width inside the feed-forward part.
        hidden_act: an activation of transformers or one of Keras's (`activations.py`);
            `leaky_relu` has bert4keras's slope 0.2.
        max_position_embeddings: rows of the table of positions, where there is one.
        type_vocab_size: number of segments; 0 for a model without.
        layer_norm_eps: added to the variance inside the square root.
        embedding_norm_eps: that of the embeddings' normalisation; None is `layer_norm_eps`.
        head_norm_eps: that of the masked-token head's; None is `layer_norm_eps`.
        initializer_range: standard deviation of fresh weights.
        hidden_dropout_prob: share dropped of hidden states in training, in [0, 1].
        attention_probs_dropout_prob: share dropped of attention in training, in [0, 1].
        attention_mask_kind: "full"; "causal" (a key is visible from itself on); "prefix" (a key
            is visible to queries whose running sum of segment ids is not smaller, as in UniLM,
            arXiv:1905.03197).
        hierarchical_position: alpha, in (0, 1), of positions made of pairs of rows, for lengths
            up to the square of the table; None is the plain table.
        residual_attention_scores: add the raw scores of the previous layer, as in RealFormer
            (arXiv:2012.11747).
        shared_segment_embeddings: segment ids look up the table of tokens.
        condition_size: width of the vector that conditional layer normalisation takes; None for
            a plain one.
        condition_hidden_size: width of a dense map before it; None for no such map.
        condition_hidden_act: activation of that map; None is linear.
        num_conditions: rows of a table of conditions, by number, which `id2label` names; None
            where a condition is given as a vector alone.
        pooler: whether there is one.
        pooler_act: its activation.
        pad_token_id: not visible, except at the first position; None is 0.
        bos_token_id: what a generated text begins with, for `generate`.
        eos_token_id: what ends a generated text, for `generate`.
        classifier_dropout: share dropped before a classifying head in training, in [0, 1]; None
            is `hidden_dropout_prob`.
        heads: settings of heads of fine-tuning, a table for each by its name
            (`configuration_heads.py`); None are the defaults of the model's class.
        head_order: their names in the order of the model's; None of one, or of their own order.
        use_cache: keep keys and values for the next call, where the mask's kind allows it.
        tie_word_embeddings: the output layer is the table of tokens.
    """

    position_kind: ClassVar[str] = "table"
    block_kind: ClassVar[str] = "post_norm"
    norm_kind: ClassVar[str] = "layer"
    head_kind: ClassVar[str] = "transform"
    embedding_norm: ClassVar[bool] = True
    final_norm: ClassVar[bool] = False
    use_bias: ClassVar[bool] = True

    vocab_size: int = 21128
    hidden_size: int = 768
    embedding_size: int | None = None
    num_hidden_layers: int = 12
    num_hidden_groups: int | None = None
    num_attention_heads: int = 12
    attention_head_size: int | None = None
    attention_key_size: int | None = None
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    embedding_norm_eps: float | None = None
    head_norm_eps: float | None = None
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
    num_conditions: int | None = None
    pooler: bool = True
    pooler_act: str = "tanh"
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    classifier_dropout: float | int | None = None
    heads: dict[str, Any] | None = None
    head_order: list[str] | None = None
    use_cache: bool = True
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        # An Auto class with several models for a configuration looks through the list.
        self.architectures = self.architectures or []
        super().__post_init__(**kwargs)

    def validate_options(self) -> None:
        """Raise `ValueError` for sizes and options that cannot be."""
        one_of("attention_mask_kind", self.attention_mask_kind, MASK_KINDS)
        read_heads(self.heads or {})
        for field in ("hidden_act", "pooler_act", "condition_hidden_act"):
            check_activation(field, getattr(self, field))
        for field in ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size"):
            at_least(field, getattr(self, field), 1)
        at_least("type_vocab_size", self.type_vocab_size, 0)
        if self.attention_head_size is None and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"{self.num_attention_heads} heads; give attention_head_size"
            )
        groups = self.num_hidden_groups
        if groups is not None and not 1 <= groups <= self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_groups must lie between 1 and num_hidden_layers "
                f"({self.num_hidden_layers}), got {groups}"
            )
        alpha = self.hierarchical_position
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"hierarchical_position must lie between 0 and 1, got {alpha}")
        if self.condition_hidden_size is not None and self.condition_size is None:
            raise ValueError("condition_hidden_size needs a condition_size")
        if self.num_conditions is not None:
            at_least("num_conditions", self.num_conditions, 1)
            if self.condition_size is None:
                raise ValueError("num_conditions needs a condition_size")
        if self.condition_size is not None and self.norm_kind != "layer":
            raise ValueError("condition_size: this model's normalisation takes no condition")
        if self.position_kind == "rotary" and self.key_head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs: the key size {self.key_head_size} must be even"
            )
        if self.position_kind == "relative" and self.key_head_size != self.value_head_size:
            raise ValueError(
                f"attention_key_size {self.key_head_size} and attention_head_size "
                f"{self.value_head_size} must be equal: the relative table is added to both"
            )

    @property
    def value_head_size(self) -> int:
        """Width of a value head."""
        return self.attention_head_size or self.hidden_size // self.num_attention_heads

    @property
    def key_head_size(self) -> int:
        """Width of a query and key head."""
        return self.attention_key_size or self.value_head_size

    @property
    def dot_product_scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return float(self.key_head_size**-0.5)

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.embedding_size or self.hidden_size
