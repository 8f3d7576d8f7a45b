"""`genae neighbors`: the images nearest to an image in a model's representation."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo.cli.common import Json, Model, Quiet
from zoo.cli.images import Files, Output, answer, tell_skipped
from zoo.drawing import DISTANCES, MAX_NEIGHBORS


def neighbors(
    model: Model,
    images: Files,
    output: Output,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, max=MAX_NEIGHBORS, help="Neighbours a row.")
    ] = 8,
    by: Annotated[
        str, typer.Option(help=f"{'; '.join(f'{k}: {text}' for k, text in DISTANCES.items())}.")
    ] = "cosine",
    tap: Annotated[
        str | None, typer.Option(help="A layer of the encoder; the code if not given.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A data set to search; the images themselves if not given."),
    ] = None,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "train",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files that were named, too.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each image: itself, then those nearest to it in the representation."""
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    sheet = drawing.neighbors(
        model,
        images,
        number,
        by=by,
        tap=tap,
        data=data,
        split=split,
        skip_bad=skip_bad,
        quiet=quiet,
    )
    tell_skipped(sheet)
    answer(sheet, output, as_json)
