"""`genae neighbors`: the pictures nearest to a picture in a model's representation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.common import Json, Model, Quiet, print_json
from zoo.cli.inputs import load, read
from zoo.cli.pictures import Files, Output
from zoo.errors import UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

MOST_NEIGHBORS = 100
DISTANCES = {"cosine": "the angle between representations", "l2": "their Euclidean distance"}


def neighbors(
    model: Model,
    pictures: Files,
    output: Output,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, max=MOST_NEIGHBORS, help="Neighbours a row.")
    ] = 8,
    by: Annotated[
        str, typer.Option(help=f"{'; '.join(f'{k}: {text}' for k, text in DISTANCES.items())}.")
    ] = "cosine",
    tap: Annotated[
        str | None, typer.Option(help="A layer of the encoder; the code if not given.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A data set to search; the pictures themselves if not given."),
    ] = None,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "train",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files that were named, too.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each picture: itself, then those nearest to it in the representation."""
    if by not in DISTANCES:
        raise UsageError(f"no distance {by!r}. {did_you_mean(by, DISTANCES)}")
    from zoo import plots

    output = plots.prepare_output(output, pictures)
    network, processor = load(model, "encode")
    from zoo.evaluation.context import Context
    from zoo.evaluation.retrieval import nearest
    from zoo.evaluation.taps import check_tap, represent

    tap = check_tap(network, tap or "code")
    queries, files, problems = read(pictures, processor, skip_bad, quiet)
    plots.check_sheet(len(queries) * (1 + number), processor.size, processor.size, 1 + number)
    context = Context(network, processor, quiet=quiet)
    of_queries = represent(context, queries, tap)
    candidates, names = queries, [str(file) for file in files]
    references: Tensor | None = None
    if data is not None:
        candidates = context.pictures(data, split).pixels
        names = [f"{data} {split}, picture {row}" for row in range(len(candidates))]
        references = represent(context, candidates, tap)
    indices, distances = nearest(of_queries, number, references, by=by)
    import torch

    rows = torch.cat([queries[:, None], candidates[indices]], 1).flatten(0, 1)
    plots.save_grid(processor.crop_padding(rows), output, columns=1 + number)
    facts = {
        "output": output,
        "model": model,
        "tap": tap,
        "by": by,
        "pictures": [
            {
                "file": file,
                "neighbors": [
                    {"picture": names[row], "distance": round(distance, 6)}
                    for row, distance in zip(found, far, strict=True)
                ],
            }
            for file, found, far in zip(files, indices.tolist(), distances.tolist(), strict=True)
        ],
        "skipped": problems,
    }
    if as_json:
        print_json(facts)
    else:
        typer.echo(str(Path(output)))
