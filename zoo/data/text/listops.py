"""ListOps of the Long Range Arena: nested operations on digits, and their value.

An expression such as `[MAX 2 9 [MIN 4 7 ] 0 ]` is a text of words, and its value, a digit, its
label. Operations and numbers are those of the published generator (Tay et al., arXiv:2011.04006,
section 2.2; Nangia and Bowman, arXiv:1804.06028): at each place an operation of 2 to 10 arguments
with probability 1/4, otherwise a digit, at most 10 deep, more than 500 and fewer than 2,000 words
in all. An example is a seed, so that any part of a split is made without the rest of it.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from zoo.data.sources import no_bars
from zoo.data.splits import parts_of

VERSION = 1  # of what a seed means: what was made by another one is no use
#: Examples of each split.
SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}
MAX_DEPTH, MAX_ARGUMENTS, OPERATION_RATE = 10, 10, 0.25
MIN_LENGTH, MAX_LENGTH = 500, 2_000  # of an expression, in words; both lie outside
END = "]"


def median(values: list[int]) -> int:
    """The one in the middle; between two, what lies in the middle of them, rounded down."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2


def sum_modulo(values: list[int]) -> int:
    """The last digit of the sum."""
    return sum(values) % 10


#: Operations by the word that opens them.
OPERATIONS: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    "[MED": median,
    "[SM": sum_modulo,
}


class TooLongError(Exception):
    """An expression has more words than it may have."""


def expression(generator: random.Random, words: list[str], depth: int = 1) -> int:
    """Draw an expression.

    Args:
        generator: of the random numbers.
        words: those of the expression are appended.
        depth: of its first word.

    Returns:
        Its value, 0 to 9.

    Raises:
        TooLongError: there are as many words as must not be.
    """
    if len(words) >= MAX_LENGTH:
        raise TooLongError
    if depth == MAX_DEPTH or generator.random() > OPERATION_RATE:
        value = generator.randrange(10)
        words.append(str(value))
        return value
    name = generator.choice(tuple(OPERATIONS))
    words.append(name)
    count = generator.randint(2, MAX_ARGUMENTS)
    values = [expression(generator, words, depth + 1) for _ in range(count)]
    words.append(END)
    return OPERATIONS[name](values)


def example(split: str, number: int) -> dict[str, Any]:
    """One example of a split: its `text` and its `label`.

    Args:
        split: a key of `SIZES`.
        number: from 0 on.
    """
    generator = random.Random(f"listops {split} {number}")
    while True:
        words: list[str] = []
        try:
            value = expression(generator, words)
        except TooLongError:
            continue
        if MIN_LENGTH < len(words) < MAX_LENGTH:
            return {"text": " ".join(words), "label": value}


def examples(places: tuple[tuple[str, int], ...], version: int) -> Iterator[dict[str, Any]]:
    """Examples by split and number; the version makes `datasets` forget those of another."""
    for split, number in places:
        yield example(split, number)


def load_listops(split: str, streaming: bool = False) -> Any:
    """A split with the columns `text` and `label`; made once, and then read from a cache on disk.

    Args:
        split: in the slicing syntax of `datasets`; of one that is cut, no more is made.
        streaming: make examples as they are asked for.

    Returns:
        A `datasets.Dataset`, or `IterableDataset`; labels are `ClassLabel`s, "0" to "9".

    Raises:
        UsageError: there is no such split, or nothing in it.
    """
    import datasets

    parts = parts_of("listops", split, SIZES)
    places = [(name, number) for name, rows in parts for number in range(SIZES[name])[rows]]
    labels = datasets.ClassLabel(names=[str(digit) for digit in range(10)])
    kind = datasets.IterableDataset if streaming else datasets.Dataset
    with no_bars():
        return kind.from_generator(
            examples,
            features=datasets.Features({"text": datasets.Value("string"), "label": labels}),
            gen_kwargs={"places": tuple(places), "version": VERSION},
        )
