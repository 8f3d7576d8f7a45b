"""The two progress bars, one of items and one of bytes: on stderr, and on a terminal only."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")


class Bar:
    """A bar while it is drawn; call it with the number of items or bytes just finished.

    Args:
        drawn: where the bar is drawn; None draws nothing.
        text: what is being done, a few words.
        total: how many items or bytes there will be; None where nobody knows yet.
    """

    def __init__(self, drawn: "Progress | None", text: str, total: int | None) -> None:
        self._drawn = drawn
        self._task = None if drawn is None else drawn.add_task(text, total=total, note="")

    def __call__(self, count: float = 1) -> None:
        """Move on by so many items or bytes, or parts of them."""
        self._update(advance=count)

    def expect(self, total: int) -> None:
        """Set how many items or bytes there will be."""
        self._update(total=total)

    def move_to(self, count: int) -> None:
        """Set how many items or bytes are finished."""
        self._update(completed=count)

    def note(self, text: str) -> None:
        """Show a text behind the bar, in place of the last one."""
        self._update(note=text)

    def through(self, items: Iterable[T]) -> Iterable[T]:
        """The same items; the bar moves on as they are taken."""
        return items if self._drawn is None else self._drawn.track(items, task_id=self._task)

    def _update(self, **changes: object) -> None:
        if self._drawn is not None and self._task is not None:
            self._drawn.update(self._task, **changes)  # type: ignore[arg-type]


@contextlib.contextmanager
def items_bar(
    text: str, total: int | None = None, *, quiet: bool = False, keep: bool = False
) -> Iterator[Bar]:
    """A bar of items, for as long as the `with` block runs.

    Args:
        text: what is being done, a few words.
        total: number of items; None where nobody knows yet.
        quiet: draw nothing, as where stderr is not a terminal.
        keep: leave the finished bar on the screen.
    """
    if not _is_drawn(quiet):
        yield Bar(None, text, total)
        return
    from rich import progress

    columns = (
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", markup=False),
    )
    with _draw(*columns, keep=keep) as drawn:
        yield Bar(drawn, text, total)


@contextlib.contextmanager
def bytes_bar(text: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar of bytes and their rate, for as long as the `with` block runs.

    Args:
        text: what is being done, a few words.
        total: number of bytes; None where nobody knows yet.
        quiet: draw nothing, as where stderr is not a terminal.
    """
    if not _is_drawn(quiet):
        yield Bar(None, text, total)
        return
    from rich import progress

    columns = (
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with _draw(*columns) as drawn:
        yield Bar(drawn, text, total)


def track(
    items: Iterable[T], text: str, *, total: int | None = None, quiet: bool = False
) -> Iterator[T]:
    """Pass items on, one step of a bar each.

    Args:
        items: what is worked through.
        text: what is being done, a few words.
        total: number of items; None asks `len(items)`.
        quiet: draw nothing, as where stderr is not a terminal.
    """
    with items_bar(text, total, quiet=quiet) as bar:
        yield from bar.through(items)


def _is_drawn(quiet: bool) -> bool:
    return not quiet and sys.stderr.isatty()


def _draw(*columns: "ProgressColumn", keep: bool = False) -> "Progress":
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    text = TextColumn("{task.description}", markup=False)
    return Progress(text, *columns, console=Console(stderr=True), transient=not keep)
