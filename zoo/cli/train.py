"""The verb that makes a model from its card."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.common import Quiet, hint, say
from zoo.hints import command


def train(
    card: Annotated[
        str,
        typer.Argument(metavar="CARD", help="A card's folder or file, or an id of genae's."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The new folder; out/NAME unless given."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="In place of the card's; repeatable."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="A folder of images, or a data set, in place of the card's."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model; Ctrl-C saves, and --resume goes on from there.

    Data is looked for in the folder GENAE_DATA names, in ./data and on the Hub.
    """
    from zoo.registry import load_card

    found = load_card(card)
    if data is not None:
        from zoo.training.own_data import with_data

        found = with_data(found, data)
    output = output or Path("out") / found.name
    budget = found.train.budget or {}
    if budget and not settings and data is None:
        say(
            f"training {found.id}: its card allows {budget['minutes']:g} minutes on "
            f"{budget['device']}",
            quiet=quiet,
        )
    from zoo.training.resuming import check_output

    check_output(output)
    from zoo.training import train as run

    typer.echo(str(run(found, output, overrides=settings or (), resume=resume, quiet=quiet)))
    hint(command("genae", "evaluate", output), quiet=quiet)
