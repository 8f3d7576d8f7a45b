"""The verb that writes a first card for one's own data."""

from pathlib import Path
from typing import Annotated

import typer

from zoo import catalog
from zoo.cli.common import Json, Quiet, hint, print_json
from zoo.errors import ConflictError, UsageError
from zoo.hints import command

LEARNERS = [entry.name for entry in catalog.ARCHITECTURES.values() if entry.learns]


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Id of the new model, such as lab/clothes.")
    ],
    data: Annotated[
        str,
        typer.Option(metavar="DATA", help="Folder, file, name of a data set or id on the Hub."),
    ],
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="ARCHITECTURE",
            help=f"Name in the catalog: {', '.join(LEARNERS)}. That of --start, if not given.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Id or folder of the model of texts whose weights the training begins with.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the card; recipes/NAME if not given."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task of a model of texts, such as classification; the first that fits, if not "
            "given."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a card that trains as it is, with a comment behind every key.

    Sizes, channels, classes, columns and splits are read off the data.
    """
    from zoo.card import CARD_FILE

    if architecture is None and start is None:
        raise UsageError("give --architecture, or --start with a model whose weights are to learn")
    if architecture is not None:
        catalog.find_learner(architecture)  # before torch is imported, which takes seconds
    folder = output or Path("recipes") / name.rpartition("/")[2]
    file = folder / CARD_FILE
    if file.exists():
        raise ConflictError(f"{file} exists already; choose another --output or remove it")
    from zoo.training.beginning import new_card

    text = new_card(name, data, architecture, task, start)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    if as_json:
        print_json({"card": str(file), "id": name})
        return
    typer.echo(str(file))
    hint(command("genae", "train", folder), quiet=quiet)
