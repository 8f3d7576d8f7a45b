"""Configuration of ALBERT with the options that transformers' own lacks."""

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeAlbertConfig(TextConfig):
    """Sizes and options of `GenaeAlbertModel`; see `TextConfig` (arXiv:1909.11942)."""

    model_type = "genae_albert"

    embedding_size: int | None = 128
    num_hidden_groups: int | None = 1
    layer_norm_eps: float = 1e-7
    embedding_norm_eps: float | None = 1e-12
    head_norm_eps: float | None = 1e-12
