"""The verb that brings a legacy checkpoint over."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import (
    Json,
    Quiet,
    console,
    hint,
    print_json,
    say,
)
from zoo.cli.models import size
from zoo.errors import UsageError
from zoo.hints import command
from zoo.progress import bytes_bar

if TYPE_CHECKING:
    from convert.inspection import Inspection
    from convert.report import Report

SHARD = "5GB"


def convert(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A checkpoint's folder, prefix or file; .weights/.h5; a zip, tar or ZIP!PLACE.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The new folder; it may exist if empty.")
    ] = None,
    look: Annotated[
        bool, typer.Option("--check", help="Only say what the file is; reads no weights.")
    ] = False,
    family: Annotated[
        str | None, typer.Option(help="bert4keras's model=, such as bert; the files if not given.")
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="The published release that it is; see --known."
        ),
    ] = None,
    known: Annotated[
        bool, typer.Option("--known", help="List the releases that are known; needs no PATH.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="The bert_config.json, where it is not beside the files.")
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The vocab.txt or SentencePiece model, if not beside the files; none for none.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="As told to build_transformer_model; repeatable."),
    ] = None,
    options: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The same as a JSON table.")
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Recorded inputs and outputs to compare with."),
    ] = None,
    allow_unused: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Tensors that may be left over; repeatable."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, float16, bfloat16; as stored if not given.")
    ] = None,
    max_shard_size: Annotated[str, typer.Option(help="Of one safetensors file.")] = SHARD,
    to: Annotated[
        str | None,
        typer.Option(help="The way back: PATH is a model's folder; tf-checkpoint or keras-hdf5."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a legacy checkpoint into safetensors, config and tokenizer, without TensorFlow.

    With --to the other way: a converted or fine-tuned folder becomes a checkpoint again.
    """
    from convert import arguments, inspection
    from convert.forward import convert_checkpoint
    from convert.report import build_call, load_command

    if known:
        _show_known(as_json)
        return
    if source is None:
        raise UsageError("give the checkpoint: genae convert PATH OUT (or --known)")
    if to is not None:
        there = {"--check": look, "--verify": verify, "--config": config, "--vocab": vocab}
        for word, value in (there | {"--as": release}).items():
            if value:
                raise UsageError(f"{word} is for the way there; leave it out beside --to")
    told = arguments.read_json(options) if options else {}
    told |= dict(arguments.parse_option(text) for text in option or ())
    if look:
        found = inspection.check(
            source,
            family=family,
            config=config,
            vocab=vocab,
            options=told,
            out=out,
            verify=verify,
            allow_unused=allow_unused or (),
            dtype=dtype,
            max_shard_size=max_shard_size,
            release=release,
        )
        _show_inspection(found, as_json)
        if found.exit_code:
            raise typer.Exit(found.exit_code)
        given: dict[str, list[Any]] = {
            "--family": [family],
            "--as": [release],
            "--config": [config],
            "--vocab": [vocab],
            "--option": option or [],
            "--options": [options],
            "--verify": [verify],
            "--allow-unused": allow_unused or [],
            "--dtype": [dtype],
            "--max-shard-size": [None if max_shard_size == SHARD else max_shard_size],
        }
        words = [
            part
            for word, values in given.items()
            for one in values
            if one is not None
            for part in (word, one)
        ]
        again = command("genae", "convert", source, out or "OUT", *words)
        hint(again, quiet=quiet or as_json)
        return
    if out is None:
        raise UsageError("give the new folder: genae convert PATH OUT (or --check)")
    bar = partial(bytes_bar, "converting", quiet=quiet)
    if to is not None:
        from convert.backward.convert_back import convert_back

        report = convert_back(
            source,
            out,
            to=to,
            family=family,
            options=told,
            allow_unused=allow_unused or (),
            dtype=dtype,
            progress=bar,
        )
        _answer(report, as_json, quiet)
        hint(build_call(report), quiet=quiet or as_json)
        return
    report = convert_checkpoint(
        source,
        out,
        family=family,
        config=config,
        vocab=vocab,
        options=told,
        verify=verify,
        allow_unused=allow_unused or (),
        dtype=dtype,
        max_shard_size=max_shard_size,
        progress=bar,
        release=release,
    )
    _answer(report, as_json, quiet)
    hint(load_command(report), quiet=quiet or as_json)


