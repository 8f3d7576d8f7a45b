"""The tokenizer of a folder of transformers: its files are copied, as they load already."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.arguments import read_json
from convert.tokenizers.casing import casing_of
from convert.tokenizers.finding import refused
from convert.tokenizers.vocabulary import read_words
from zoo.errors import IntegrityError

if TYPE_CHECKING:
    from convert.families.base import Settings

WHOLE = "tokenizer.json"
#: Byte-pair encoding, as GPT-2's.
PAIRS = ("vocab.json", "merges.txt")
CONFIG = "tokenizer_config.json"
#: What goes with either.
FILES = (
    *(WHOLE, *PAIRS, CONFIG, "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "spiece.model"),
)
#: Options that make other files of a vocabulary.
CHANGING = ("keep_tokens", "compound_tokens", "pre_tokenize", "simplified")


def copy_given(source: Path, folder: Path, settings: Settings, notes: list[str]) -> list[str]:
    """Copy a tokenizer that transformers loads, where there is one whole.

    Args:
        source: the folder of the checkpoint.
        folder: where to.
        settings: the resolved ones; an option that changes the vocabulary needs the
            vocabulary itself.
        notes: what a person should know is added to them.

    Returns:
        The names of the files; none where there is no such tokenizer, or it has to change.

    Raises:
        IntegrityError: a file is damaged, or there are more tokens than rows of embeddings.
    """
    there = [name for name in FILES if (source / name).is_file()]
    given = settings.options.get("do_lower_case")
    if given is not None or any(settings.options.get(name) for name in CHANGING):
        return []
    if not _loads(source, there, settings):
        return []
    for name in there:
        if name.endswith(".json"):
            read_json(source / name)
    count = _count(source)
    if count > settings.source_vocab:
        raise refused(f"the tokenizer of {source} has {count} tokens", settings.source_vocab)
    for name in there:
        shutil.copyfile(source / name, folder / name)
    notes.append(f"the tokenizer is copied as it is: {', '.join(there)}")
    notes += _other_casing(source, there)
    return there


def _other_casing(source: Path, there: Sequence[str]) -> list[str]:
    """A note where the tokenizer's casing is not what its vocabulary shows."""
    if not {"vocab.txt", CONFIG} <= set(there):
        return []
    default = None if WHOLE in there else True  # what BERT's class takes where nothing is said
    says = read_json(source / CONFIG).get("do_lower_case", default)
    found = casing_of([word for word in read_words(source / "vocab.txt") if word], "vocab.txt")
    if not isinstance(says, bool) or says == found.lower:
        return []
    right = str(found.lower).lower()
    return [
        f"do_lower_case={says} by {CONFIG}, which the vocabulary contradicts: {found.why}; "
        f"--option do_lower_case={right} writes a tokenizer by the vocabulary"
    ]


def _loads(source: Path, there: Sequence[str], settings: Settings) -> bool:
    """Whether transformers loads a tokenizer from these files alone."""
    if WHOLE in there or set(PAIRS) <= set(there):
        return True
    if not {"vocab.txt", CONFIG} <= set(there):
        return False
    kind = read_json(source / CONFIG).get("tokenizer_class")
    return bool(
        re.match("(Bert|Electra)Tokenizer", kind)
        if isinstance(kind, str)
        else settings.config.get("model_type") in ("bert", "electra")
    )


def _count(source: Path) -> int:
    """The number behind the largest id that a tokenizer gives."""
    if (source / WHOLE).is_file():
        from tokenizers import Tokenizer

        try:
            ids = Tokenizer.from_file(str(source / WHOLE)).get_vocab().values()
        # The library raises no class of its own.
        except Exception as error:
            raise IntegrityError(f"{source / WHOLE}: no tokenizer ({error})") from None
    elif (source / PAIRS[0]).is_file():
        ids = read_json(source / PAIRS[0]).values()
    else:
        return len(read_words(source / "vocab.txt"))
    if not all(type(one) is int for one in ids):
        raise IntegrityError(f"{source / PAIRS[0]}: ids are whole numbers")
    return max(ids, default=-1) + 1
