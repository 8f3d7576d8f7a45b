"""Whether a vocabulary is for lower-cased text, and how that is known.

Only words decide: tokens of two Latin letters or more. Single capitals prove nothing (Google's
Chinese vocabulary and all that descend from it have the marks `<S>` and `<T>`, and are for
lower-cased text), and no share of them does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convert.tokenizers.spm_model import SPACE, Kind, SpmModel
from convert.tokenizers.vocabulary import UNUSED
from zoo.errors import UsageError

#: Two letters of the Latin script or more, accents included; so neither `##ing` nor `[CLS]`.
WORD = re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]{2,}")
ASCII_WORD = re.compile("[A-Za-z]{2,}")
#: What a space is in vocabularies of bytes, where other letters stand for bytes as well.
BYTE_SPACE = "\u0120"
ROLES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GOOGLES = 100  # the line of [UNK] in Google's vocabularies: those behind [PAD] are all reserved
NEAR = 20  # lines behind the last reserved one that may have been reserved as well
SHOWN = 3


@dataclass(frozen=True)
class Casing:
    """What was decided.

    Attributes:
        lower: whether texts are to be lower-cased.
        why: what in the vocabulary says so, in words.
        inside: whether the vocabulary's own normalization does it.
    """

    lower: bool
    why: str
    inside: bool = False


def casing_of(tokens: Sequence[str], name: str) -> Casing:
    """What the words of a vocabulary say.

    Args:
        tokens: in the order of ids.
        name: of the file, for the words.

    Returns:
        Cased if a word has a capital; lower-cased if none has, or there is no word. Words that a
        person put in the place of `[unused1]` and the like do not count.
    """
    bytewise = any(len(token) > 1 and token[0] == BYTE_SPACE for token in tokens)
    word = ASCII_WORD if bytewise else WORD
    plain = [token.removeprefix(BYTE_SPACE) for token in tokens] if bytewise else tokens
    places = [number for number, token in enumerate(plain) if word.fullmatch(token)]
    capitals = [number for number in places if plain[number] != plain[number].lower()]
    if not places:
        return Casing(True, f"{name} has no word of Latin letters, which would decide")
    if capitals and (own := set(_reserved(list(tokens)))):
        places = [number for number in places if number not in own]
        capitals = [number for number in capitals if number not in own]
    if not capitals:
        return Casing(
            True, f"of {len(places)} words of Latin letters in {name} none has a capital"
        )
    shown = ", ".join(plain[number] for number in capitals[:SHOWN])
    return Casing(
        False,
        f"of {len(places)} words of Latin letters in {name} {len(capitals)} have capitals: "
        f"{shown}{' ...' if len(capitals) > SHOWN else ''}",
    )


def casing_of_pieces(model: SpmModel, name: str) -> Casing:
    """The same of a SentencePiece model, whose normalization may lower-case as well."""
    from tokenizers import normalizers

    if model.charsmap and normalizers.Precompiled(model.charsmap).normalize_str("A") == "a":
        return Casing(True, f"the normalization of {name} does it", inside=True)
    pieces = [piece.text for piece in model.pieces if piece.kind is Kind.NORMAL]
    return casing_of([text.lstrip(SPACE) for text in pieces], name)


def checked(value: object) -> bool | None:
    """The option `do_lower_case`.

    Raises:
        UsageError: it is neither true nor false.
    """
    if value is None or value in (True, False):  # 1 and 0 as well
        return None if value is None else bool(value)
    raise UsageError(f"do_lower_case is {value!r}; it can be true or false")


def _reserved(tokens: Sequence[str]) -> Iterator[int]:
    """Ids where `[unusedN]` stood, or would by the numbers around it.

    Before the first and behind the last that is left, as far as the next special token.
    """
    if tokens[0] == ROLES[0] and tokens[GOOGLES : GOOGLES + 1] == [ROLES[1]]:
        yield from range(1, GOOGLES)
    runs: dict[int, list[int]] = {}
    for number, token in enumerate(tokens):
        if match := UNUSED.fullmatch(token):
            runs.setdefault(number - int(match[1]), []).append(number)
    for zero, found in runs.items():
        begin, last = found[0], found[-1]
        for before in (zero, zero - 1):  # the numbers begin with 1, or with 0
            if 0 <= before < begin and tokens[before] in ROLES:
                begin = before + 1
        behind = range(last + 1, min(last + 1 + NEAR, len(tokens)))
        end = next((number for number in behind if tokens[number] in ROLES), last)
        yield from range(begin, end)
