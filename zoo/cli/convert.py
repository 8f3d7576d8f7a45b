"""The verbs of legacy checkpoints: what one is, the way in, the way out."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import Json, Quiet, console, hint, print_json, say, size
from zoo.errors import UsageError
from zoo.progress import bytes_bar

if TYPE_CHECKING:
    from convert.inspection import Inspection
    from convert.layered import LayersReport
    from convert.layers.summary import Summary
    from convert.report import Report

SHARD = "5GB"
CHECKPOINT = "Folder, prefix or file of a checkpoint; .weights/.h5; a zip, tar or ZIP!PLACE."

Source = Annotated[Path, typer.Argument(metavar="PATH", help=CHECKPOINT)]
Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="New folder; it may exist if it is empty.")
]
Family = Annotated[
    str | None, typer.Option(help="Family, as in bert4keras's model=; default: detected.")
]
Release = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="Published release that it is; see `genae inspect --known`."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(help="The bert_config.json, or JSON of model.to_json(), if not near the file."),
]
Vocab = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The vocab.txt or SentencePiece model, if not near the checkpoint; or none.",
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Option of build_transformer_model; repeatable."),
]
Options = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="JSON table of such options.")
]
Verify = Annotated[
    Path | None,
    typer.Option(metavar="FILE.npz", help="Recorded inputs and outputs to compare with."),
]
AllowUnused = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Tensors that may be left over; repeatable."),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="Type of numbers: float32, float16 or bfloat16; default: as stored."),
]
Prefer = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Kind to take of several checkpoints in a folder: tensorflow or keras; default: the "
        "first, where all hold the same tensors.",
    ),
]
Map = Annotated[
    bool, typer.Option("--map", help="Show what became of every tensor, and all defaults.")
]
WithCode = Annotated[
    bool,
    typer.Option(
        "--with-code",
        help="Add the modelling files, so that transformers loads the result without genae.",
    ),
]
MaxShardSize = Annotated[str, typer.Option(help="Maximum size of one safetensors file.")]


def inspect(
    source: Annotated[Path | None, typer.Argument(metavar="PATH", help=CHECKPOINT)] = None,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder of the conversion to come.")
    ] = None,
    family: Family = None,
    release: Release = None,
    prefer: Prefer = None,
    known: Annotated[
        bool, typer.Option("--known", help="List the known releases; needs no PATH.")
    ] = False,
    config: Config = None,
    vocab: Vocab = None,
    option: Option = None,
    options: Options = None,
    verify: Verify = None,
    allow_unused: AllowUnused = None,
    dtype: Dtype = None,
    max_shard_size: MaxShardSize = SHARD,
    with_code: WithCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a checkpoint is and what a conversion would do; reads no weights.

    Options are those of genae convert, and the exit code is the one it would end with.
    """
    if known:
        _show_known(as_json)
        return
    if source is None:
        raise UsageError("no PATH given: genae inspect PATH, or genae inspect --known")
    from convert import inspection

    with _one_of_several():
        found = inspection.inspect(
            source,
            family=family,
            config=config,
            vocab=vocab,
            options=_options(option, options),
            out=out,
            verify=verify,
            allow_unused=allow_unused or (),
            dtype=dtype,
            max_shard_size=max_shard_size,
            release=release,
            prefer=prefer,
            with_code=with_code,
        )
    if as_json:
        print_json(found.to_dict())
    elif isinstance(found, inspection.Inspection):
        _show_inspection(found)
    else:
        _show_layers(found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
    hint(again("convert", out=out or "OUT"), quiet=quiet)


def convert(
    source: Source,
    out: Out,
    family: Family = None,
    release: Release = None,
    prefer: Prefer = None,
    config: Config = None,
    vocab: Vocab = None,
    option: Option = None,
    options: Options = None,
    verify: Verify = None,
    allow_unused: AllowUnused = None,
    dtype: Dtype = None,
    max_shard_size: MaxShardSize = SHARD,
    show_map: Map = False,
    with_code: WithCode = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a legacy checkpoint into safetensors, config and tokenizer, without TensorFlow.

    genae inspect says beforehand what it is; genae export goes the other way.
    """
    from convert.forward import convert_checkpoint
    from convert.report import Report, load_command

    with _one_of_several():
        report = convert_checkpoint(
            source,
            out,
            family=family,
            config=config,
            vocab=vocab,
            options=_options(option, options),
            verify=verify,
            allow_unused=allow_unused or (),
            dtype=dtype,
            max_shard_size=max_shard_size,
            progress=partial(bytes_bar, "converting", quiet=quiet),
            release=release,
            prefer=prefer,
            with_code=with_code,
        )
    if not isinstance(report, Report):
        _answer_layers(report, as_json, quiet)
        return
    _answer(report, show_map, as_json, quiet)
    hint(load_command(report), quiet=quiet)


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Folder or id of a converted or fine-tuned model."),
    ],
    out: Out,
    to: Annotated[
        str, typer.Option(metavar="TARGET", help="Form to write: tf-checkpoint or keras-hdf5.")
    ],
    family: Family = None,
    option: Option = None,
    options: Options = None,
    allow_unused: AllowUnused = None,
    dtype: Dtype = None,
    show_map: Map = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a model's folder into a checkpoint that bert4keras loads, without TensorFlow."""
    from convert.backward.export import export_checkpoint
    from convert.report import build_call
    from zoo.registry import transfer

    report = export_checkpoint(
        transfer.locate(model),
        out,
        to=to,
        family=family,
        options=_options(option, options),
        allow_unused=allow_unused or (),
        dtype=dtype,
        progress=partial(bytes_bar, "exporting", quiet=quiet),
    )
    _answer(report, show_map, as_json, quiet)
    hint(build_call(report), quiet=quiet)


def _options(words: list[str] | None, file: Path | None) -> dict[str, Any]:
    """Options from a file and from words, which win."""
    from convert import arguments

    table = arguments.read_json(file) if file else {}
    return table | dict(arguments.parse_option(word) for word in words or ())


@contextlib.contextmanager
def _one_of_several() -> Iterator[None]:
    """Give the command to paste for each of several checkpoints, where one has to be chosen."""
    from convert.readers import SeveralCheckpointsError

    try:
        yield
    except SeveralCheckpointsError as error:
        commands = "".join(f"\n  {again(source=choice, prefer=None)}" for choice in error.choices)
        raise UsageError(f"{error}:{commands}") from None


def _answer(report: "Report", show_map: bool, as_json: bool, quiet: bool) -> None:
    """What became of everything: in a line, as a table or as JSON."""
    from convert.report import deciding, summary

    if as_json:
        print_json(report.to_dict() | {"out": str(report.out), "files": report.files})
        for warning in report.warnings:
            say(warning)
        return
    if show_map:
        _show_map(report)
    typer.echo(summary(report))
    if report.parity and not quiet:
        _show_parity(report)
    for words in deciding(report):
        say(words, quiet=quiet)
    for warning in report.warnings:
        say(warning)
    for note in report.notes:
        say(note, quiet=quiet or note in report.warnings)
    if show_map and report.defaults:
        taken = ", ".join(f"{key}={value}" for key, value in report.defaults.items())
        say(f"all defaults: {taken}", quiet=quiet)


def _answer_layers(report: "LayersReport", as_json: bool, quiet: bool) -> None:
    """What became of a Keras model: in a line or as JSON."""
    from convert.layered import HOME
    from zoo.hints import literal, python

    for warning in report.warnings:
        say(warning)
    if as_json:
        print_json(report.to_dict() | {"out": str(report.out), "files": report.files})
        return
    typer.echo(report.summary())
    if report.parity and not quiet:
        _show_parity(report)
    for note in report.notes:
        say(note, quiet=quiet or note in report.warnings)
    call = f"LayersModel.from_pretrained({literal(report.out)})"
    hint(python(f"from {HOME} import LayersModel", call), quiet=quiet)


def _show_map(report: "Report") -> None:
    """What became of every tensor, layers folded into one line."""
    from rich.table import Table

    from convert.report import fold
    from zoo.cli.tables import WHOLE, Name

    table = Table("from", "to", "shape", "operation", box=None, pad_edge=False)
    for source, target, *rest in fold(report):
        table.add_row(Name(source), Name(target), *rest)
    console(width_if_piped=WHOLE).print(table)


def _show_parity(report: "Report | LayersReport") -> None:
    """Each recorded output, and how far the result is from it."""
    from rich.table import Table

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


def _show_inspection(found: "Inspection") -> None:
    """What a checkpoint is, a line a fact."""
    from rich.table import Table

    facts = found.to_dict()
    facts["bytes"] = size(found.bytes)
    if found.release:
        facts["release"] = f"{' or '.join(found.release['names'])} (by {found.release['by']})"
    facts["left_out"] = f"{found.dropped} (optimizer slots, counters)"
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in facts.items():
        if isinstance(value, dict):
            sign, between = (": ", "; ") if key == "unreadable" else ("=", ", ")
            value = between.join(f"{name}{sign}{one}" for name, one in value.items())
        if key == "defaults":
            value = "; ".join([*found.deciding(), f"all: {value}"])
        shown = "; ".join(value) if isinstance(value, list) else str(value or "")
        table.add_row(key.replace("_", " "), shown or "nothing")
    console().print(table)


def _show_layers(found: "Summary") -> None:
    """A Keras model: a line a layer, sums, and what stops its conversion."""
    from rich.table import Table

    from zoo.cli.tables import WHOLE, Name

    table = Table("layer", "class", "output shape", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("connected to")
    for line in found.lines:
        shapes = "; ".join(
            f"({', '.join('any' if size is None else str(size) for size in shape)})"
            for shape in line.shapes
        )
        inputs = ", ".join(line.inputs[:3]) + (" ..." if len(line.inputs) > 3 else "")
        kind = f"{line.kind} (not supported)" if line.problem else line.kind
        table.add_row(Name(line.name), kind, shapes or "?", f"{line.parameters:,}", Name(inputs))
    console(width_if_piped=WHOLE).print(table)
    typer.echo(
        f"{found.name or 'model'}, Keras {found.keras or '?'}, {found.form}: "
        f"{found.parameters:,} parameters, {found.untrained:,} of them not trained"
    )
    for note in found.notes:
        say(note)
    for problem in found.missing:
        say(problem)


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
