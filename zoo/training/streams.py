"""Data without a length, as training draws it: shuffled, shared by processes, from any position.

`datasets` reads, shares and remembers how far it has read; what is here is what comes behind that:
a buffer to shuffle in, which is filled again from the position where its filling began, and an end
that is a new beginning.
"""

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from torch.utils.data import IterableDataset

from zoo.errors import UsageError

READ = 256  # rows that are read at one time
ORDERS = 2**31  # of the parts of a data set


class Examples(Protocol):
    """Makes examples of rows, and what a model learns from of examples."""

    @property
    def buffered(self) -> int:
        """How many examples are in memory, to be drawn from."""

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Begin a pass over the data; or go on in one, from what `state_dict` returned."""

    def state_dict(self) -> dict[str, Any]:
        """What is left over of the rows so far, as JSON has it."""

    def make(self, rows: Sequence[Mapping[str, Any]], first: int) -> list[Any]:
        """Examples of rows, the first of which has this number; fewer or more than rows."""

    def finish(self, examples: Iterable[Any]) -> Iterator[Any]:
        """Examples as they are drawn, in order, without those that are left out."""

    def collate(self, examples: Sequence[Any]) -> Any:
        """A batch of finished examples."""


@dataclass(frozen=True)
class Position:
    """Where a buffer begins to fill.

    Attributes:
        epoch: how often the data has ended.
        rows: how many rows of it were read.
        given: how many examples were given, of all epochs.
        source: the state of the source; None at its beginning.
        made: the state of what makes examples; None at the beginning.
    """

    epoch: int = 0
    rows: int = 0
    given: int = 0
    source: dict[str, Any] | None = None
    made: dict[str, Any] | None = None


class Endless(IterableDataset):
    """Batches of a stream that begins anew when it ends, in another order each time.

    The parts of the source are drawn in an order of their own each time; of them each process
    reads its share, whole parts where their number can be divided, else rows in turn. Examples are
    put into a buffer until it is full, and drawn from it until it is empty. To go on, the buffer
    is filled again, and nothing before it is read but the beginning of the part that it was in.

    Args:
        rows: a `datasets.IterableDataset`.
        examples: makes examples of its rows.
        batch_size: examples of a batch, of this process alone.
        seed: of the order.
        rank: which process this is.
        count: of how many.
        name: what messages call the data set.
    """

    def __init__(
        self,
        rows: Any,
        examples: Examples,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        count: int = 1,
        name: str = "the stream",
    ) -> None:
        from datasets.distributed import split_dataset_by_node

        self.rows = rows
        self.own = split_dataset_by_node(rows, rank, count) if count > 1 else rows
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.rank, self.name = rank, name
        self.taken = 0  # batches that were trained on, of an interrupted run before this one, too
        self._start = Position()
        self._starts: deque[Position] = deque()

    def first(self, count: int) -> list[Any]:
        """The first examples of all processes, as the data has them; fewer if there are fewer."""
        self.examples.begin(None)
        self.rows.set_epoch(0)
        self.rows.load_state_dict(None)
        found: list[Any] = []
        rows = enumerate(self.rows)
        while len(found) < count and (part := list(itertools.islice(rows, count))):
            made = self.examples.make([row for _, row in part], part[0][0])
            found += self.examples.finish(made)
        return found[:count]

    def state_dict(self) -> dict[str, Any]:
        """The position behind the batches that were taken, as JSON has it."""
        while len(self._starts) > 1 and self._starts[1].given <= self.taken * self.batch_size:
            self._starts.popleft()
        start = self._starts[0] if self._starts else self._start
        return {"taken": self.taken, **asdict(start)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called."""
        state = dict(state)
        self.taken = state.pop("taken")
        self._start = Position(**state)

    def take(self, number: int) -> None:
        """Say how many batches have been trained on since the last call."""
        self.taken += number
        self.state_dict()  # forgets where older buffers began

    def __iter__(self) -> Iterator[Any]:
        """Batches, those that were taken before the position as empty ones."""
        yield from itertools.repeat({}, self.taken)
        skipped = self.taken * self.batch_size - self._start.given
        drawn = itertools.islice(self._drawn(self._start), skipped, None)
        while True:
            yield self.examples.collate(list(itertools.islice(drawn, self.batch_size)))

    def sample(self, count: int) -> list[Any]:
        """What a process alone would draw first, at most so many; the same in all processes."""
        alone = Endless(self.rows, self.examples, 1, seed=self.seed, name=self.name)
        return list(itertools.islice(alone._epoch(Position()), count))

    def _drawn(self, start: Position) -> Iterator[Any]:
        self._starts.clear()
        while True:
            start = yield from self._epoch(start)

    def _epoch(self, start: Position) -> Generator[Any, None, Position]:
        """What is drawn until the data ends; then the position at its beginning."""
        began = start
        self.own.set_epoch(1 + (self.seed * 1_000_003 + start.epoch) % ORDERS)
        self.own.load_state_dict(start.source)
        self.examples.begin(start.made)
        rows, number, given = iter(self.own), start.rows, start.given
        while True:
            buffer: list[Any] = []
            while len(buffer) < self.examples.buffered:
                if not (part := list(itertools.islice(rows, READ))):
                    break
                buffer += self.examples.make(part, number)
                number += len(part)
            if not buffer:
                break
            self._starts.append(start)
            order = np.random.default_rng([self.seed, start.epoch, start.rows, self.rank])
            places = order.permutation(len(buffer))
            for example in self.examples.finish(buffer[place] for place in places):
                given += 1
                yield example
            source, made = self.own.state_dict(), self.examples.state_dict()
            start = Position(start.epoch, number, given, source, made)
        if given == began.given and not began.rows:
            raise UsageError(
                f"{self.name}: nothing is left to learn from for process {self.rank}: there are "
                "no rows, or none that can be used; look at the data"
            )
        return Position(start.epoch + 1, given=given)
