"""The verbs about models as files: list, info, pull, verify. None loads torch."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import (
    From,
    Json,
    Model,
    Quiet,
    Revision,
    console,
    hint,
    print_json,
    say,
    size,
)
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError
from zoo.hints import command, literal, nearest, python
from zoo.progress import bytes_bar
from zoo.staging import free_folder

if TYPE_CHECKING:
    from zoo.card import Card


def list_(
    text: Annotated[
        str,
        typer.Argument(
            metavar="[TEXT]", help="Text in the id, architecture, task or tags of what is shown."
        ),
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Include models with random weights, which serve tests.")
    ] = False,
    source: From = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show every model in a line: what it is, its size, whether its weights are included.

    A wide terminal and a pipe show everything; a narrow one leaves columns out. With --from, the
    models of that place: the newest version of each, its size and date.
    """
    if source is not None:
        from zoo.cli.living import list_place

        list_place(source, text, as_json, quiet)
        return
    from zoo.registry import describe, list_models

    cards = list_models(fixtures=everything)
    rows = [describe(card) for card in cards if _matches(card, text)]
    if not rows:
        known = {word for card in list_models(fixtures=True) for word in _words(card)}
        near = nearest(text, known)
        step = f"did you mean {near!r}?" if near else "`genae list` shows all."
        raise NotFoundError(f"no model has {text!r} in its id, architecture, task or tags; {step}")
    if as_json:
        print_json(rows)
        return
    from zoo.cli.tables import WHOLE, fitting

    shown = console(width_if_piped=WHOLE)
    lines = [
        {
            "id": row["id"],
            "status": row["status"],
            "architecture": row["architecture"],
            "parameters": _count(row["parameters"]),
            "size": size(row["bytes"]),
            "licence": row["license"],
            "weights": _weights(row),
            "summary": row["summary"],
        }
        for row in rows
    ]
    spare = ("licence", "parameters", "status", "weights")
    shown.print(fitting(lines, shown.width, name="id", rest="summary", spare=spare))
    if example := _example(rows):
        hint(command("genae", "sample", example, "-n", "64", "-o", "samples.png"), quiet=quiet)
    else:
        hint(command("genae", "info", rows[0]["id"]), quiet=quiet)


def _matches(card: "Card", text: str) -> bool:
    return any(text.lower() in word.lower() for word in _words(card))


def _words(card: "Card") -> tuple[str, ...]:
    """What a card is found by."""
    return (card.id, card.architecture, card.task, *card.tags)


def _example(rows: list[dict[str, Any]]) -> str | None:
    """The model that the hint names: one that ships, draws images, and is best known."""
    ids = [r["id"] for r in rows if r["ships"] and r["task"] == "unconditional-image-generation"]
    return "genae/eae-mnist" if "genae/eae-mnist" in ids else next(iter(ids), None)


