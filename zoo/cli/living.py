"""What is done with versions: compared, withdrawn; all of a place listed or verified."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import From, Json, Model, Quiet, console, hint, print_json, say, size
from zoo.errors import IntegrityError, UsageError
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.registry.comparison import Difference

Place = Annotated[
    str,
    typer.Option(
        "--from", metavar="PLACE", help="Hub or folder of the model; see `genae registry`."
    ),
]


def diff(
    model: Model,
    other: Model,
    source: From = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two models or two versions of one: settings, numbers and files that differ.

    As of the command diff, exit code 0 means the same and 1 that something differs. No weights are
    fetched.
    """
    from zoo.registry import comparison

    found = comparison.diff(model, other, source=source)
    if as_json:
        print_json(
            {
                "a": model,
                "b": other,
                "same": found.same,
                "settings": {key: {"a": a, "b": b} for key, (a, b) in found.settings.items()},
                "numbers": found.numbers,
                "files": {path: {"a": a, "b": b} for path, (a, b) in found.files.items()},
                "same_numbers": found.same_numbers,
                "same_files": found.same_files,
            }
        )
    elif not quiet:
        _show(found, model, other)
    if not found.same:
        raise typer.Exit(1)


def _show(found: "Difference", model: str, other: str) -> None:
    """Three tables of what differs, and a line of what does not."""
    from rich.table import Table

    settings = [(key, _text(a), _text(b), "") for key, (a, b) in found.settings.items()]
    numbers = [
        (_number(row), _text(row["a"]), _text(row["b"]), _change(row)) for row in found.numbers
    ]
    files = [(path, size(a), size(b), "") for path, (a, b) in found.files.items()]
    for title, rows in (("settings", settings), ("numbers", numbers), ("files", files)):
        if rows:
            table = Table(box=None, pad_edge=False)
            table.add_column(title, overflow="fold")
            for heading in (model, other):
                table.add_column(heading, overflow="fold", max_width=60)
            table.add_column("")
            for row in rows:
                table.add_row(*row)
            console().print(table)
            typer.echo()
    files_same = ", ".join(found.same_files) or "none"
    typer.echo(f"the same: {found.same_numbers} numbers; files: {files_same}")


def _text(value: Any) -> str:
    """A value on one line, as long as can be read at a glance."""
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _number(row: dict[str, Any]) -> str:
    options = ", ".join(f"{key}={value}" for key, value in row["options"].items())
    return f"{row['metric']} on {row['dataset']}, {row['split']}" + (
        f" ({options})" if options else ""
    )


def _change(row: dict[str, Any]) -> str:
    return "" if None in (row["a"], row["b"]) else f"{row['b'] - row['a']:+.4g}"


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
    hint(command("genae", "list", "--from", source), quiet=quiet)


def list_place(source: str, text: str, as_json: bool, quiet: bool) -> None:
    """`genae list --from PLACE`: a line a model."""
    from zoo.registry import listing

    rows = listing.list_place(source, text)
    if as_json:
        print_json(rows)
        return
    if not rows:
        say(f"no model{f' with {text!r} in its id' if text else ''} at {source}", quiet=quiet)
        return
    from zoo.cli.tables import WHOLE, fitting

    shown = console(width_if_piped=WHOLE)
    lines = [
        {
            "id": row["id"],
            "version": row["version"] or "-",
            "architecture": row["architecture"] or "-",
            "size": size(row["bytes"]),
            "date": row["date"] or "-",
            "summary": _state(row) + (row["summary"] or ""),
        }
        for row in rows
    ]
    spare = ("architecture", "date", "size")
    shown.print(fitting(lines, shown.width, name="id", rest="summary", spare=spare))
    if left := [r for r in rows if not r["problem"] and r["status"] != "withdrawn"]:
        hint(command("genae", "info", left[0]["id"], "--from", source), quiet=quiet)


def _state(row: dict[str, Any]) -> str:
    """What is to be known of a model before what it is."""
    if row["problem"]:
        return f"PROBLEM: {row['problem']} "
    if row["status"] == "withdrawn":
        return f"withdrawn: {next(iter(row['withdrawn'].values()))} "
    return "deprecated: " if row["status"] == "deprecated" else ""


def verify_place(source: str | None, as_json: bool, quiet: bool) -> None:
    """`genae verify --from PLACE`: a line a version, and exit code 5 where something differs."""
    from zoo.registry import listing

    if source is None:
        raise UsageError("give a model, or the place with --from whose models are all verified.")
    rows, wrong = [], []
    for found in listing.audit(source):
        name = f"{found.id} {found.version}".rstrip()
        if as_json:
            rows.append(
                {
                    "id": found.id,
                    "version": found.version.removeprefix("v"),
                    "ok": found.ok,
                    "files": found.files,
                    "problems": found.problems,
                    "withdrawn": found.withdrawn or None,
                }
            )
        elif found.ok and not quiet:
            state = f" (withdrawn: {found.withdrawn})" if found.withdrawn else ""
            what = f"{len(found.files)} files are what they should be" if found.files else "purged"
            typer.echo(f"{name}: {what}{state}")
        wrong += [f"{name}: {problem}" for problem in found.problems]
    if as_json:
        print_json(rows)
        if wrong:
            raise typer.Exit(IntegrityError.exit_code)
    elif wrong:
        lines = "".join(f"\n  {line}" for line in wrong)
        raise IntegrityError(f"{source} is not what it should be:{lines}")
