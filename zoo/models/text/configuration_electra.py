"""Configuration of ELECTRA with the options that transformers' own lacks."""

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeElectraConfig(TextConfig):
    """Sizes and options of `GenaeElectraModel`; see `TextConfig` (arXiv:2003.10555)."""

    model_type = "genae_electra"

    pooler: bool = False
