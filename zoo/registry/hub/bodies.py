"""Bodies of answers and requests as they pass: bounded, unpacked, counted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from zoo.registry.deadline import Deadline
from zoo.registry.shown import no_answer
from zoo.registry.types import Progress

PIECE = 2**16
#: What is undone though it was not asked for; `zlib` reads both by their own first bytes.
PACKED = ("gzip", "x-gzip", "deflate")
ANY_HEADER = 32 + zlib.MAX_WBITS


class Bounded(httpx2.SyncByteStream):
    """An answer's body that ends at its limit: quietly if it is only an error's text."""

    def __init__(self, stream: Any, limit: int, quiet: bool, deadline: Deadline) -> None:
        self.stream, self.limit, self.quiet, self.deadline = stream, limit, quiet, deadline

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for piece in self.stream:
            _ = self.deadline.left
            if seen + len(piece) > self.limit:
                if not self.quiet:
                    raise no_answer(f"an answer is longer than {self.limit} bytes.")
                yield piece[: self.limit - seen]
                return
            seen += len(piece)
            yield piece

    def close(self) -> None:
        """Close what is below."""
        self.stream.close()


class Unpacked(httpx2.SyncByteStream):
    """The content of a packed body, in small pieces, so that `Bounded` can stop a bomb."""

    def __init__(self, stream: Any, quiet: bool) -> None:
        self.stream, self.quiet = stream, quiet

    def __iter__(self) -> Iterator[bytes]:
        decoder = zlib.decompressobj(ANY_HEADER)
        try:
            empty = True
            for packed in self.stream:
                empty = empty and not packed
                while packed and not decoder.eof:
                    yield decoder.decompress(packed, PIECE)
                    packed = decoder.unconsumed_tail
            if decoder.eof or empty or self.quiet:  # an answer to HEAD has none
                return
            raise no_answer("an answer came gzip-encoded, and broken off.")
        except zlib.error as error:
            if not self.quiet:
                raise no_answer(
                    f"an answer says that it is gzip-encoded, and is not ({error})."
                ) from None

    def close(self) -> None:
        """Close what is below."""
        self.stream.close()


class Counted(httpx2.SyncByteStream):
    """A request's body that reports how much of it was sent."""

    def __init__(self, stream: Any, deadline: Deadline, progress: Progress | None) -> None:
        self.stream, self.deadline, self.progress = stream, deadline, progress

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.stream:
            _ = self.deadline.left
            yield piece
            if self.progress is not None:
                self.progress(len(piece))

    def close(self) -> None:
        """Close what is below, where it can be closed."""
        close: Callable[[], None] | None = getattr(self.stream, "close", None)
        if close is not None:
            close()