def _weights(row: dict[str, Any]) -> str:
    if row["ships"]:
        return "shipped"
    return "on the Hub" if row["published"] else "to be trained"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def info(
    model: Model,
    revision: Revision = None,
    source: From = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a model's card: what it is for, its limits, its numbers and how they were measured.

    Only the small files of a remote model are fetched. Of a safetensors file: its tensors, and
    where its header says that they come from.
    """
    if model.endswith(".safetensors") and Path(model).is_file():
        from zoo.cli.weights import show

        show(Path(model), as_json, quiet)
        return
    from zoo.advice import draws, verb_for
    from zoo.registry import describe, embedded, load_card, manifest, names

    card: Card | None
    if names.here(model) is None and not model.startswith("cards/"):
        model, revision, source = names.parse(model, revision, source)
    here = Path(model).exists() or embedded.owns(model) or "/" not in model
    if source is None and revision is None and (here or model.startswith("cards/")):
        card = load_card(model)
        facts = describe(card)
    else:
        from zoo.registry.peek import peek

        facts, card = peek(model, revision, source)
    if as_json:
        print_json({**facts, "card": card.to_dict() if card else None})
        return
    if card is None:
        _show_bare(facts)
        hint(_pull(model, revision, source), quiet=quiet)
        return
    from rich.table import Table

    elsewhere = "registry" in facts
    facts["weights"] = f"at {facts['registry']}" if elsewhere else _weights(facts)
    if facts["ships"] and Path(model).is_dir():
        facts["weights"] = f"in {Path(model)}"
    facts["parameters"] = _count(facts["parameters"])
    facts["size"] = size(facts["bytes"])
    shown = Table(box=None, pad_edge=False, show_header=False)
    for key in (
        "id",
        "version",
        "status",
        "architecture",
        "task",
        "parameters",
        "size",
        "weights",
    ):
        shown.add_row(key, facts[key])
    rest = {
        "licence": card.license,
        "summary": card.summary,
        "intended use": card.intended_use.strip(),
        "limits": card.limits.strip(),
        "trained on": f"{card.data.dataset}, {card.data.train_split}" if card.data else "",
        "papers": "; ".join(card.papers),
        "config": ", ".join(f"{key}={value}" for key, value in card.config.items()),
        "deprecated": card.reason if card.status == "deprecated" and card.reason else "",
        "replaced by": card.replaced_by or "",
        "versions": ", ".join(facts.get("versions", ())),
        "withdrawn": "; ".join(f"{tag}: {why}" for tag, why in facts.get("withdrawn", {}).items()),
    }
    for key, value in rest.items():
        if value:
            shown.add_row(key, value)
    console().print(shown)
    if card.results:
        results = Table(box=None, pad_edge=False)
        for heading in ("metric", "data", "value", "tolerance", "unit"):
            results.add_column(heading, overflow="fold")
        for result in card.results:
            options = ", ".join(f"{key}={value}" for key, value in result.options.items())
            results.add_row(
                f"{result.metric} ({options})" if options else result.metric,
                f"{result.dataset}, {result.split}",
                f"{result.value:g}",
                f"{result.tolerance:g}",
                result.unit,
            )
        typer.echo()
        console().print(results)
    if elsewhere:
        hint(_pull(model, revision, source), quiet=quiet)
        return
    place: str | Path = card.id if facts["ships"] else f"cards/{card.name}"
    if Path(model).exists():
        place = Path(model)
    first = NEXT.get(card.architecture) or NEXT.get(card.task, LAST)
    verb, following = first if facts["ships"] else ("train", ())
    if verb == "sample" and place == Path(model) and not draws(manifest.read_config(place)):
        verb, following = LAST
    if verb in LABELING and card.path:
        verb = (*verb_for(manifest.read_config(card.path.parent)), "", "")[1]
        verb, following = (verb, following) if verb in LABELING else LAST
    reads_texts = verb in ("fill-mask", "generate", *LABELING)
    if reads_texts:
        file = card.path and card.path.parent / "tokenizer.json"
        if file is None or not file.is_file():
            verb, following = LAST
        elif "的" not in file.read_text(encoding="utf-8"):  # of another script than the words
            left = (re.sub(r"[^ -~]", "", word) for word in following)
            following = tuple(filter(None, left)) or ("a text",) * (verb in LABELING)
        if verb == "answer":
            following = (*following, "--question", following[0])
    hint(command("genae", verb, place, *following), quiet=quiet)


#: What to try first with a model that ships, by architecture or task: the verb, what follows.
NEXT = {
    "mdsm": ("sample", ("-n", "4", "-o", "samples.png")),  # whose chains take seconds an image
    "unconditional-image-generation": ("sample", ("-n", "64", "-o", "samples.png")),
    "fill-mask": ("fill-mask", ("[MASK]眠不覺曉",)),
    "text-generation": ("generate", ("的", "--seed", "0")),
    "text-classification": ("classify", ("春眠不覺曉",)),
    "token-classification": ("tag", ("春眠不覺曉",)),
    "question-answering": ("answer", ("春眠不覺曉",)),
}
LABELING = ("classify", "tag", "extract", "answer")  # which of them, the model's heads say
LAST: tuple[str, tuple[str, ...]] = ("verify", ())


def _show_bare(facts: dict[str, Any]) -> None:
    """What is known of a model without a card."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, show_header=False)
    facts = facts | {"weights": f"at {facts['registry']}", "size": size(facts["bytes"])}
    facts["files"] = f"{len(facts['files'])}, no card among them"
    facts["versions"] = ", ".join(facts["versions"])
    for key in ("id", "architecture", "size", "weights", "commit", "versions", "files"):
        if facts[key]:
            shown.add_row(key, str(facts[key]))
    console().print(shown)


def _pull(model: str, revision: str | None, source: str | None) -> str:
    """The command that fetches what was shown, with the options given."""
    options = ["--revision", revision] if revision else []
    options += ["--from", source] if source else []
    folder = free_folder(Path("out", model.rstrip("/").rpartition("/")[2]))
    return command("genae", "pull", model, *options, "--to", folder)


def pull(
    model: Model,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="New folder, or one to replace with --update. The Hub's own cache if not given.",
        ),
    ] = None,
    revision: Revision = None,
    update: Annotated[
        bool,
        typer.Option("--update", help="Replace an untouched older version by the newest."),
    ] = False,
    source: From = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model into a folder or into the Hub's cache, and verify the hash of every file.

    `from_pretrained` of transformers loads the folder, after `import zoo.models`; without --to
    every library finds the model by its id, with HF_HUB_OFFLINE=1. A folder that contains another
    version, untouched, is replaced with --update, or where a version is named.
    """
    from zoo import registry
    from zoo.registry.snapshots import in_cache

    if update and to is None:
        raise UsageError("--update replaces a folder: say which with --to.")
    before = _version_in(to)

    with bytes_bar("fetching", quiet=quiet) as progress:
        folder = registry.pull(
            model, to, revision=revision, source=source, update=update, progress=progress
        )
    after = _version_in(folder)
    if as_json:
        print_json({"id": model, "folder": str(folder), "version": after, "was": before})
        return
    typer.echo(str(folder))
    if before is not None:
        change = f"is v{after} already" if before == after else f"was v{before}, is v{after}"
        say(f"{folder} {change}", quiet=quiet)
    if to is None and in_cache(folder) and (loads := _by_id(model, revision, folder)):
        say("with HF_HUB_OFFLINE=1 set, every library loads it by this id", quiet=quiet)
        hint(loads, quiet=quiet)
    elif (folder / "manifest.json").is_file() or to is None:
        hint(command("genae", "verify", folder), quiet=quiet)


def _by_id(model: str, revision: str | None, folder: Path) -> str:
    """The command that loads a model of the cache by its id, offline; empty if none is known."""
    from convert.advice import loading
    from zoo.header import safetensors_header
    from zoo.registry import names
    from zoo.registry.manifest import read_config

    model, revision, _ = names.parse(model, revision)
    config = read_config(folder)
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or "auto_map" in config:
        return ""
    tensors = [n for path in folder.glob("*.safetensors") for n in safetensors_header(path)]
    how = loading(config, tensors)
    place = literal(model) + (f", revision={literal(revision)}" if revision else "")
    offline = "os.environ['HF_HUB_OFFLINE'] = '1'"
    return python("import os", offline, *how.imports, how.call(place))


def _version_in(folder: Path | None) -> str | None:
    """The version in a model's folder, as its manifest states it."""
    from zoo.registry import manifest

    try:
        return None if folder is None else str(manifest.read(folder)["version"])
    except GenaeError:
        return None


def verify(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Id such as genae/eae-mnist, or a folder; with --from, all of the place if none.",
        ),
    ] = None,
    revision: Revision = None,
    source: From = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check files, manifest, safetensors header, card and catalog against each other, offline.

    With --from and no MODEL: every version of every model at that place.
    """
    from zoo import registry

    if model is None:
        from zoo.cli.living import verify_place

        verify_place(source, as_json, quiet)
        return
    report = registry.verify(model, revision, source=source)
    if as_json:
        print_json(
            {
                "id": report.id,
                "folder": str(report.folder),
                "ok": report.ok,
                "files": report.files,
                "problems": report.problems,
                "remedy": report.remedy or None,
            }
        )
    elif report.ok and not quiet:
        typer.echo(f"{report.id}: {len(report.files)} files are what they should be")
    if not report.ok:
        if as_json:
            raise typer.Exit(IntegrityError.exit_code)
        lines = "".join(f"\n  {problem}" for problem in report.problems)
        end = f"\n{report.remedy}" if report.remedy else ""
        raise IntegrityError(f"{report.folder} is not what it should be:{lines}{end}")
