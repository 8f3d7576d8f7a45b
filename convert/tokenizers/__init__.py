"""The tokenizers of bert4keras as files that transformers loads."""

from convert.tokenizers.casing import Casing, casing_of, casing_of_pieces
from convert.tokenizers.copying import copy_given
from convert.tokenizers.finding import Found, choose_vocabulary, find_vocabulary
from convert.tokenizers.sentencepiece import keep_pieces, write_sentencepiece
from convert.tokenizers.spm_model import SpmModel, read_spm
from convert.tokenizers.vocabulary import (
    Vocabulary,
    keep_vocab,
    load_vocab,
    read_vocab,
    read_words,
    simplify_vocab,
)
from convert.tokenizers.wordpiece import DIFFERENCES, NOT_WRITTEN, truncate, write_tokenizer
from convert.tokenizers.writing import with_simplified, write_files

__all__ = [
    "DIFFERENCES",
    "NOT_WRITTEN",
    "Casing",
    "Found",
    "SpmModel",
    "Vocabulary",
    "casing_of",
    "casing_of_pieces",
    "choose_vocabulary",
    "copy_given",
    "find_vocabulary",
    "keep_pieces",
    "keep_vocab",
    "load_vocab",
    "read_spm",
    "read_vocab",
    "read_words",
    "simplify_vocab",
    "truncate",
    "with_simplified",
    "write_files",
    "write_sentencepiece",
    "write_tokenizer",
]
