"""`genae neighbors`: what is nearest to images in a model's representation, or in its vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.calls import again
from zoo.cli.common import Device, Json, Model, Quiet, console, hint, print_json
from zoo.cli.images import answer, report_skipped
from zoo.cli.verbs import VERBS
from zoo.drawing import DISTANCES, MAX_NEIGHBORS
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.encoding.search import Answer


def neighbors(
    model: Model,
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY...]",
            help="Image files, folders of images, or examples-mnist, -fashion-mnist, -faces; of "
            "an index of texts, texts.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Image to write: PNG, JPEG, WEBP, ..."),
    ] = None,
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=1, max=MAX_NEIGHBORS, help="Number of neighbours per query."
        ),
    ] = 8,
    by: Annotated[
        str,
        typer.Option(
            help="Distance to rank by. "
            f"{'; '.join(f'{name}: {text}' for name, text in DISTANCES.items())}."
        ),
    ] = "cosine",
    index: Annotated[
        str | None,
        typer.Option("--index", metavar="FOLDER", help="Folder of `genae encode` to search."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Key of a row of the index to ask for; repeatable."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Compare all vectors of the index, however many."),
    ] = False,
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
    device: Device = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw each image and its nearest, or list the rows of an index that are nearest."""
    if index is not None:
        if output is not None or data is not None or tap is not None:
            raise UsageError(
                "an index is of one data set and one layer, and its rows are listed; leave "
                "-o, --data and --tap out"
            )
        from zoo.encoding.search import search

        found = search(
            index,
            queries or [],
            number,
            keys=key or [],
            by=by,
            exact=exact or None,
            model=model,
            device=device,
            quiet=quiet,
        )
        if as_json:
            print_json([asdict(one) for one in found])
            return
        _show(found)
        hint(f"{again(queries=queries, key=key)} --json", quiet=quiet)
        return
    if key or exact or device is not None:
        raise UsageError(
            "--key, --exact and --device are of --index; name a folder of `genae encode`"
        )
    if not queries or output is None:
        line = again(output="nearest.png") if queries else VERBS["neighbors"].epilog
        raise UsageError(f"give images and -o for a grid, or --index to search, or try: {line}")
    from zoo import drawing, plots

    output = plots.prepare_output(output, queries)
    grid = drawing.neighbors(
        model,
        queries,
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


def _show(found: list[Answer]) -> None:
    """A line for each neighbour."""
    from rich.table import Table

    table = Table("query", "key", box=None, pad_edge=False)
    for heading in ("row", "distance"):
        table.add_column(heading, justify="right")
    for one in found:
        for place, each in enumerate(one.neighbors):
            cells = f"{each.row:,}", f"{each.distance:.6f}"
            table.add_row("" if place else one.query, each.key, *cells)
    console().print(table)
