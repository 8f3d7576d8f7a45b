"""Files of vectors made in order while rows are read ahead, and what became of all of them."""

import json
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count, groupby
from typing import Any

import numpy as np

from zoo.ahead import ahead
from zoo.errors import ConflictError, InterruptedRunError, UsageError
from zoo.places import Place
from zoo.progress import Bar, items_bar

from .encoders import Batch, Encoder, Skipped
from .rows import Row, Source, Wanted
from .shards import (
    SKIPPED,
    WRITTEN,
    every_fact,
    name_of,
    numbers_in,
    packed,
    read_manifest,
    vectors_of,
    write_manifest,
)

SHOWN = 3  # rows without vectors in an answer
SWITCH = 0.0005  # seconds that a thread keeps Python while another waits; 0.005 as it comes
WAITING = 8  # batches that are made ahead of the model


@dataclass(frozen=True)
class Encoded:
    """What became of a data set.

    Attributes:
        output: the folder or address of the vectors.
        complete: whether every row was read; false where other processes still have some.
        rows: number of rows in the data; None if it is not complete.
        vectors: number of vectors that are there.
        skipped: number of rows without one; None if it is not complete.
        size: length of a vector.
        made: number of rows that this call read.
        first_key: key of the first vector; None if it is not complete.
        first_skipped: some rows without vectors.
    """

    output: str
    complete: bool
    rows: int | None
    vectors: int
    skipped: int | None
    size: int
    made: int
    first_key: str | None = None
    first_skipped: list[Skipped] = field(default_factory=list)


@contextmanager
def shared_interpreter(silent: bool) -> Iterator[None]:
    """Let the thread of the model have Python when it asks, whatever others decode meanwhile.

    Args:
        silent: ignore warnings, as Pillow's of images are where one is read; threads that did so
            one by one would undo each other's changes.
    """
    seconds = sys.getswitchinterval()
    with warnings.catch_warnings():
        if silent:
            warnings.simplefilter("ignore")
        sys.setswitchinterval(SWITCH)
        try:
            yield
        finally:
            sys.setswitchinterval(seconds)


