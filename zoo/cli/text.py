"""The verb that asks a masked language model."""

from dataclasses import asdict
from typing import Annotated

import typer

from zoo.cli.common import Json, Model, Quiet, console, hint, print_json
from zoo.filling import MAX_CANDIDATES
from zoo.hints import command


def fill_mask(
    model: Model,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="Texts with one [MASK] each, or several."),
    ],
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=1, max=MAX_CANDIDATES, help="Number of candidates per mask."
        ),
    ] = 5,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a masked language model puts in place of each [MASK], best first."""
    from zoo import filling

    answers = filling.fill_mask(model, texts, number=number)
    if as_json:
        print_json([asdict(answer) for answer in answers])
        return
    from rich.table import Table

    table = Table("text", "mask", "best first", box=None, pad_edge=False)
    for answer in answers:
        for place, candidates in enumerate(answer.masks, start=1):
            shown = "  ".join(f"{one.token} {one.probability:.0%}" for one in candidates)
            table.add_row(answer.text if place == 1 else "", str(place), shown)
    console().print(table)
    hint(command("genae", "fill-mask", model, texts[0], "--json"), quiet=quiet)
