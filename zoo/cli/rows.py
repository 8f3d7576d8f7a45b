"""Texts that verbs read, and the answers to them: a line each in a file, JSON, or a table."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import console, hint, print_json, say
from zoo.errors import UsageError

TEXT, TRAIN = "text", "train"
SLICE = 1000  # rows of a data set that are taken at once

Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEXT", help="Texts; - reads stdin, a text a line."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PLACE",
        help="File of texts (.txt, .jsonl, .csv, .tsv, .parquet), folder or name of a data set.",
    ),
]
Split = Annotated[str, typer.Option("--split", help="Split of a data set; a file is train.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="New file for JSON lines, one a text."),
]
Head = Annotated[
    str | None,
    typer.Option("--head", metavar="NAME", help="Head to ask, of a model with several."),
]
Batch = Annotated[
    int, typer.Option("--batch-size", min=1, help="Number of texts that are read at once.")
]
Length = Annotated[
    int | None,
    typer.Option(
        "--max-length", min=1, help="Number of tokens read at once; as many as the model can."
    ),
]
Column = Annotated[
    str | None, typer.Option("--column", help="Column of the texts; text if not given.")
]


@dataclass(frozen=True)
class Rows:
    """The texts of a call.

    Attributes:
        rows: a tuple of columns each, read as they are taken.
        total: their number; None of stdin.
    """

    rows: Iterable[tuple[str, ...]]
    total: int | None

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.rows)


def read_rows(
    texts: Sequence[str] | None,
    data: str | None,
    split: str,
    columns: Sequence[str] | None,
    quiet: bool,
) -> Rows:
    """The texts of the command, of stdin, or those of a data set.

    Args:
        texts: of the command, alone "-" for stdin.
        data: place of a data set.
        split: of it.
        columns: of it, as far as they were given or are the usual ones of a data set.
        quiet: draw no progress bars.

    Raises:
        UsageError: there are both or neither; of a cell that is no text, when its row is taken.
        GenaeError: as `zoo.data.text.load_texts`.
    """
    if bool(texts) == bool(data):
        raise UsageError("give texts, or --data with a file of them; one of both")
    if data is None:
        if columns is not None:
            raise UsageError("--column is of --data, and the texts stand in the command")
        if texts == ["-"]:
            return Rows(((line.removesuffix("\n"),) for line in sys.stdin), None)
        return Rows([(text,) for text in texts or ()], len(texts or ()))
    from zoo.data.text import load_texts

    table = load_texts(data, split, columns, quiet=quiet)
    return Rows(_of_table(data, table, list(columns or ())), len(table))


def one_column(data: str | None, column: str | None) -> list[str] | None:
    """The column of texts for `read_rows`, of a data set the usual one unless it was given."""
    return [column or TEXT] if data or column else None


def _of_table(data: str, table: Any, columns: list[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(table), SLICE):
        part = table[start : start + SLICE]
        for number, row in enumerate(zip(*(part[name] for name in columns), strict=True), start):
            for name, cell in zip(columns, row, strict=True):
                if not isinstance(cell, str):
                    raise UsageError(
                        f"{data}, row {number}: {name} is {cell!r:.40}, not a text; choose a "
                        "column of texts with --column"
                    )
            yield row


@dataclass
class Delivered:
    """What became of the answers.

    Attributes:
        number: of them.
        long: number of texts that are longer than what is read at once.
        kept: the answers themselves, where they were not written to a file.
    """

    number: int = 0
    long: int = 0
    kept: list[Any] = field(default_factory=list)


def deliver(
    answers: Iterable[Any], output: Path | None, as_json: bool, is_long: Callable[[Any], bool]
) -> Delivered:
    """Write the answers to a file as they come, or keep them and print what is JSON.

    Args:
        answers: data classes.
        output: new file of JSON lines; it appears once all answers are in it.
        as_json: whether the call answers in JSON.
        is_long: whether an answer is to a text that is longer than what is read at once.

    Raises:
        ConflictError: the file exists.
    """
    from zoo.staging import new_file

    found = Delivered()
    with ExitStack() as stack:
        lines = None
        if output:
            file = stack.enter_context(new_file(output))
            lines = stack.enter_context(file.open("w", encoding="utf-8"))
        for one in answers:
            found.number += 1
            found.long += is_long(one)
            if lines:
                lines.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
            else:
                found.kept.append(one)
    if as_json:
        whole = [asdict(one) for one in found.kept]
        print_json({"output": output, "texts": found.number} if output else whole)
    elif output:
        typer.echo(str(output))
    return found


def show(
    found: Sequence[Any],
    headings: Sequence[str],
    cells: Callable[[Any], list[str]],
    call: tuple[Sequence[str] | None, str | None, Path | None, bool, bool],
) -> None:
    """Show a row a text on the terminal, where the answers are not written or JSON.

    Args:
        found: the answers.
        headings: of the columns.
        cells: of an answer.
        call: texts, data set, file, and whether it answers in JSON, and is quiet.
    """
    texts, data, output, as_json, quiet = call
    if output is not None or as_json:
        return
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False)
    for one in found:
        table.add_row(*cells(one))
    console().print(table)
    if data:
        hint(again(output="answers.jsonl"), quiet=quiet)
    elif texts != ["-"]:
        hint(f"{again()} --json", quiet=quiet)


def say_parts(found: Delivered, quiet: bool) -> None:
    """Say how many texts were read in parts, if any."""
    if found.long:
        say(
            f"{found.long} of {found.number} are longer than what is read at once; read in parts",
            quiet=quiet,
        )
