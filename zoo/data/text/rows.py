"""Rows of batches of texts, as `datasets` makes and stores them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .encoders import Encode
from .encoding import Rows, check_texts
from .labels import name_label
from .options import TextOptions

#: The columns of rows, and what is counted in them.
COUNTED = ("cut", "bent", "lost")
KEPT = ("input_ids", "second_ids", "token_type_ids", "labels", "spans", "words", *COUNTED)


class Learned(Protocol):
    """What a task says of its rows."""

    @property
    def encode(self) -> Encode:
        """What makes rows of a batch."""

    def needed(self, options: TextOptions) -> tuple[str, ...]:
        """All columns that are read."""

    def texts(self, options: TextOptions) -> tuple[str, ...]:
        """Those of texts."""


class Encoder:
    """Rows of a batch of texts, for `datasets`, which stores them under a hash of this object.

    Args:
        task: of the texts.
        tokenizer: of transformers.
        options: of the texts.
        stored: whether rows go to disk, in half the space that lists of numbers would take.
        stated: the names of the numbers in the column of labels, where the data set has such.
    """

    def __init__(
        self,
        task: Learned,
        tokenizer: Any,
        options: TextOptions,
        stored: bool,
        stated: tuple[str, ...] = (),
    ) -> None:
        self.task, self.tokenizer, self.options = task, tokenizer, options
        self.stored = stored
        # A model that knows none of these names knows classes by their numbers.
        self.stated = () if set(stated).isdisjoint(options.labels) else stated
        self.code = code_digest()  # what another version stored is no use

    def __call__(self, batch: Rows, numbers: list[int]) -> Rows:
        """The rows, without those that are empty."""
        names = self.task.needed(self.options)
        for name in self.task.texts(self.options):
            check_texts(zip(numbers, batch[name], strict=True), name)
        columns = [batch[name] for name in names]
        if self.stated:
            columns[-1] = name_label(columns[-1], self.stated)
        rows = self.task.encode(columns, self.tokenizer, self.options)
        rows = {name: rows[name] for name in KEPT if name in rows}
        rows["length"] = list(map(len, rows["input_ids"]))
        return {name: _narrow(each) for name, each in rows.items()} if self.stored else rows


@cache
def code_digest() -> str:
    """SHA-256 of the modules that make rows."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _narrow(values: list[Any]) -> list[Any]:
    """Lists of numbers in half the space that they would take on disk."""
    if not values or not isinstance(values[0], list):
        return values
    return [np.array(value, dtype=np.int32) for value in values]
