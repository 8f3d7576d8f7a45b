"""The verbs of legacy checkpoints: what one is, the way in, the way out."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.answers import answer, show_inspection, show_known, show_layers
from zoo.cli.calls import again
from zoo.cli.common import Json, Quiet, hint, print_json
from zoo.errors import UsageError
from zoo.hints import command
from zoo.progress import bytes_bar

SHARD = "5GB"
#: Verbs that need nothing but a result; how Python loads it is shown of the others.
AT_ONCE = ("classify", "tag", "extract", "answer", "sample")
CHECKPOINT = "Folder, prefix or file of a checkpoint; .weights/.h5; a zip, tar or ZIP!PLACE."

Source = Annotated[Path, typer.Argument(metavar="PATH", help=CHECKPOINT)]
Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="New folder; it may exist if it is empty.")
]
Family = Annotated[
    str | None,
    typer.Option(
        help="Family, as in bert4keras's model=, or a script of image models such as vae_cnn; "
        "default: detected."
    ),
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
    typer.Option(
        metavar="KEY=VALUE",
        help="Option of build_transformer_model; of a script of image models image_size=64 and "
        "the like; of other Keras models channels_last=false or outputs=NAME,...; repeatable.",
    ),
]
Lambda = Annotated[
    list[str] | None,
    typer.Option(
        "--lambda",
        metavar="NAME=MEANING",
        help="Meaning of a Lambda or other unknown layer of a Keras model: sampling, "
        "mean:axis=1 ...; repeatable.",
    ),
]
Options = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="JSON table of such options.")
]
Head = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]KIND",
        help="Kind of a head of fine-tuning: classifier, token_classifier, crf, memm, "
        "global_pointer, efficient_global_pointer, gplinker, half_pointer or span; of several "
        "heads each, in the order of the file; none leaves them out.",
    ),
]
HeadOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME.]KEY=VALUE", help="Setting of the head, lr_multiplier=1000; repeatable."
    ),
]
Heads = Annotated[
    Path | None,
    typer.Option(metavar="FILE.toml", help="Table of each head with its kind and settings."),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Names of the head's labels: one a line, or a JSON list or table."
    ),
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
    meaning: Lambda = None,
    head: Head = None,
    head_option: HeadOption = None,
    heads: Heads = None,
    labels: Labels = None,
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
        show_known(as_json)
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
            options=read_options(option, options, meaning)
            | _heads(head, head_option, heads, labels),
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
        show_inspection(found)
    else:
        show_layers(found)
    if found.exit_code:
        script = getattr(found, "script", "")
        if script and family is None:
            hint(again(family=script), quiet=quiet)
        raise typer.Exit(found.exit_code)
    if getattr(found, "converted", False):
        hint(command("genae", "info", source), quiet=quiet)
        return
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
    meaning: Lambda = None,
    head: Head = None,
    head_option: HeadOption = None,
    heads: Heads = None,
    labels: Labels = None,
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

    with _one_of_several():
        report = convert_checkpoint(
            source,
            out,
            family=family,
            config=config,
            vocab=vocab,
            options=read_options(option, options, meaning)
            | _heads(head, head_option, heads, labels),
            verify=verify,
            allow_unused=allow_unused or (),
            dtype=dtype,
            max_shard_size=max_shard_size,
            progress=partial(bytes_bar, "converting", quiet=quiet),
            release=release,
            prefer=prefer,
            with_code=with_code,
        )
    answer(report, show_map, as_json, quiet)
    hint(_use_of(report), quiet=quiet)


def _use_of(report: Any) -> str:
    """The verb for a result that has one at once, else the line that loads it."""
    from convert.report import load_command
    from zoo.advice import verb_for

    _, verb, *words = verb_for(report.result) or ("", "")
    if (verb in AT_ONCE or "--label" in words) and (
        verb == "sample" or "tokenizer.json" in report.files
    ):
        return command("genae", verb, report.out, *words)
    return load_command(report)


def read_options(
    words: list[str] | None, file: Path | None, meanings: list[str] | None = None
) -> dict[str, Any]:
    """Options from a file and from words, which win; what layers mean is one of them."""
    from convert import arguments

    table = arguments.read_json(file) if file else {}
    table |= dict(arguments.parse_option(word) for word in words or ())
    if meanings:
        said = table.setdefault("lambda", {})
        for word in meanings:
            name, sign, text = word.partition("=")
            if not sign or not isinstance(said, dict):
                raise UsageError(f"{word!r} is not NAME=MEANING, such as lambda_1=mean:axis=1")
            said[name] = text
    return table


def _heads(
    kinds: list[str] | None, settings: list[str] | None, file: Path | None, labels: Path | None
) -> dict[str, Any]:
    """Options of what is asked of heads; none where nothing is."""
    if not (kinds or settings or file or labels):
        return {}
    from convert.heads.labels import read_heads

    heads = read_heads(kinds, settings, file)
    if heads == "none":
        return {"head": "none"}
    names = None if labels is None else str(labels)
    return {key: value for key, value in (("heads", heads), ("labels", names)) if value}


@contextlib.contextmanager
def _one_of_several() -> Iterator[None]:
    """Give the command to paste for each of several checkpoints, where one has to be chosen."""
    from convert.readers import SeveralCheckpointsError

    try:
        yield
    except SeveralCheckpointsError as error:
        commands = "".join(f"\n  {again(source=choice, prefer=None)}" for choice in error.choices)
        raise UsageError(f"{error}:{commands}") from None
