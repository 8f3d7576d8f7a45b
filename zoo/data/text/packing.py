"""Texts joined into blocks of one length."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zoo.errors import UsageError

Rows = dict[str, list[list[int]]]
STATE = ("tokens", "words", "next_word")  # of a packer, between texts


class Packer:
    """Joins texts, and hands out blocks as they fill.

    A text may end in one block and go on in the next. What is left at the end, less than a block,
    is left out.

    Args:
        length: of a block.
        separator: the token behind every text; None for none.
        around: the tokens before and behind each block, part of its length.
    """

    def __init__(
        self,
        length: int,
        separator: int | None,
        around: tuple[list[int], list[int]] = ([], []),
    ) -> None:
        self.before, self.behind = around
        self.room = length - len(self.before) - len(self.behind)
        self.separator = separator
        self.tokens: list[int] = []
        self.words: list[int] = []
        self.next_word = 0

    def __call__(self, rows: Rows) -> Rows:
        """Take rows of `input_ids`, and `words` if there are any; give full blocks."""
        whole = "words" in rows
        for row, tokens in enumerate(rows["input_ids"]):
            self.tokens += tokens
            if whole:
                words = rows["words"][row]
                self.words += [word if word < 0 else word + self.next_word for word in words]
                self.next_word += max(words, default=-1) + 1
            if self.separator is not None:
                self.tokens.append(self.separator)
                self.words.append(-1)
        count = len(self.tokens) // self.room
        places = [slice(n * self.room, (n + 1) * self.room) for n in range(count)]
        full = {"input_ids": [[*self.before, *self.tokens[at], *self.behind] for at in places]}
        if whole:
            around = [-1] * len(self.before), [-1] * len(self.behind)
            full["words"] = [[*around[0], *renumber(self.words[at]), *around[1]] for at in places]
        self.tokens = self.tokens[count * self.room :]
        self.words = self.words[count * self.room :]
        return full

    def state_dict(self) -> dict[str, Any]:
        """What is left of the texts so far, as JSON has it."""
        return copy.deepcopy({name: getattr(self, name) for name in STATE})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was left."""
        for name in STATE:
            value = state[name]
            setattr(self, name, [*value] if isinstance(value, list) else value)


def renumber(words: Sequence[int]) -> list[int]:
    """The same words as 0, 1, 2, ... in the order they first come; negative numbers stay."""
    seen: dict[int, int] = {}
    return [word if word < 0 else seen.setdefault(word, len(seen)) for word in words]


def stream_rows(
    stream: Any, make_packer: Callable[[], Packer] | None
) -> Iterator[dict[str, list[int]]]:
    """Rows of a data set that is streamed, or blocks of them; each time from its beginning.

    Raises:
        UsageError: there are none.
    """
    packer = make_packer() if make_packer else None
    some = False
    for rows in stream.iter(batch_size=1000):
        full = packer(rows) if packer else rows
        for values in zip(*full.values(), strict=True):
            some = True
            yield dict(zip(full, values, strict=True))
    if not some:
        raise UsageError(
            "nothing is left of the texts: none has a token of the vocabulary"
            + (", or all are less than one block" if packer else "")
        )
