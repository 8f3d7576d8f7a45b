"""Configuration of BERT as bert4keras builds it, with the options transformers' own BERT lacks."""

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeBertConfig(TextConfig):
    """Sizes and options of `GenaeBertModel`; see `TextConfig` (arXiv:1810.04805)."""

    model_type = "genae_bert"
