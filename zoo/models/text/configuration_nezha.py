"""Configuration of NEZHA: BERT with sinusoidal relative positions in keys and values."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .checks import at_least
from .configuration_text import TextConfig


@strict
class GenaeNezhaConfig(TextConfig):
    """Sizes and options of `GenaeNezhaModel`; see `TextConfig` (arXiv:1909.00204).

    Args:
        max_relative_position: offsets of keys are clipped to this many tokens, either way; at
            least 1.
    """

    model_type = "genae_nezha"
    position_kind: ClassVar[str] = "relative"

    max_relative_position: int = 64
    layer_norm_eps: float = 1e-7
    head_norm_eps: float | None = 1e-12

    def validate_relative(self) -> None:
        """Raise `ValueError` for a table without offsets."""
        at_least("max_relative_position", self.max_relative_position, 1)
