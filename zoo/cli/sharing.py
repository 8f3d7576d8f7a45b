"""The verbs about places of models: push, registry."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import From, Json, Quiet, console, hint, print_json, say
from zoo.errors import GenaeError, NotFoundError, UnreachableError, UsageError
from zoo.hints import command
from zoo.progress import bytes_bar
from zoo.staging import free_folder

At = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="PLACE",
        help="Destination: hub, the address of another hub, or a folder (path or fsspec address).",
    ),
]


def push(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder of a model, its card.toml, or an id.")
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="Id to publish under, owner/name; its card's if not given."
        ),
    ] = None,
    to: At = "hub",
    version: Annotated[
        str | None, typer.Option("--version", help="Publish as this version, not the card's.")
    ] = None,
    with_code: Annotated[
        bool,
        typer.Option(
            "--with-code",
            help="Add the modelling files, so that transformers loads it without genae.",
        ),
    ] = False,
    source: From = None,
    private: Annotated[
        bool,
        typer.Option("--private", help="Make the repository private, if it has to be created."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and send nothing.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish a version of a model: checked against its card, in one commit, then tagged.

    A published version is frozen; a change is a new version.
    """
    from zoo import registry

    folder = model if source is None else registry.fetch(model, source=source)
    name = name or registry.load_card(folder).id
    with bytes_bar("sending", quiet=quiet or dry_run) as progress:
        done = registry.push(
            folder,
            name,
            to=to,
            version=version,
            private=private,
            with_code=with_code,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "id": done.id,
                "version": done.version,
                "commit": done.commit or None,
                "where": done.where,
                "dry_run": dry_run,
                "sent": list(done.sent),
            }
        )
        return
    if dry_run:
        say(f"would send {len(done.sent)} files: {', '.join(done.sent)}", quiet=quiet)
        typer.echo(f"{done.id} v{done.version} can be published at {done.where}")
        hint(again(dry_run=False), quiet=quiet)
        return
    typer.echo(f"{done.id} v{done.version} {done.where} {done.commit}")
    place = [] if to == "hub" else ["--from", to]
    target = free_folder(Path("out", name.partition("/")[2]))
    hint(command("genae", "pull", name, *place, "--to", target), quiet=quiet)


def registry_(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Show which versions of this model each place has."),
    ] = None,
    source: From = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Text that ids must contain; needs --from.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where models are looked for, in which order, and what each place says.

    The order is GENAE_REGISTRIES: places with commas between. The default is embedded,hub.
    With --from and no ID: the ids of that place.
    """
    if search is not None and (source is None or name is not None):
        raise UsageError("--search looks among the ids of one place: give --from, and no ID")
    if source is not None and name is None:
        _list(source, search or "", as_json, quiet)
        return
    from zoo.registry import names, order

    if name is not None:
        name = names.id_of(name)
    rows = [_place(place, name) for place in ([source] if source else order.order())]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("place", "kind", "address", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["place"], row["kind"], row["address"], row["state"])
    console().print(table)
    if name is None:
        hint(command("genae", "registry", "genae/eae-mnist"), quiet=quiet)


def _place(place: str, name: str | None) -> dict[str, Any]:
    """One row: what a place is, and how it answers."""
    from zoo.registry import embedded, order
    from zoo.registry.shown import bare

    web = place == "hub" or place.startswith(("http://", "https://"))
    kind = "embedded" if place == "embedded" else "hub" if web else "folder"
    row: dict[str, Any] = {"place": bare(place), "kind": kind, "address": bare(place)}
    row |= {"models": None, "versions": None, "withdrawn": None}
    try:
        registry = order.open_registry(place)
        if kind == "embedded":
            row["address"] = str(embedded.ROOT)
        elif kind == "hub":
            row["address"] = bare(getattr(registry, "endpoint", place))
        if name is not None:
            row["versions"] = list(registry.versions(name))
            row["withdrawn"] = (
                [] if kind == "embedded" else [*order.open_remote(place).withdrawn(name)]
            )
            tags = (f"{t} (withdrawn)" if t in row["withdrawn"] else t for t in row["versions"])
            row["state"] = ", ".join(tags) or "no published version"
        elif kind == "hub":  # counting the models of the public Hub tells nobody anything
            row["state"] = "offline" if getattr(registry, "offline", False) else "not asked"
        else:
            row["models"] = len(registry.list())
            row["state"] = f"{row['models']} models"
    except UnreachableError as error:
        row["state"] = str(error)
    except NotFoundError:
        row["state"] = "does not have it"
    except GenaeError as error:
        row["state"] = str(error)
    return row


def _list(place: str, search: str, as_json: bool, quiet: bool) -> None:
    """The ids that one registry has."""
    from zoo.registry import order

    ids = order.open_registry(place).list(search)
    if as_json:
        print_json([{"id": name} for name in ids])
        return
    for name in ids:
        typer.echo(name)
    if ids:
        source = [] if place == "embedded" else ["--from", place]  # whose recipes have no weights
        hint(command("genae", "info", ids[0], *source), quiet=quiet)