class Maker:
    """Makes files of vectors, those that are absent.

    Args:
        place: the folder.
        source: of the rows.
        encoder: makes vectors.
        begun: the manifest of a folder that is not complete; it is there before the first file.
        strict: stop at the first bad row.
    """

    def __init__(
        self,
        place: Place,
        source: Source,
        encoder: Encoder,
        begun: dict[str, Any],
        strict: bool,
    ) -> None:
        self.place, self.source, self.encoder = place, source, encoder
        self.begun, self.strict = begun, strict
        self.is_begun = read_manifest(place) is not None
        self.size: int = begun["settings"]["rows_per_shard"]
        self.dtype = np.dtype(begun["settings"]["dtype"])

    def run(self, rank: int, ranks: int, quiet: bool) -> int:
        """Make the absent files of one of several processes; the number of rows that were read."""
        own = [number for number in numbers_in(self.place) if number % ranks == rank]
        whole = every_fact(self.place, own)
        there = {
            number
            for number, facts in zip(own, whole, strict=True)
            if facts is not None and facts.first == number * self.size
        }
        made, finished = 0, 0
        writing: Future[None] | None = None
        total = self._rows(range(rank, -(-(self.source.count or 0) // self.size), ranks))
        with (
            shared_interpreter(self.encoder.reads == "images"),
            closing(self.encoder),
            ThreadPoolExecutor(1, "write") as writer,
            items_bar("encoding", total or None, quiet=quiet) as bar,
            closing(self._shards(rank, ranks, there, bar)) as shards,
        ):
            bar(self._rows(there))
            try:
                for pack, rows in shards:
                    if writing is not None:
                        writing.result()
                        finished += 1
                    writing = writer.submit(pack)
                    made += rows
                if writing is not None:
                    writing.result()
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    f"interrupted; {self.place} has {len(there) + finished} whole files: run the "
                    "same command again, and it goes on"
                ) from None
        return made

    def _rows(self, files: Iterable[int]) -> int:
        """Number of rows of some files, as far as it is known before they are read."""
        count = self.source.count or 0
        return sum(max(0, min(self.size, count - number * self.size)) for number in files)

    def _shards(
        self, rank: int, ranks: int, there: set[int], bar: Bar
    ) -> Generator[tuple[Callable[[], None], int]]:
        """What writes each file, and its number of rows."""
        numbers: list[int] = []
        keys: list[str] = []
        vectors: list[np.ndarray[Any, Any]] = []
        missing = (n for n in count(rank, ranks) if n not in there)
        with closing(ahead(self._prepared(missing), WAITING)) as prepared:
            for item in prepared:
                if isinstance(item, Batch):
                    numbers += item.numbers
                    keys += item.keys
                    with np.errstate(over="ignore"):  # what is not finite is left out below
                        vectors.append(self.encoder.vectors(item.inputs).astype(self.dtype))
                    bar(len(item.numbers))
                    continue
                bar(len(item.skipped))
                yield self._packing(item, numbers, keys, vectors), item.rows
                numbers, keys, vectors = [], [], []

    def _prepared(self, missing: Iterator[int]) -> "Iterator[Batch | Read]":
        """The batches of each absent file, and then what was read for it."""
        size = self.size
        rows = self.source.read(Wanted(range(n * size, (n + 1) * size) for n in missing))
        for number, own in groupby(rows, lambda row: row.number // size):
            skipped: list[Skipped] = []
            read = Read(number, 0, skipped)
            for batch in self.encoder.batches(_counted(own, read), skipped):
                yield batch
                if self.strict:
                    self._refuse(skipped)
            if self.strict:
                self._refuse(skipped)
            yield read

    def _refuse(self, skipped: list[Skipped]) -> None:
        if skipped:
            one = min(skipped, key=lambda each: each.row)
            raise UsageError(
                f"data set {self.source.name}: {shown(one)}; mend it, or leave --strict out to go "
                "on without"
            )

    def _packing(
        self,
        read: "Read",
        numbers: list[int],
        keys: list[str],
        vectors: list["np.ndarray[Any, Any]"],
    ) -> Callable[[], None]:
        """What writes a file, to be called by another thread."""

        def write() -> None:
            order = np.argsort(numbers, kind="stable")
            whole = np.concatenate(vectors or [np.empty((0, self.encoder.size), self.dtype)])
            whole = whole[order]
            kept = np.isfinite(whole).all(1)
            skipped = [
                *read.skipped,
                *(
                    Skipped(
                        numbers[at], keys[at], f"has a vector that is not finite in {self.dtype}"
                    )
                    for at in order[~kept]
                ),
            ]
            if self.strict:
                self._refuse(skipped)
            of = [int(at) for at in order[kept]]
            content = packed(
                read.number * self.size,
                read.rows,
                [numbers[at] for at in of],
                [keys[at] for at in of],
                whole[kept],
                sorted(skipped, key=lambda each: each.row),
            )
            if not self.is_begun:
                write_manifest(self.place, self.begun)
                self.is_begun = True
            self.place.write(name_of(read.number), content)

        return write


def _counted(rows: Iterator[Row], read: "Read") -> Iterator[Row]:
    for row in rows:
        read.rows += 1
        yield row


@dataclass
class Read:
    """What was read for a file.

    Attributes:
        number: of the file.
        rows: number of rows.
        skipped: those without a vector.
    """

    number: int
    rows: int
    skipped: list[Skipped]


def shown(one: Skipped) -> str:
    """A row without a vector, in words."""
    called = f"row {one.row}" if one.key == str(one.row) else f"row {one.row}, {one.key}"
    return f"{called}: {one.reason}"


def finish(place: Place, rows: int, begun: dict[str, Any], made: int) -> Encoded:
    """Write down what became of all rows, once every file is there.

    Whichever process ends last does so; of two at once each writes the same.

    Args:
        place: the folder.
        rows: number of rows in the data.
        begun: the manifest so far.
        made: number of rows that this process read.
    """
    size = begun["settings"]["rows_per_shard"]
    wanted = range(-(-rows // size))
    skipped: list[str] = []
    first: list[Skipped] = []
    vectors, first_key = 0, None
    numbers = numbers_in(place)
    complete = {*wanted} <= {*numbers}
    for number, facts in zip(wanted, every_fact(place, wanted), strict=True) if complete else ():
        if facts is None:  # another process writes it anew
            complete = False
            break
        if facts.rows != min(size, rows - number * size) or len(numbers) > len(wanted):
            raise ConflictError(
                f"{place} holds vectors of {begun['settings']['data']} as it was when it had "
                "other rows; choose another folder with -o"
            )
        if facts.encoded and not vectors:
            first_key = vectors_of(place, number, ["key"])["key"][0].as_py()
        vectors += facts.encoded
        skipped += [json.dumps(vars(one), ensure_ascii=False) + "\n" for one in facts.skipped]
        first += facts.skipped[: SHOWN - len(first)]
    if not complete:
        return Encoded(
            str(place), False, None, vectors, None, begun["size"], made, first_skipped=first
        )
    place.sweep(WRITTEN)
    if skipped:
        place.write(SKIPPED, "".join(skipped).encode("utf-8", "backslashreplace"))
    whole = {
        **begun,
        "rows": rows,
        "vectors": vectors,
        "skipped": len(skipped),
        "first_key": first_key,
        "first_skipped": [vars(one) for one in first],
    }
    write_manifest(place, whole)
    return outcome(place, whole, made)


def outcome(place: Place, whole: dict[str, Any], made: int) -> Encoded:
    """What a complete folder's manifest says.

    Raises:
        UsageError: no row has a vector.
    """
    first = [Skipped(**one) for one in whole["first_skipped"]]
    if not whole["vectors"]:
        raise UsageError(
            f"none of {whole['rows']} rows could be read; the first: {shown(first[0])}. All are "
            f"listed in {place}/{SKIPPED}; mend the data and choose another folder with -o"
        )
    names = ("rows", "vectors", "skipped", "size", "first_key")
    facts = {name: whole[name] for name in names}
    return Encoded(str(place), True, made=made, first_skipped=first, **facts)
