"""The verbs that label texts: whole ones, their tokens, what is in them."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import Json, Model, Quiet, console, hint, print_json, say
from zoo.errors import UsageError

TEXT, TRAIN = "text", "train"

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


def classify(
    model: Model,
    texts: Texts = None,
    data: Data = None,
    split: Split = TRAIN,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column of the texts, text if not given; twice for pairs."),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Take the texts of the command two by two.")
    ] = False,
    number: Annotated[
        int | None,
        typer.Option("--number", "-n", min=1, help="Number of labels per text, best first."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability from which a label holds, where several may; 0.5."),
    ] = None,
    head: Head = None,
    max_length: Length = None,
    batch_size: Batch = 32,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label whole texts, or pairs of them, with probabilities."""
    from zoo.labeling import classifying

    columns = list(column or [TEXT])
    if len(columns) > 2:
        raise UsageError(f"--column is given once, or twice for pairs; got {', '.join(columns)}")
    rows = _rows(texts, data, split, columns if data or column else None, quiet)
    asked: Any = [row[0] if len(row) == 1 else row for row in rows]
    if pairs:
        if data or len(asked) % 2:
            raise UsageError("--pairs takes two texts of the command for each pair; check them")
        asked = list(zip(asked[::2], asked[1::2], strict=True))

    def ask() -> list[Any]:
        return classifying.classify(
            model, asked, number=number, threshold=threshold, head=head, max_length=max_length,
            batch_size=batch_size, quiet=quiet,
        )  # fmt: skip

    def cells(one: Any) -> list[str]:
        shown = "  ".join(f"{each.label} {each.probability:.1%}" for each in one.labels)
        return [one.text, *([one.second] if one.second is not None else []), shown or "none"]

    found = _answer(ask, output, as_json)
    if cut := sum(one.truncated for one in found):
        say(
            f"{cut} of {len(found)} are longer than what is read at once; their ends were left out"
        )
    headings = ["text", "second text"] if found and found[0].second is not None else ["text"]
    _show(found, [*headings, "labels"], cells, (texts, data, output, as_json, quiet))


def tag(
    model: Model,
    texts: Texts = None,
    data: Data = None,
    split: Split = TRAIN,
    column: Column = None,
    head: Head = None,
    max_length: Length = None,
    batch_size: Batch = 32,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label the tokens of texts, and show the entities that the labels spell."""
    from zoo.labeling import tagging

    asked = [row[0] for row in _rows(texts, data, split, _only(data, column), quiet)]

    def ask() -> list[Any]:
        return tagging.tag(
            model, asked, head=head, max_length=max_length, batch_size=batch_size, quiet=quiet
        )

    def cells(one: Any) -> list[str]:
        tokens = " ".join(f"{token.text}/{token.label}" for token in one.tokens)
        return [one.text, tokens, _entities(one)]

    found = _answer(ask, output, as_json)
    _say_parts(found, quiet)
    headings = ["text", "tokens", "entities"]
    _show(found, headings, cells, (texts, data, output, as_json, quiet))


def extract(
    model: Model,
    texts: Texts = None,
    data: Data = None,
    split: Split = TRAIN,
    column: Column = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score above which a span is found; the model's own.")
    ] = None,
    head: Head = None,
    max_length: Length = None,
    batch_size: Batch = 32,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the entities of texts, or relations between spans of them."""
    from zoo.labeling import tagging

    asked = [row[0] for row in _rows(texts, data, split, _only(data, column), quiet)]

    def ask() -> list[Any]:
        return tagging.extract(
            model,
            asked,
            threshold=threshold,
            head=head,
            max_length=max_length,
            batch_size=batch_size,
            quiet=quiet,
        )

    def cells(one: Any) -> list[str]:
        relations = "; ".join(
            f"{_span(each.subject)} {each.predicate} {_span(each.object)}"
            for each in one.relations
        )
        return [one.text, "; ".join(filter(None, [_entities(one), relations])) or "nothing"]

    found = _answer(ask, output, as_json)
    _say_parts(found, quiet)
    _show(found, ["text", "found"], cells, (texts, data, output, as_json, quiet))


def _only(data: str | None, column: str | None) -> list[str] | None:
    return [column or TEXT] if data or column else None


def _rows(
    texts: Sequence[str] | None,
    data: str | None,
    split: str,
    columns: list[str] | None,
    quiet: bool,
) -> list[tuple[str, ...]]:
    """The texts of the command, or those of a data set, a tuple of its columns each."""
    if bool(texts) == bool(data):
        raise UsageError("give texts, or --data with a file of them; one of both")
    if data is None:
        if columns is not None:
            raise UsageError("--column is of --data, and the texts stand in the command")
        if texts == ["-"]:
            texts = sys.stdin.read().splitlines()
        return [(text,) for text in texts or ()]
    from zoo.data.text import load_texts

    table = load_texts(data, split, columns, quiet=quiet)
    found = list(zip(*(table[name] for name in columns or ()), strict=True))
    for number, row in enumerate(found):
        for name, cell in zip(columns or (), row, strict=True):
            if not isinstance(cell, str):
                raise UsageError(
                    f"{data}, row {number}: {name} is {cell!r:.40}, not a text; choose a column "
                    "of texts with --column"
                )
    return found


def _answer(ask: Callable[[], list[Any]], output: Path | None, as_json: bool) -> list[Any]:
    """Ask, and write or print the answers where they go to a file or are JSON."""
    from zoo.staging import new_file

    with ExitStack() as stack:
        file = output and stack.enter_context(new_file(output))
        found = ask()
        if file:
            lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in found)
            with file.open("w", encoding="utf-8") as stream:
                stream.writelines(lines)
    if as_json:
        whole = [asdict(one) for one in found]
        print_json({"output": output, "texts": len(found)} if output else whole)
    elif output:
        typer.echo(str(output))
    return found


def _show(
    found: list[Any],
    headings: list[str],
    cells: Callable[[Any], list[str]],
    call: tuple[Sequence[str] | None, str | None, Path | None, bool, bool],
) -> None:
    """A row a text on the terminal, where the answers are not written or JSON."""
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


def _say_parts(found: Sequence[Any], quiet: bool) -> None:
    if long := sum(one.parts > 1 for one in found):
        say(
            f"{long} of {len(found)} are longer than what is read at once; read in parts",
            quiet=quiet,
        )


def _span(one: Any) -> str:
    return f"{one.text} {one.start}-{one.end}"


def _entities(one: Any) -> str:
    return "; ".join(
        f"{each.text} {each.type} {each.start}-{each.end}".replace("  ", " ")
        for each in one.entities
    )
