"""The verbs about versions at a place: withdraw."""

from typing import Annotated

import typer

from zoo.cli.common import Json, Quiet, hint, print_json
from zoo.errors import UsageError
from zoo.hints import command

Place = Annotated[
    str,
    typer.Option(
        "--from", metavar="PLACE", help="Hub or folder of the model; see `genae registry`."
    ),
]


def withdraw(
    version: Annotated[str, typer.Argument(metavar="ID@VERSION", help="Version to withdraw.")],
    source: Place,
    why: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Reason, which whoever asks for the version is told."),
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete its files as well, in a folder; for good.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take a withdrawal back; its files must be there.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Withdraw a published version: whoever asks for it is refused with the reason.

    Its files are kept until --purge, its number for good; the newest version left takes its place.
    """
    from zoo import registry
    from zoo.registry import names

    if undo and (purge or why is not None):
        raise UsageError("--undo takes a withdrawal back: leave --purge and --why out.")
    if why is None and not undo and not purge:
        why = ""  # for which the registry says what is missing
    done = registry.withdraw(version, why, source=source, purge=purge)
    model, revision, _ = names.parse(version, None, source)
    if as_json:
        print_json(
            {
                "id": model,
                "version": str(revision).removeprefix("v"),
                "withdrawn": not undo,
                "why": done.why,
                "date": done.date,
                "purged": done.purged,
            }
        )
        return
    tag = f"v{str(revision).removeprefix('v')}"
    state = f"withdrawn: {done.why}" + (" (its files are deleted)" if done.purged else "")
    typer.echo(f"{model} {tag} is {'back' if undo else state}")
    hint(command("genae", "registry", model, "--from", source), quiet=quiet)
