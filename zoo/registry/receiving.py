"""One file received from a registry, whole, over connections that break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from zoo.errors import IntegrityError, UnreachableError
from zoo.registry.deadline import Deadline
from zoo.registry.hub.guard import WAITS, pause
from zoo.registry.types import File, Progress, Snapshot

#: Opens a file's content from a byte on.
Read = Callable[[Snapshot, File, int], AbstractContextManager[Iterator[bytes]]]


def receive(
    snapshot: Snapshot,
    file: File,
    partial: Path,
    read: Read,
    deadline: Deadline,
    progress: Progress | None,
) -> None:
    """Fetch a file into `partial`, resuming after the bytes it has, until it has its size.

    A connection that breaks is made again; five in a row that bring nothing are the end.

    Raises:
        UnreachableError: no more bytes come, or not in time.
    """
    waits = iter(WAITS)
    while True:
        have = size_of(partial) or 0
        if have > file.size:
            partial.unlink()
            have = 0
        if have == file.size and partial.exists():
            return
        brought = 0
        try:
            with partial.open("ab") as out, read(snapshot, file, have) as pieces:
                for piece in pieces:
                    if have + brought + len(piece) > file.size:
                        raise IntegrityError(
                            f"{snapshot.id}: {file.path} is longer than its {file.size} bytes."
                        )
                    out.write(piece)
                    brought += len(piece)
                    if progress is not None:
                        progress(len(piece))
                    _ = deadline.left
            if file.size == 0:
                return
            if brought == 0:
                raise UnreachableError(f"{snapshot.id}: {file.path} came without content.")
        except UnreachableError as error:
            if brought:
                waits = iter(WAITS)
            else:
                wait = next(waits, None)
                if wait is None:
                    raise
                pause(deadline, wait, error)


def size_of(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None
