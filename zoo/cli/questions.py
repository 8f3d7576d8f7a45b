"""The verb that answers questions from texts."""

from textwrap import shorten
from typing import Annotated, Any

import typer

from zoo.cli.common import Device, Json, Model, Quiet
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
    read_rows,
    say_parts,
    show,
)
from zoo.errors import UsageError

QUESTION = "question"
WIDTH = 60  # columns of a text in the table


def answer(
    model: Model,
    texts: Texts = None,
    question: Annotated[
        list[str] | None,
        typer.Option("--question", help="Question; repeatable, each is asked of each text."),
    ] = None,
    data: Data = None,
    split: Split = TRAIN,
    column: Column = None,
    question_column: Annotated[
        str | None,
        typer.Option(
            "--question-column",
            help="Column of the questions; question if neither it nor a question is given.",
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Number of answers, best first.")
    ] = 1,
    null_threshold: Annotated[
        float | None,
        typer.Option(
            "--null-threshold",
            help="Score of no answer above which there is none, as SQuAD 2 asks; never if none.",
        ),
    ] = None,
    max_answer_length: Annotated[
        int,
        typer.Option("--max-answer-length", min=1, help="Number of tokens of the longest answer."),
    ] = 30,
    stride: Annotated[
        int | None,
        typer.Option(
            "--stride",
            min=1,
            help="Number of tokens from one window over a long text to the next; 128.",
        ),
    ] = None,
    head: Head = None,
    max_length: Length = None,
    batch_size: Batch = 32,
    device: Device = None,
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the answers to questions in texts, with scores and characters."""
    from zoo.labeling import answering

    if question and question_column:
        raise UsageError("--question or --question-column; one of both")
    if not question and not data:
        raise UsageError("give --question with what to look for in the texts")
    columns = [column or TEXT, *([] if question else [question_column or QUESTION])]
    rows = read_rows(texts, data, split, columns if data or column else None, quiet)
    asked = question or [""]
    pairs = ((row[0], each) for row in rows for each in (asked if question else row[1:]))
    answers = answering.iter_answered(
        model, pairs, number=number, null_threshold=null_threshold, stride=stride,
        max_answer_length=max_answer_length, head=head, max_length=max_length,
        batch_size=batch_size, device=device,
        total=rows.total and rows.total * len(asked), quiet=quiet,
    )  # fmt: skip

    def cells(one: Any) -> list[str]:
        found = "; ".join(
            f"{each.text} {each.start}-{each.end} {each.probability:.1%}" for each in one.answers
        )
        return [shorten(one.text, WIDTH, placeholder=" ..."), one.question, found or "none"]

    found = deliver(answers, output, as_json, lambda one: one.parts > 1)
    say_parts(found, quiet)
    headings = ["text", "question", "answers"]
    show(found.kept, headings, cells, (texts, data, output, as_json, quiet))
