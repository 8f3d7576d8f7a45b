"""Bytes of a file that stay there until they are asked for, and the checksum over them.

Plain reads, not a memory map: pages of a map count as the process's memory, and a conversion would
seem to contain the whole model.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convert.weights.lazy import Box
from convert.wire.crc32c import PIECE, crc32c, mask
from zoo.errors import IntegrityError

PAGE = 4096  # bytes that one look at a single byte brings along
NEAR = 8192  # bytes; a gap that is read through sooner than it is jumped over
PANEL = 2**20  # bytes of rows that are read through at a time


class File:
    """A file that is opened when it is first read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._file: BinaryIO | None = None
        self._page, self._number = b"", -1

    def fill(self, out: np.ndarray, start: int) -> None:
        """Read bytes from `start` on into an array of bytes.

        Raises:
            IntegrityError: the file ends before, or cannot be read.
        """
        filled, view = 0, memoryview(out.data)
        try:
            if self._file is None:
                self._file = self.path.open("rb", buffering=0)
            self._file.seek(start)
            while filled < len(view):
                count = self._file.readinto(view[filled:])  # type: ignore[attr-defined]
                if not count:
                    missing = len(view) - filled
                    raise IntegrityError(
                        f"{self.path}: ends {missing} bytes too early; get it again"
                    )
                filled += count
        except OSError as error:
            raise IntegrityError(f"{self.path}: cannot be read ({error.strerror})") from None

    def byte(self, place: int) -> int:
        """One byte; its neighbours are kept for the next look."""
        number, within = divmod(place, PAGE)
        if number != self._number:
            page = np.empty(min(PAGE, self.size - number * PAGE), np.uint8)
            self.fill(page, number * PAGE)
            self._page, self._number = page.tobytes(), number
        return self._page[within]

    def close(self) -> None:
        """Close it, if it was opened; a later read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Seal:
    """A masked CRC-32C over a range of a file.

    What is read in order is added up as it passes; `verify` reads what is left, so that values
    taken from first to last are read once.
    """

    def __init__(self, file: File, start: int, stop: int, wanted: int, what: str) -> None:
        self.file, self.stop, self.wanted, self.what = file, stop, wanted, what
        self._crc, self._seen = 0, start

    def saw(self, start: int, data: np.ndarray) -> None:
        """Take note of bytes that were read."""
        if self._seen < start <= self._seen + NEAR:
            self._read_to(start)
        if start == self._seen and len(data):
            self._crc = crc32c(data, self._crc)
            self._seen += len(data)

    def verify(self) -> None:
        """Read what was not seen yet.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """
        self._read_to(self.stop)
        if mask(self._crc) != self.wanted:
            raise IntegrityError(f"{self.file.path}: the checksum of {self.what} is wrong: the "
                                 "file is damaged; get it again")  # fmt: skip

    def _read_to(self, stop: int) -> None:
        piece = np.empty(min(PIECE, stop - self._seen), np.uint8)
        while self._seen < stop:
            part = piece[: stop - self._seen]
            self.file.fill(part, self._seen)
            self._crc = crc32c(part, self._crc)
            self._seen += len(part)


class Span:
    """A range of a file that is cut and looked into as `bytes` are."""

    def __init__(self, file: File, start: int, stop: int, seal: Seal | None = None) -> None:
        self.file, self.start, self.stop, self.seal = file, start, stop, seal

    def __len__(self) -> int:
        """How many bytes there are."""
        return self.stop - self.start

    def __getitem__(self, place: Any) -> Any:
        """A byte, or a part that stays in the file."""
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            end = self.start + max(start, stop)
            return Span(self.file, self.start + start, end, self.seal)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self.file.byte(self.start + place)

    def __bytes__(self) -> bytes:
        """All of it, read."""
        out = np.empty(len(self), np.uint8)
        self.fill(out, 0)
        return out.tobytes()

    def sealed(self, wanted: int, what: str) -> Span:
        """The same under a checksum."""
        return Span(
            self.file, self.start, self.stop, Seal(self.file, self.start, self.stop, wanted, what)
        )

    def fill(self, out: np.ndarray, start: int) -> None:
        """Read what lies from `start` on into an array in C order, and update the seal."""
        raw = out.reshape(-1).view(np.uint8)
        for begin in range(0, len(raw), PIECE):  # what was just read is still in the cache
            piece = raw[begin : begin + PIECE]
            self.file.fill(piece, self.start + start + begin)
            if self.seal is not None:
                self.seal.saw(self.start + start + begin, piece)

    def box(self, box: Box, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """A part of the array of this shape and type, in C order, whose bytes these are."""
        out = np.empty([where.stop - where.start for where in box], dtype)
        if out.size:
            self._gather(out, box, shape, 0)
        return out

    def _gather(self, out: np.ndarray, box: Box, shape: tuple[int, ...], start: int) -> None:
        inner = math.prod(shape[1:]) * out.itemsize
        if out.shape[1:] == shape[1:]:  # rows as they lie
            return self.fill(out, start + (box[0].start * inner if box else 0))
        first, *rest = box
        if inner - out[0].nbytes <= NEAR:
            height = max(1, PANEL // inner)
            for row in range(first.start, first.stop, height):
                rows = np.empty((min(height, first.stop - row), *shape[1:]), out.dtype)
                self.fill(rows, start + row * inner)
                at = row - first.start
                out[at : at + len(rows)] = rows[(slice(None), *rest)]
            return None
        for place, row in enumerate(range(first.start, first.stop)):
            self._gather(out[place], tuple(rest), shape[1:], start + row * inner)
        return None
