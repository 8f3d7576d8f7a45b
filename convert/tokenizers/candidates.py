"""Files that may be a checkpoint's vocabulary: by their names, and by what they contain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convert.readers.archive import is_clutter
from convert.tokenizers.spm_model import read_spm
from convert.tokenizers.vocabulary import are_pieces, load_vocab
from zoo.errors import GenaeError

VOCAB = "vocab.txt"
#: Names that SentencePiece models were published under, taken before any other `*.model`.
KNOWN_MODELS = (
    *("spiece.model", "sentencepiece.model", "spm.model", "chinese_vocab.model"),
    "30k-clean.model",
)
#: Endings of other files that may be a list of tokens.
ENDINGS = ("", ".txt", ".vocab", ".dic", ".dict", ".tsv")
#: Names of copies of one.
ODD = re.compile(
    r"vocab\w*(?:\.\w+)?\.(?:bak|old|orig|copy|lst|list|csv|tok|\d+)$|vocab.*~$", re.I
)
#: Bytes of the largest file that is read to see whether it is a list of tokens; LaBSE has 5.2 MB.
MAX_BYTES = 16 * 2**20
#: Files that begin so are weights or archives: HDF5, zip, gzip.
NO_MODELS = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b")


def is_pieces(path: Path) -> bool:
    """Whether a vocabulary is a SentencePiece model, not a list of tokens."""
    if path.suffix in (".model", ".txt"):
        return path.suffix == ".model"
    try:
        path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return True
    return False


@dataclass(frozen=True)
class Candidate:
    """A file that may be the vocabulary.

    Attributes:
        path: the file.
        sure: whether its name says so.
    """

    path: Path
    sure: bool = False

    @cached_property
    def _read(self) -> tuple[tuple[str, ...] | None, str]:
        """Its tokens or pieces, and what is wrong where there are none."""
        try:
            if is_pieces(self.path):
                return tuple(piece.text for piece in read_spm(self.path).pieces), ""
            tokens = tuple(load_vocab(self.path).tokens)
            if are_pieces(tokens) and not self.sure:
                return None, "pieces of a SentencePiece model, whose .model file is read"
            return tokens, ""
        except (GenaeError, OSError) as error:
            return None, str(error)

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """Its tokens or pieces; None where it is no vocabulary."""
        return self._read[0]

    @property
    def problem(self) -> str:
        """Why it is no vocabulary; empty where it is one."""
        return self._read[1]

    @property
    def count(self) -> int:
        """How many tokens it has; -1 where it is no vocabulary."""
        return -1 if self.tokens is None else len(self.tokens)

    def __str__(self) -> str:
        return f"{self.path.name} ({self.count} tokens)" if self.tokens else self.path.name


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, hidden files left out; nothing where it may not be read."""
    try:
        return [path for path in sorted(folder.iterdir()) if not is_clutter(path.name)]
    except OSError:
        return []


def candidates(folder: Path, sizes: Sequence[int]) -> Iterator[Candidate]:
    """The files of a folder that may be vocabularies; those that are called so first."""
    files = [path for path in entries(folder) if path.is_file()]
    models = [path for path in files if path.suffix == ".model" and not _is_weights(path)]
    known = [path for path in models if path.name in KNOWN_MODELS]
    sure = [*(known or models), *(path for path in files if path.name == VOCAB)]
    yield from (Candidate(path, True) for path in sure)
    found = bool(sure)
    others = [path for path in models if path not in sure]
    others += [p for p in files if p.suffix.lower() in ENDINGS and p.name != VOCAB]
    for path in others:
        one = Candidate(path)
        called = "vocab" in path.name.lower() or path.suffix == ".model"
        if _is_small(path) and (called or one.count in sizes):
            found = found or one.tokens is not None
            yield one
    if not found:  # a copy by hand or by a download manager: vocab.txt.bak, vocab.txt.1
        odd = [p for p in files if ODD.search(p.name) and _is_small(p)]
        yield from (Candidate(path) for path in odd)


def _is_small(path: Path) -> bool:
    """Whether a file may be a vocabulary by its size; one that another program removed is none."""
    try:
        return path.stat().st_size <= MAX_BYTES
    except OSError:
        return False


def _is_weights(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(NO_MODELS)
    except OSError:
        return False
