"""The tokenizers of bert4keras as files that transformers loads."""

from convert.tokenizers.beside import find_vocabulary, with_simplified, write_beside
from convert.tokenizers.sentencepiece import keep_pieces, write_sentencepiece
from convert.tokenizers.spm_model import SpmModel, read_spm
from convert.tokenizers.vocabulary import (
    keep_vocab,
    read_vocab,
    read_words,
    simplify_vocab,
)
from convert.tokenizers.wordpiece import DIFFERENCES, NOT_WRITTEN, truncate, write_tokenizer

__all__ = [
    "DIFFERENCES",
    "NOT_WRITTEN",
    "SpmModel",
    "find_vocabulary",
    "keep_pieces",
    "keep_vocab",
    "read_spm",
    "read_vocab",
    "read_words",
    "simplify_vocab",
    "truncate",
    "with_simplified",
    "write_beside",
    "write_sentencepiece",
    "write_tokenizer",
]
