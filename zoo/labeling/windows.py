"""Questions and long texts in windows that overlap, as google-research/bert's run_squad.py has."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from zoo.data.text.parts import Piece
from zoo.errors import UsageError


def windows(
    tokenizer: Any, rows: Sequence[tuple[str, str]], limit: int, stride: int | None
) -> Iterator[list[Piece]]:
    """The windows over each text, all with its question in front; one of a text that fits.

    A token is the own one of the window where it has most around it, to its left or its right,
    whichever is less.

    Args:
        tokenizer: a fast one of transformers. What looks like a special token is text.
        rows: a text and its question each.
        limit: number of tokens of a window, question and special ones included.
        stride: number of tokens from one window to the next; None is 128, or half a window.

    Raises:
        UsageError: a question leaves no room for its text, or windows would not meet.
    """
    texts, questions = zip(*rows, strict=True)
    encoded = tokenizer(
        list(questions), list(texts), return_offsets_mapping=True, split_special_tokens=True,
        verbose=False,
    )  # fmt: skip
    names = [name for name in tokenizer.model_input_names if name in encoded]
    for row, question in enumerate(questions):
        places, of_text = encoded["offset_mapping"][row], encoded.sequence_ids(row)
        tokens = [place for place, which in enumerate(of_text) if which == 1]
        begin, end = (tokens[0], tokens[-1] + 1) if tokens else (len(of_text), len(of_text))
        around = len(of_text) - (end - begin)
        room = limit - around
        if room < 1:
            raise UsageError(
                f"the question {question!r:.40} and special tokens are {around} tokens, and "
                f"{limit} are read at once, so none is left for the text; shorten it, or raise "
                "max_length"
            )
        if stride is not None and stride > room:
            raise UsageError(
                f"stride {stride}: a window has room for {room} tokens of the text; give at most "
                "that"
            )
        spans = list(_spans(end - begin, room, stride or min(STRIDE, max(1, room // 2))))
        yield [
            _piece(encoded, row, names, places, (begin, end), span, own)
            for span, own in zip(spans, _own(spans), strict=True)
        ]


#: Tokens from one window to the next, unless windows are shorter than twice that.
STRIDE = 128


def _piece(
    encoded: Any,
    row: int,
    names: Sequence[str],
    places: Sequence[tuple[int, int]],
    text: tuple[int, int],
    span: range,
    own: range,
) -> Piece:
    """A window: what stands around the text, and a part of it."""
    begin, end = text
    kept = [
        *range(begin),
        *range(begin + span.start, begin + span.stop),
        *range(end, len(places)),
    ]
    return Piece(
        {name: [encoded[name][row][at] for at in kept] for name in names},
        [places[at] for at in kept],
        range(begin + own.start - span.start, begin + own.stop - span.start),
        range(begin, begin + len(span)),
    )


def _spans(number: int, room: int, stride: int) -> Iterator[range]:
    """The tokens of each window over so many."""
    start = 0
    while start + room < number:
        yield range(start, start + room)
        start += stride
    yield range(start, number)


def _own(spans: Sequence[range]) -> list[range]:
    """The tokens of each window that have most around them there; of equals the first."""
    owners: list[int] = []
    first = behind = 0  # of the windows that have the token
    for token in range(spans[-1].stop):
        first += token == spans[first].stop
        behind += behind < len(spans) and token == spans[behind].start
        around = [_around(span, token) for span in spans[first:behind]]
        owners.append(first + around.index(max(around)))
    borders = [bisect_left(owners, place) for place in range(len(spans) + 1)]
    return [range(*pair) for pair in pairwise(borders)]


def _around(span: range, token: int) -> float:
    """How much a token has around it; a longer window counts a little."""
    return min(token - span.start, span.stop - 1 - token) + len(span) / 100
