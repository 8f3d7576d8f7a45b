"""The verb of the way out: to checkpoints of Keras and TensorFlow, and to other runtimes."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.answers import answer, answer_keras
from zoo.cli.common import Json, Quiet, console, hint, print_json, say
from zoo.cli.convert import AllowUnused, Dtype, Family, Map, Option, Options, Out, read_options
from zoo.errors import UsageError
from zoo.hints import did_you_mean
from zoo.progress import bytes_bar, items_bar

#: Forms of a checkpoint that a conversion came from.
LEGACY = ("tf-checkpoint", "keras-hdf5", "keras", "keras-h5")


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Id or folder of a model; a folder wins."),
    ],
    out: Out,
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help="Form to write: onnx, torch or sentence-transformers (executorch and openvino "
            "untested); back, tf-checkpoint or keras-hdf5 of texts, keras or keras-h5 else.",
        ),
    ],
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Pooling of tokens into one vector, of sentence-transformers: cls, mean, pooler, "
            "last-avg, first-last-avg or max; default: the model's own."
        ),
    ] = None,
    backbone: Annotated[
        bool, typer.Option("--backbone", help="Leave the head out; the plain encoder.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise matrices to 8 bits, of onnx.")
    ] = False,
    with_code: Annotated[
        bool,
        typer.Option("--with-code", help="Add the modelling files, of sentence-transformers."),
    ] = False,
    family: Family = None,
    option: Option = None,
    options: Options = None,
    allow_unused: AllowUnused = None,
    dtype: Dtype = None,
    show_map: Map = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model for another runtime, proved to compute the same, or for bert4keras or Keras.

    Of a model of layers and Keras, OUT may be the file itself: model.keras or model.h5.
    """
    from zoo.exporting.targets import SENTENCES, TARGETS
    from zoo.registry import transfer

    every = [*TARGETS, SENTENCES, *LEGACY]
    if to not in every:
        raise UsageError(f"no target {to!r} to export to. {did_you_mean(to, every)}")
    back: dict[str, Any] = {
        "--family": family, "--option": option, "--options": options,
        "--allow-unused": allow_unused, "--dtype": dtype, "--map": show_map,
    }  # fmt: skip
    onward: dict[str, Any] = {
        "--pooling": pooling, "--backbone": backbone, "--int8": int8, "--with-code": with_code
    }  # fmt: skip
    foreign = onward if to in LEGACY else back
    wrong = [word for word, given in foreign.items() if given]
    if wrong:
        raise UsageError(f"{wrong[0]} is not for --to {to}; leave it out")
    if to not in LEGACY:
        _to_runtime(model, out, to, pooling, backbone, int8, with_code, as_json, quiet)
        return
    from convert.backward.export import export_checkpoint
    from convert.report import Report, build_call

    report = export_checkpoint(
        transfer.locate(model),
        out,
        to=to,
        family=family,
        options=read_options(option, options),
        allow_unused=allow_unused or (),
        dtype=dtype,
        progress=partial(bytes_bar, "exporting", quiet=quiet),
    )
    if not isinstance(report, Report):
        answer_keras(report, show_map, as_json, quiet)
        hint(report.load_command(), quiet=quiet)
        return
    answer(report, show_map, as_json, quiet)
    hint(build_call(report), quiet=quiet)


def _to_runtime(
    model: str, out: Path, to: str, pooling: str | None, backbone: bool, int8: bool,
    with_code: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    from dataclasses import asdict

    from zoo.exporting.export import export as write

    with items_bar("exporting", quiet=quiet) as bar:
        made = write(
            model, out, to=to, pooling=pooling, backbone=backbone, int8=int8,
            with_code=with_code, progress=bar.note,
        )  # fmt: skip
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(f"{made.folder}: {len(made.files)} files, {sum(made.files.values()):,} bytes")
    compared = {graph: one for graph, one in made.parity.items() if one}
    if compared and not quiet:
        _show(compared)
    if not compared:
        say("not run here, and not compared with PyTorch", quiet=quiet or backbone)
    hint(made.next_step, quiet=quiet)


def _show(compared: dict[str, Any]) -> None:
    """Differences from PyTorch, an output a line; of 8 bits how fast it is."""
    from rich.table import Table

    table = Table("graph", "output", "differs from PyTorch by", box=None, pad_edge=False)
    for graph, one in compared.items():
        for output, far in one["relative_difference"].items():
            table.add_row(graph, output, f"{far:.1e}")
    console().print(table)
    for graph, one in compared.items():
        if "times_as_fast" in one:
            share = one["bytes"] / one["bytes_of_32_bits"]
            speed = f"{one['times_as_fast']:.2f} times as fast"
            say(f"{graph}: {share:.0%} of the bytes of 32 bits, {speed}")
