"""Long texts in parts that overlap, cut where sentences end."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

#: The end of a sentence, Chinese or Western, closing quotes and brackets included.
SENTENCE_END = re.compile(
    r"[\u3002\uff01\uff1f\uff1b\u2026!?;]+[\u201d\u2019\u300d\u300f\uff09)\"']*|\.(?=\s)|\n+"
)


class Part(NamedTuple):
    """Tokens of a text that are read at once.

    Attributes:
        start: first token.
        end: behind the last token.
        own_start: first token that this part answers for.
        own_end: behind the last of them.
    """

    start: int
    end: int
    own_start: int
    own_end: int


@dataclass(frozen=True)
class Piece:
    """A part of a text as a model takes it, with the tokens that stand for none at both ends.

    Attributes:
        inputs: its tokens, by the names of the model's inputs.
        places: the characters of each of them in the text.
        own: positions of those that this part answers for.
        inner: positions of those that stand for some of the text.
    """

    inputs: dict[str, list[int]]
    places: list[tuple[int, int]]
    own: range
    inner: range


def pieces(tokenizer: Any, texts: Sequence[str], limit: int) -> Iterator[list[Piece]]:
    """The parts of each text, as labels are learned and given: one of a text that is short enough.

    Args:
        tokenizer: a fast one of transformers, which knows the characters of its tokens. What
            looks like a special token in a text is text.
        texts: to be read.
        limit: number of tokens that are read at once, special ones included; above their number.
    """
    encoded = tokenizer(
        list(texts),
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        split_special_tokens=True,
        verbose=False,
    )
    names = [name for name in tokenizer.model_input_names if name in encoded]
    for row, text in enumerate(texts):
        places, special = encoded["offset_mapping"][row], encoded["special_tokens_mask"][row]
        begin = special.index(0) if 0 in special else len(special)
        end = len(special) - special[::-1].index(0) if 0 in special else len(special)
        room = limit - begin - (len(special) - end)
        found = []
        for part in cut(text, places[begin:end], room):
            first, behind = begin + part.start, begin + part.end
            kept = [*range(begin), *range(first, behind), *range(end, len(special))]
            found.append(
                Piece(
                    {name: [encoded[name][row][at] for at in kept] for name in names},
                    [places[at] for at in kept],
                    range(begin + part.own_start - part.start, begin + part.own_end - part.start),
                    range(begin, begin + part.end - part.start),
                )
            )
        yield found


def cut(text: str, offsets: Sequence[tuple[int, int]], room: int) -> list[Part]:
    """The parts of a text; each token is in the own range of exactly one.

    Parts end where sentences do, and overlap by up to a quarter in whole sentences. A sentence
    too long for that is cut anywhere, with an overlap of a quarter.

    Args:
        text: that was cut into tokens.
        offsets: first character of each token, and the one behind its last.
        room: number of tokens that are read at once, at least 1.
    """
    if len(offsets) <= room:
        return [Part(0, len(offsets), 0, len(offsets))]
    places = _places(text, offsets, room)
    parts: list[Part] = []
    start = own = 0
    while True:
        end = places[bisect_right(places, start + room) - 1]
        if end == len(offsets):
            return [*parts, Part(start, end, own, end)]
        following = max(start + 1, end - room // 4)
        following = places[bisect_left(places, following)]  # at most `end`
        shared = places[bisect_left(places, following) : bisect_right(places, end)]
        border = min(shared, key=lambda place: abs(2 * place - following - end))
        parts.append(Part(start, end, own, border))
        start, own = following, border


def _places(text: str, offsets: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Tokens before which a text may be cut, both ends included, at most a quarter apart.

    Sentences longer than that have places inside, an eighth apart.
    """
    firsts = [begin for begin, _ in offsets]
    ends = {bisect_left(firsts, found.end()) for found in SENTENCE_END.finditer(text)}
    whole = sorted({0, len(offsets)} | ends)
    places: list[int] = []
    for begin, end in pairwise(whole):
        short = end - begin <= room // 4
        places += range(begin, end, end - begin if short else max(1, room // 8))
    return [*places, len(offsets)]
