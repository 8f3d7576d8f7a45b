"""`genae card`: what follows from a model's card, made again after the card changed."""

from typing import Annotated

import typer

from zoo.cli.common import Json, Quiet, hint, print_json
from zoo.errors import GenaeError
from zoo.hints import command


def card(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Folder of a model; repeatable."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Value to change in the card first, such as license=mit; repeatable.",
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Accept changed weights and settings; forgets what was measured on others.",
        ),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write README and manifest of a model's folder again after its card changed.

    The card keeps its comments; text and images may be edited, added or removed by hand. Of
    several folders, those that are refused do not stop the others.
    """
    from zoo.card import Card
    from zoo.card.toml import setting
    from zoo.registry import upkeep

    values = dict(setting(text) for text in settings or ())
    done, failed = [], []
    for name in folders:
        try:
            done.append(upkeep.renew(name, values, accept=accept))
        except GenaeError as error:
            failed.append(error)
    cards = [Card.load(folder) for folder in done]
    if as_json and (done or not failed):  # else the error is the answer
        print_json(
            [
                {"folder": str(folder), "id": card.id, "version": card.version}
                for folder, card in zip(done, cards, strict=True)
            ]
        )
    for folder, card in zip(done, cards, strict=True):
        if not as_json:
            typer.echo(f"{folder}: README.md and manifest.json follow the card of {card.id}")
    if failed:
        raise type(failed[0])("\n".join(map(str, failed)))
    hint(command("genae", "verify", done[-1]), quiet=quiet)
