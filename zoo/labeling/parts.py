"""Long texts in parts that overlap, cut where sentences end."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

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
