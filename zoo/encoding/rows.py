"""What a source gives: rows in order, those that were asked for, bad ones among them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class Fault:
    """Why a row cannot be read.

    Attributes:
        reason: a sentence without the name of the row.
    """

    reason: str


@dataclass(frozen=True)
class Remote:
    """A file that is read when its turn comes.

    Attributes:
        files: an fsspec file system.
        path: in it.
    """

    files: Any
    path: str


#: A text, an image (bytes, a file here or elsewhere; None where a cell names none), or a fault.
Content = str | bytes | Path | Remote | Fault | None


class Row(NamedTuple):
    """A row of a source.

    Attributes:
        number: counted from 0, over all files, bad rows included.
        key: what the row is called.
        content: of it, undecoded.
    """

    number: int
    key: str
    content: Content


class Source(Protocol):
    """Rows in an order that never changes.

    Attributes:
        name: what messages call it.
        fingerprint: what differs where rows differ, as far as can be told without reading them.
        count: number of rows; None until they were read to the end, where nothing says it before.
    """

    name: str
    fingerprint: str
    count: int | None

    def read(self, wanted: "Wanted") -> Iterator[Row]:
        """Those rows that are wanted, in order; others are passed over as cheaply as can be."""
        ...


class Wanted:
    """The rows that are asked for, met in one pass.

    Args:
        spans: of row numbers, rising, without overlap; may be without end.
    """

    def __init__(self, spans: Iterable[range]) -> None:
        self._spans = iter(spans)
        self._span = next(self._spans, None)

    @property
    def over(self) -> bool:
        """Whether no further row is wanted."""
        return self._span is None

    def within(self, first: int, end: int) -> Iterator[range]:
        """The wanted rows of `first` to `end - 1`; such blocks are asked for in order."""
        while self._span is not None and self._span.start < end:
            part = range(max(first, self._span.start), min(end, self._span.stop))
            if part:
                yield part
            if self._span.stop > end:
                return
            self._span = next(self._spans, None)
