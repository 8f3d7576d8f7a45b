"""The verbs that label texts: whole ones, their tokens, what is in them."""

from typing import Annotated, Any

import typer

from zoo.cli.common import Device, Json, Model, Quiet, say
from zoo.cli.rows import (
    TEXT,
    TRAIN,
    Batch,
    Column,
    Data,
    Head,
    Length,
    Output,
    Split,
    Texts,
    deliver,
    one_column,
    read_rows,
    say_parts,
    show,
)
from zoo.errors import UsageError


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
    device: Device = None,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label whole texts, or pairs of them, with probabilities."""
    from zoo.labeling import classifying

    columns = list(column or [TEXT])
    if len(columns) > 2:
        raise UsageError(f"--column is given once, or twice for pairs; got {', '.join(columns)}")
    rows = read_rows(texts, data, split, columns if data or column else None, quiet)
    asked: Any = (row[0] if len(row) == 1 else row for row in rows)
    two = len(columns) == 2 or pairs
    if pairs:
        asked = list(asked)
        if data or len(asked) % 2:
            raise UsageError("--pairs takes two texts of the command for each pair; check them")
        asked = list(zip(asked[::2], asked[1::2], strict=True))
    total = len(asked) if pairs else rows.total
    answers = classifying.iter_classified(
        model, asked, number=number, threshold=threshold, head=head, max_length=max_length,
        batch_size=batch_size, device=device, total=total, quiet=quiet,
    )  # fmt: skip

    def cells(one: Any) -> list[str]:
        shown = "  ".join(f"{each.label} {each.probability:.1%}" for each in one.labels)
        return [one.text, *([one.second] if one.second is not None else []), shown or "none"]

    found = deliver(answers, output, as_json, lambda one: one.truncated)
    if found.long:
        say(
            f"{found.long} of {found.number} are longer than what is read at once; their ends "
            "were left out"
        )
    headings = ["text", "second text"] if two else ["text"]
    show(found.kept, [*headings, "labels"], cells, (texts, data, output, as_json, quiet))


def tag(
    model: Model,
    texts: Texts = None,
    data: Data = None,
    split: Split = TRAIN,
    column: Column = None,
    head: Head = None,
    max_length: Length = None,
    batch_size: Batch = 32,
    device: Device = None,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label the tokens of texts, and show the entities that the labels spell."""
    from zoo.labeling import tagging

    rows = read_rows(texts, data, split, one_column(data, column), quiet)
    answers = tagging.iter_tagged(
        model, (row[0] for row in rows), head=head, max_length=max_length, batch_size=batch_size,
        device=device, total=rows.total, quiet=quiet,
    )  # fmt: skip

    def cells(one: Any) -> list[str]:
        tokens = " ".join(f"{token.text}/{token.label}" for token in one.tokens)
        return [one.text, tokens, _entities(one)]

    found = deliver(answers, output, as_json, lambda one: one.parts > 1)
    say_parts(found, quiet)
    headings = ["text", "tokens", "entities"]
    show(found.kept, headings, cells, (texts, data, output, as_json, quiet))


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
    device: Device = None,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the entities of texts, or relations between spans of them."""
    from zoo.labeling import tagging

    rows = read_rows(texts, data, split, one_column(data, column), quiet)
    answers = tagging.iter_extracted(
        model, (row[0] for row in rows), threshold=threshold, head=head, max_length=max_length,
        batch_size=batch_size, device=device, total=rows.total, quiet=quiet,
    )  # fmt: skip

    def cells(one: Any) -> list[str]:
        relations = "; ".join(
            f"{_span(each.subject)} {each.predicate} {_span(each.object)}"
            for each in one.relations
        )
        return [one.text, "; ".join(filter(None, [_entities(one), relations])) or "nothing"]

    found = deliver(answers, output, as_json, lambda one: one.parts > 1)
    say_parts(found, quiet)
    show(found.kept, ["text", "found"], cells, (texts, data, output, as_json, quiet))


def _span(one: Any) -> str:
    return f"{one.text} {one.start}-{one.end}"


def _entities(one: Any) -> str:
    return "; ".join(
        f"{each.text} {each.type} {each.start}-{each.end}".replace("  ", " ")
        for each in one.entities
    )
