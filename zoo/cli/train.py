"""The verb that trains a model from its card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.common import Quiet, console, hint, say
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.card import Card


def train(
    card: Annotated[
        str,
        typer.Argument(metavar="CARD", help="Folder or file of a card, or an id of genae's own."),
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="New folder, or an address; out/NAME if not given."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Setting in place of the card's; repeatable."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Images, texts or data set, in place of the card's."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    list_all: Annotated[
        bool,
        typer.Option(
            "--settings", help="List what --set takes, with values and defaults; no run."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Print rates, schedule and gradient operations; no run."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model; Ctrl-C saves a checkpoint, from which --resume continues.

    Data is looked for in the folders that GENAE_DATA names, in ./data and on the Hub.
    """
    from zoo.places import is_address
    from zoo.registry import load_card

    found = load_card(card)
    if data is not None:
        from zoo.training.variants import with_data

        found = with_data(found, data)
    if list_all or settings:  # before torch is imported, which takes seconds
        from zoo.training.settings import with_settings

        changed = with_settings(found, settings or ())
        if list_all:
            show_settings(changed)
            return
    if explain:
        from zoo.training import explain as explanation

        typer.echo(explanation(found, settings or ()))
        return
    output = output or f"out/{found.name}"
    budget = found.train.budget or {}
    if budget and not settings and data is None:
        say(
            f"training {found.id}: its card allows {budget['minutes']:g} minutes on "
            f"{budget['device']}",
            quiet=quiet,
        )
    if not is_address(output):
        from zoo.training.resuming import check_output

        check_output(Path(output))
    from zoo.training import train as run

    done = run(found, output, overrides=settings or (), resume=resume, quiet=quiet)
    typer.echo(str(done))
    if not is_address(str(done)):
        hint(command("genae", "evaluate", done), quiet=quiet)


def show_settings(card: "Card") -> None:
    """Print every setting of a card, by table."""
    from rich.table import Table

    from zoo.training.known import list_settings

    for section, settings in list_settings(card).items():
        table = Table(box=None, pad_edge=False, title=f"[{section}]", title_justify="left")
        for heading in ("setting", "value", "default", "meaning"):
            table.add_column(heading, no_wrap=heading == "setting", overflow="fold")
        for each in settings:
            table.add_row(each.name, each.value, each.default, each.meaning)
        console().print(table)
        typer.echo()