def _answer(report: "Report", as_json: bool, quiet: bool) -> None:
    """What became of everything, as a table or as JSON."""
    if as_json:
        print_json(report.to_dict() | {"out": str(report.out), "files": report.files})
        for warning in report.warnings:
            say(warning)
        return
    _show(report, quiet)
    what = report.architecture.removeprefix("Genae")
    say(f"{report.out}: {what}, {', '.join(report.files)}", quiet=quiet)


def _show(report: "Report", quiet: bool) -> None:
    """What became of every tensor, layers folded into one line, and the parity."""
    from rich.table import Table

    from convert.report import fold

    table = Table("from", "to", "shape", "operation", box=None, pad_edge=False)
    for row in fold(report):
        table.add_row(*row)
    console().print(table)
    if report.defaults:
        given = ", ".join(f"{key}={value}" for key, value in report.defaults.items())
        say(f"not given, so taken: {given}", quiet=quiet)
    for note in report.notes:
        say(note, quiet=quiet and note not in report.warnings)
    if report.parity:
        parity = Table("output", box=None, pad_edge=False)
        for heading in ("largest difference", "relative", "tolerance", ""):
            parity.add_column(heading, justify="right")
        for p in report.parity:
            parity.add_row(
                p.name,
                f"{p.max_absolute:.1e}",
                f"{p.max_relative:.1e}",
                f"{p.tolerance:.1e}",
                "ok" if p.ok else "OFF",
            )
        typer.echo()
        console().print(parity)


def _show_inspection(found: "Inspection", as_json: bool) -> None:
    from rich.table import Table

    facts: dict[str, Any] = {
        "format": found.format,
        "form": found.form,
        "tensors": found.tensors,
        "bytes": found.bytes,
        "left out": found.dropped,
        "families": found.families,
        "release": found.release,
        "parts": found.parts,
        "heads": found.heads,
        "sizes": found.sizes,
        "options": found.options,
        "defaults": found.defaults,
        "notes": found.notes,
        "missing": found.missing,
        "unreadable": found.unreadable,
    }
    if as_json:
        print_json({key.replace(" ", "_"): value for key, value in facts.items()})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    facts["bytes"] = size(found.bytes)
    if found.release:
        facts["release"] = f"{' or '.join(found.release['names'])} (by {found.release['by']})"
    facts["left out"] = f"{found.dropped} (optimizer slots, counters)"
    for key, value in facts.items():
        if isinstance(value, dict):
            sign, between = (": ", "; ") if key == "unreadable" else ("=", ", ")
            value = between.join(f"{name}{sign}{one}" for name, one in value.items())
        shown = "; ".join(value) if isinstance(value, list) else str(value or "")
        table.add_row(key, shown or "nothing")
    console().print(table)


def _show_known(as_json: bool) -> None:
    """Every known release, and where it was published."""
    from rich.table import Table

    from convert.published import known_releases

    found = known_releases()
    if as_json:
        print_json(found)
        return
    table = Table("name", "family", "options", "gelu", "case", "where", box=None, pad_edge=False)
    for one in found:
        options = " ".join(f"{key}={value}" for key, value in one["options"].items())
        gelu = one["activation"] if one["gelu"] == "none" else one["gelu"]
        case = "lower" if one["lower_case"] else "as it is"
        where = " ".join(one["where"])
        name = one["name"] + f" ({', '.join(one['also'][:2])} ...)" * bool(one["also"])
        table.add_row(name, one["family"] or "none", options, gelu, case, where)
    console(width_if_piped=250).print(table)
