"""`genae card`: what follows from a model's card, made again after the card changed."""

from typing import Annotated

import typer

from zoo.cli.common import Json, Quiet, hint, print_json
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

    The card keeps its comments; text and images may be edited, added or removed by hand.
    """
    from zoo.card import Card
    from zoo.card.toml import setting
    from zoo.registry import upkeep

    values = dict(setting(text) for text in settings or ())
    done = [upkeep.renew(folder, values, accept=accept) for folder in folders]
    cards = [Card.load(folder) for folder in done]
    if as_json:
        print_json(
            [
                {"folder": str(folder), "id": card.id, "version": card.version}
                for folder, card in zip(done, cards, strict=True)
            ]
        )
        return
    for folder, card in zip(done, cards, strict=True):
        typer.echo(f"{folder}: README.md and manifest.json follow the card of {card.id}")
    hint(command("genae", "verify", done[-1]), quiet=quiet)
