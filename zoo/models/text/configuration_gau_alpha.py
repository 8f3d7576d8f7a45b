"""Configuration of GAU-alpha: gated attention units instead of attention and feed-forward."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .checks import at_least
from .configuration_text import TextConfig


@strict
class GenaeGAUAlphaConfig(TextConfig):
    """Sizes and options of `GenaeGAUAlphaModel`; see `TextConfig`.

    Sources: gated attention units, arXiv:2202.10447; the GAU-alpha release of ZhuiyiTechnology
    (2022) for the normalisation of scores.

    Args:
        attention_reference_length: number of keys at which scores are not scaled, at least 2;
            scores of n visible keys are multiplied by log n / log of this.
    """

    model_type = "genae_gau_alpha"
    position_kind: ClassVar[str] = "rotary"
    block_kind: ClassVar[str] = "gated"
    norm_kind: ClassVar[str] = "rms"
    head_kind: ClassVar[str] = "tied"
    use_bias: ClassVar[bool] = False

    num_hidden_layers: int = 24
    num_attention_heads: int = 1
    attention_key_size: int | None = 128
    intermediate_size: int = 1536
    hidden_act: str = "silu"
    attention_reference_length: int = 512
    layer_norm_eps: float = 1e-7
    pooler: bool = False

    def validate_unit(self) -> None:
        """Raise `ValueError` for what a unit cannot have."""
        if self.num_attention_heads != 1:
            raise ValueError(
                f"num_attention_heads must be 1, which is all a unit has, got "
                f"{self.num_attention_heads}"
            )
        at_least("attention_reference_length", self.attention_reference_length, 2)
