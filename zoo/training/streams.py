"""Texts without a length, as training draws them."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset

SHUFFLED = 10_000  # texts of a stream that are in memory, to be drawn from


class Endless(IterableDataset):
    """A stream that begins anew when it ends, shuffled otherwise each time.

    A Trainer that resumes counts the batches since the beginning, so there is one beginning alone.

    Args:
        rows: a `datasets.IterableDataset`.
        seed: of the order.
    """

    def __init__(self, rows: Any, seed: int) -> None:
        self.rows = rows
        self.shuffled = rows.shuffle(seed=seed, buffer_size=SHUFFLED)

    def __iter__(self) -> Iterator[Any]:
        for epoch in itertools.count():
            self.shuffled.set_epoch(epoch)
            yield from self.shuffled
