"""`genae neighbors`: the images nearest to an image in a model's representation."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo.cli.common import Json, Model, Quiet
from zoo.cli.images import Files, Output, answer, report_skipped
from zoo.drawing import DISTANCES, MAX_NEIGHBORS


def neighbors(
    model: Model,
    images: Files,
    output: Output,
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=1, max=MAX_NEIGHBORS, help="Number of neighbours per image."
        ),
    ] = 8,
    by: Annotated[
        str,
        typer.Option(
            help="Distance to rank by. "
            f"{'; '.join(f'{name}: {text}' for name, text in DISTANCES.items())}."
        ),
    ] = "cosine",
    tap: Annotated[
        str | None, typer.Option(help="Layer of the encoder; the code if not given.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set to search; the images themselves if not given."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "train",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files even if they are named.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each image: the image, then its nearest neighbours."""
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    grid = drawing.neighbors(
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
    report_skipped(grid)
    answer(grid, output, as_json)
