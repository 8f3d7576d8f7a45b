"""One progress bar for the library: on stderr, on a terminal only."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T], text: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[T]:
    """Pass `items` on and draw a bar meanwhile.

    Args:
        items: what is worked through, one step each.
        text: what is being done, a few words.
        total: how many there will be; None asks `len(items)`.
        quiet: draw nothing; so it is as well where stderr is no terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=text, total=total, console=console, transient=True)
