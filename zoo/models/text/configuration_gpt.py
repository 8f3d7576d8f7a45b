"""Configurations of the causal families: GPT, GPT-2 and GPT2-ML."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeGPTConfig(TextConfig):
    """GPT with segments: blocks as BERT's, embeddings not normalised; see `TextConfig`.

    Sources: Radford et al., 2018; CDial-GPT, arXiv:2008.03946.
    """

    model_type = "genae_gpt"
    head_kind: ClassVar[str] = "tied"
    embedding_norm: ClassVar[bool] = False

    attention_mask_kind: str = "causal"
    pooler: bool = False


@strict
class GenaeGPT2Config(GenaeGPTConfig):
    """GPT-2: normalisation before each half of a block and at the end; see `TextConfig`.

    Sources: Radford et al., 2019; CPM, arXiv:2012.00413.
    """

    model_type = "genae_gpt2"
    block_kind: ClassVar[str] = "pre_norm"
    final_norm: ClassVar[bool] = True

    type_vocab_size: int = 0
    layer_norm_eps: float = 1e-5


@strict
class GenaeGPT2MLConfig(GenaeGPTConfig):
    """GPT2-ML: blocks of Grover, normalised before and after the feed-forward part.

    Sources: Grover, arXiv:1905.12616; the GPT2-ML release (Zhang, 2019); see `TextConfig`.
    """

    model_type = "genae_gpt2_ml"
    block_kind: ClassVar[str] = "grover"
    embedding_norm: ClassVar[bool] = True

    type_vocab_size: int = 0
    layer_norm_eps: float = 1e-5
