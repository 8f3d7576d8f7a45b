"""Configuration of T5 as bert4keras builds it, with the options transformers' own T5 lacks."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .activations import check_activation
from .checks import at_least
from .configuration_heads import read_heads


@strict
class GenaeT5Config(PreTrainedConfig):
    """Sizes and options of T5 in all its versions; names are those of transformers' T5.

    Sources: arXiv:1910.10683 (T5), arXiv:2002.05202 (gated feed-forward part of t5.1.1),
    arXiv:2010.11934 (mT5).

    Sizes and options that cannot be are a `ValueError`, which transformers hands on as
    huggingface_hub's `StrictDataclassClassValidationError`.

    Args:
        vocab_size: number of tokens.
        d_model: width of the hidden states.
        d_kv: width of a head; heads need not add up to `d_model`.
        d_ff: width inside the feed-forward part.
        num_layers: number of blocks of the encoder.
        num_decoder_layers: number of blocks of the decoder; None is `num_layers`.
        num_heads: number of heads.
        relative_attention_num_buckets: rows of each table of offsets, a multiple of 4.
        relative_attention_max_distance: offsets from here on, in tokens, share a bucket; above
            half the buckets.
        cross_position_bias: the decoder's table is added in cross attention as well, for the
            offset of the encoder's position from the decoder's.
        hidden_act: as `TextConfig`'s: `gelu` is the erf form, `gelu_pytorch_tanh` the tanh
            form.
        is_gated_act: the activation gates a second linear map.
        scale_output: hidden states are multiplied by d_model^-0.5 before the head, tied or not.
        tie_word_embeddings: the head is the table of tokens.
        layer_norm_epsilon: added to the mean square inside the square root.
        dropout_rate: share dropped of hidden states and of attention in training, in [0, 1].
        initializer_factor: factor on the standard deviations of fresh weights.
        is_encoder_decoder: whether both halves are there; False for one alone.
        use_cache: keep the decoder's keys and values for the next call.
        pad_token_id: not visible, except at the first position; None is 0.
        bos_token_id: T5 has none.
        eos_token_id: what ends a text.
        decoder_start_token_id: what the decoder's input begins with; None is 0.
        heads: as of `TextConfig`; they stand on the encoder.
        head_order: as there.
    """

    model_type = "genae_t5"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012
    attribute_map = {  # noqa: RUF012
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    cross_position_bias: bool = True
    hidden_act: str = "relu"
    is_gated_act: bool = False
    scale_output: bool = True
    tie_word_embeddings: bool = True
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float | int = 0.1
    initializer_factor: float | int = 1.0
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = 1
    decoder_start_token_id: int | None = 0
    heads: dict[str, Any] | None = None
    head_order: list[str] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # An Auto class with several models for a configuration looks through the list.
        self.architectures = self.architectures or []
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        super().__post_init__(**kwargs)

    def get_text_config(
        self, decoder: bool | None = None, encoder: bool | None = None
    ) -> PreTrainedConfig:
        """As the base has it; a cache for the decoder must have the decoder's depth.

        Args:
            decoder: ask for the decoder's settings.
            encoder: ask for the encoder's settings.
        """
        config = super().get_text_config(decoder=decoder, encoder=encoder)
        if decoder and config is not self:
            config.num_layers = self.num_decoder_layers
        return config

    def validate_options(self) -> None:
        """Raise `ValueError` for sizes and options that cannot be."""
        read_heads(self.heads or {})
        check_activation("hidden_act", self.hidden_act)
        for field in ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads", "num_layers"):
            at_least(field, getattr(self, field), 1)
        if self.num_decoder_layers is not None:
            at_least("num_decoder_layers", self.num_decoder_layers, 1)
        buckets = self.relative_attention_num_buckets
        if buckets < 4 or buckets % 4:
            raise ValueError(
                "relative_attention_num_buckets must be a multiple of 4 (halves of halves hold "
                f"small offsets), got {buckets}"
            )
        if self.relative_attention_max_distance <= buckets // 2:
            raise ValueError(
                f"relative_attention_max_distance must be above {buckets // 2}, half the "
                f"buckets, got {self.relative_attention_max_distance}"
            )
