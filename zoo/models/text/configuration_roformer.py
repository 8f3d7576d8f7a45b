"""Configuration of RoFormer with the options that transformers' own lacks."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeRoFormerConfig(TextConfig):
    """Sizes and options of `GenaeRoFormerModel`; see `TextConfig` (arXiv:2104.09864)."""

    model_type = "genae_roformer"
    position_kind: ClassVar[str] = "rotary"

    layer_norm_eps: float = 1e-7
    head_norm_eps: float | None = 1e-12
