"""SentencePiece's model files, read without SentencePiece.

A model is one message: pieces (1), its training's settings (2), how texts are normalized (3).
Field numbers are those of `sentencepiece_model.proto`; fields that decide nothing are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

from convert.readers.archive import path_of
from convert.readers.contents import what_is
from convert.wire.protobuf import WireError, bytes_of, fields, number_of
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.hints import correction

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # what a space is written as in pieces
MAX_SCORE = 1e30  # scores are logarithms; of such as these, sums would leave the range of floats
ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary.

    Attributes:
        text: as stored, spaces as `SPACE`.
        score: its log probability; 0 where the kind has none.
        kind: normal, control ...
    """

    text: str
    score: float = 0.0
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True)
class SpmModel:
    """What a SentencePiece model says, checked.

    Attributes:
        pieces: in the order of their ids, all different, exactly one of them unknown.
        charsmap: the compiled normalization, empty for none.
        add_dummy_prefix: put a space before a text.
        remove_extra_whitespaces: keep one space of several, and none at the ends.
        escape_whitespaces: write spaces as `SPACE`.
        byte_fallback: spell unknown characters in bytes.
        unk_surface: what an unknown piece decodes to.
        names: "bos", "eos", "pad" -> the piece that its training called so.
    """

    pieces: tuple[Piece, ...]
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    byte_fallback: bool = False
    unk_surface: str = " \u2047 "
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def unk(self) -> Piece:
        """What pieces become that are not in the vocabulary."""
        return next(piece for piece in self.pieces if piece.kind is Kind.UNKNOWN)


def read_spm(path: str | Path) -> SpmModel:
    """Read a SentencePiece model.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no such model, or damaged.
        UsageError: it is whole, and of a kind that is not converted.
    """
    path = path_of(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; {correction(path)}")
    if (instead := what_is(path, raw=path.stat().st_size > 0)) is not None:
        raise IntegrityError(
            f"{path}: no SentencePiece model, or a damaged one ({instead.words}); {instead.step}"
        )
    try:
        return _parse(path.read_bytes())
    except WireError as error:
        raise IntegrityError(
            f"{path}: no SentencePiece model, or a damaged one ({error}); get it again; "
            "--vocab none converts without a tokenizer"
        ) from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}; --vocab none converts without a tokenizer") from None


def _parse(data: bytes) -> SpmModel:
    pieces: list[Piece] = []
    training: dict[int, int | bytes] = {}
    normalizing: dict[int, int | bytes] = {}
    for number, value in fields(data):
        if number == 1:
            pieces.append(_piece(bytes_of(value, "a piece"), len(pieces)))
        elif number in (2, 3):
            table = training if number == 2 else normalizing
            table.update(fields(bytes_of(value, "a specification")))
    _check_pieces(pieces)
    algorithm = number_of(training.get(3, 1), "model_type")
    if algorithm not in ALGORITHMS:
        raise WireError(f"model_type {algorithm} is none of {sorted(ALGORITHMS)}")
    if algorithm != 1:
        raise UsageError(
            f"model_type {ALGORITHMS[algorithm]}: of SentencePiece's kinds unigram is converted, "
            "which every family of bert4keras uses"
        )
    if training.get(24, 0):
        raise UsageError("treat_whitespace_as_suffix: spaces behind words are not converted")
    byte_fallback = bool(training.get(35, 0))
    if byte_fallback and sum(piece.kind is Kind.BYTE for piece in pieces) != 256:
        raise WireError("byte_fallback without a piece for each of the 256 bytes")
    charsmap = bytes_of(normalizing.get(2, b""), "precompiled_charsmap")
    if charsmap:
        check_charsmap(charsmap)
    controls = {piece.text for piece in pieces if piece.kind is Kind.CONTROL}
    named = {
        role: _text(training.get(number, default), f"{role}_piece")
        for role, number, default in (
            ("bos", 46, b"<s>"),
            ("eos", 47, b"</s>"),
            ("pad", 48, b"<pad>"),
        )
    }
    return SpmModel(
        tuple(pieces),
        charsmap,
        bool(normalizing.get(3, 1)),
        bool(normalizing.get(4, 1)),
        bool(normalizing.get(5, 1)),
        byte_fallback,
        _text(training.get(44, b" \xe2\x81\x87 "), "unk_surface"),
        {role: name for role, name in named.items() if name in controls},
    )


def _piece(data: bytes, place: int) -> Piece:
    stored = dict(fields(data))
    text = _text(stored.get(1, b""), f"piece {place}")
    bits = number_of(stored.get(2, 0), f"the score of piece {place}")
    kind = number_of(stored.get(3, 1), f"the type of piece {place}")
    score = struct.unpack("<f", (bits & 0xFFFFFFFF).to_bytes(4, "little"))[0]
    if not text or not abs(score) < MAX_SCORE or kind not in KINDS:
        raise WireError(f"piece {place} is {text!r} with score {score} and type {kind}")
    return Piece(text, score, KINDS[kind])


def _text(value: int | bytes, what: str) -> str:
    try:
        return bytes_of(value, what).decode("utf-8")
    except UnicodeDecodeError:
        raise WireError(f"{what} is not UTF-8") from None


def _check_pieces(pieces: list[Piece]) -> None:
    if not pieces:
        raise WireError("it has no pieces")
    seen: dict[str, int] = {}
    for place, piece in enumerate(pieces):
        if piece.text in seen:
            raise WireError(f"piece {place} repeats {piece.text!r} of piece {seen[piece.text]}")
        seen[piece.text] = place
    unknown = sum(piece.kind is Kind.UNKNOWN for piece in pieces)
    if unknown != 1:
        raise WireError(f"{unknown} pieces for unknown text, where one is needed")
    if not any(piece.kind is Kind.NORMAL for piece in pieces):
        raise WireError("none of its pieces is a normal one")


def check_charsmap(blob: bytes) -> None:
    """Make sure that no text leads out of a compiled normalization.

    It is the size of a double array (Darts), the array, and the replacements, each ended by a
    zero byte. A unit of the array has its label in bits 0 to 7, whether a replacement ends there
    in bit 8, and the distance to its children from bit 9 on.

    Raises:
        WireError: a unit points outside the array or the replacements, or those are not UTF-8.
    """
    size = int.from_bytes(blob[:4], "little")
    if len(blob) < 4 or size % 1024 or not 0 < size <= len(blob) - 4:
        raise WireError(f"the normalization's array of {size} bytes does not fit its {len(blob)}")
    units = np.frombuffer(blob, "<u4", size // 4, offset=4)
    strings = blob[4 + size :]
    _text(strings, "a replacement of the normalization")
    inner = units < 2**31  # the others are the replacements' places
    inner[0] = True  # the root is followed whatever it says
    distance = (units >> 10) << ((units & 512) >> 6)
    children = np.arange(len(units), dtype=np.uint32) ^ distance
    # A child is a byte away from there, so in the same block of 256 units.
    if (children[inner] | 0xFF >= len(units)).any():
        raise WireError("a unit of the normalization points outside its array")
    ends = children[inner & (units & 256 > 0)]
    places = units[ends] & (2**31 - 1)
    starts = np.zeros(len(strings) + 1, dtype=bool)
    starts[0] = bool(strings)
    starts[1:] = np.frombuffer(strings, np.uint8) == 0  # a string begins behind each zero
    starts[-1] = False
    if not strings.endswith(b"\0") or not starts[np.minimum(places, len(strings))].all():
        raise WireError("a replacement of the normalization begins where none does")
