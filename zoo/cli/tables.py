"""Tables that fit the terminal: one line a row, names cut in the middle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

GAP = 2  # spaces between columns
MIN_NAME, MIN_REST = 9, 20  # columns of a name that is cut, and of what takes the rest
ELLIPSIS = "…"
WHOLE = 10_000  # columns of a piped table whose rows stay whole


class Name:
    """Text in a cell that is cut in the middle where the table would not fit.

    The ends of names differ where their beginnings agree: layers, files in one folder.
    """

    def __init__(self, text: str) -> None:
        """Wrap a text; it is cut when it is drawn."""
        self.text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.cells import cell_len
        from rich.measure import Measurement

        width = cell_len(self.text)
        return Measurement(min(width, MIN_NAME), width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        yield Text(middle(self.text, options.max_width), no_wrap=True, overflow="crop")


def middle(text: str, width: int) -> str:
    """A text of at most so many columns, its middle left out.

    Example:
        >>> middle("bert/encoder/layer_0/output/dense/bias", 21)
        'bert/encod…dense/bias'
    """
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return text
    head, tail = text, text
    while cell_len(head) > width // 2:
        head = head[:-1]
    while cell_len(head) + 1 + cell_len(tail) > width:
        tail = tail[1:]
    return f"{head}{ELLIPSIS}{tail}"


def fitting(
    rows: Sequence[dict[str, str]], width: int, *, name: str, rest: str, spare: Sequence[str]
) -> Table:
    """A table of one line a row.

    Args:
        rows: cells by heading, the same headings in every row. Numbers stand at the right.
        width: columns of the terminal.
        name: heading of the column that is cut in the middle, the last to be cut at all.
        rest: heading of the column that takes what is left of the line, and is cut at its end.
        spare: headings that are left out, in this order, until the rest has room.
    """
    from rich.cells import cell_len
    from rich.table import Table

    needed = {
        heading: GAP + max(cell_len(row[heading]) for row in [{heading: heading}, *rows])
        for heading in rows[0]
        if heading != rest
    }
    for heading in spare:
        if sum(needed.values()) + MIN_REST <= width:
            break
        del needed[heading]
    left = max(MIN_REST, width - sum(needed.values()))
    table = Table(box=None, pad_edge=False)
    for heading in [*needed, rest]:
        right = all(row[heading][:1].isdigit() or row[heading] == "-" for row in rows)
        table.add_column(
            heading,
            justify="right" if right else "left",
            no_wrap=heading != name,
            max_width=left if heading == rest else None,
        )
    for row in rows:
        cells = (Name(row[heading]) if heading == name else row[heading] for heading in needed)
        table.add_row(*cells, row[rest])
    return table
