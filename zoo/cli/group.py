"""The group of verbs: a table of strings, so that `genae list` imports nothing for other verbs."""

import errno
import os
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from zoo import catalog
from zoo.cli import calls, door
from zoo.cli.common import print_json
from zoo.errors import INTERRUPTED, GenaeError, MissingDependencyError, NotAllowedError
from zoo.hints import command

#: A path under `~` that the shell did not expand, as happens in `--option=~/x`.
HOME = re.compile(r"^((?:--[\w-]+=|-\w)?)~(?=[/\\]|$)")


class Verb(NamedTuple):
    """One verb: where its function is, and its line in `genae --help`."""

    function: str
    help: str
    epilog: str


VERBS = {
    "list": Verb("zoo.cli.models:list_", "Show the zoo as a table.", "genae list vae"),
    "info": Verb(
        "zoo.cli.models:info",
        "Show a model's card and its measured numbers.",
        "genae info genae/eae-mnist",
    ),
    "sample": Verb(
        "zoo.cli.images:sample",
        "Draw new images from a model.",
        "genae sample genae/eae-mnist -n 64 --seed 0 -o digits.png",
    ),
    "reconstruct": Verb(
        "zoo.cli.images:reconstruct",
        "Show images beside their reconstructions.",
        "genae reconstruct genae/eae-mnist IMAGES -o pairs.png",
    ),
    "interpolate": Verb(
        "zoo.cli.images:interpolate",
        "Walk from one image to another through a model's codes.",
        "genae interpolate genae/eae-mnist A.png B.png -o walk.png",
    ),
    "energy": Verb(
        "zoo.cli.energies:energy",
        "Print energies of images, or show a model of the plane.",
        "genae energy genae/dde-gaussians-2d --grid -o plane.png",
    ),
    "denoise": Verb(
        "zoo.cli.energies:denoise",
        "Add noise to images and denoise them by a model's score.",
        "genae denoise genae/mdsm-fashion-mnist IMAGES --sigma 0.3 -o clean.png",
    ),
    "inpaint": Verb(
        "zoo.cli.energies:inpaint",
        "Hide a part of images and fill it in.",
        "genae inpaint genae/dde-mnist examples-mnist --mask lower -o filled.png",
    ),
    "new": Verb(
        "zoo.cli.new:new",
        "Write a card for your own images or texts.",
        "genae new lab/clothes --data images --architecture vae",
    ),
    "train": Verb(
        "zoo.cli.train:train",
        "Train a model from its card.",
        "genae train cards/vae-mnist --output out/vae-mnist",
    ),
    "evaluate": Verb(
        "zoo.cli.evaluate:evaluate",
        "Measure a model and compare with what its card states.",
        "genae evaluate genae/eae-mnist",
    ),
    "compress": Verb(
        "zoo.cli.compress:compress",
        "Compress images without loss.",
        "genae compress IMAGES digits.gnz --model genae/vae-mnist-8bit",
    ),
    "decompress": Verb(
        "zoo.cli.compress:decompress",
        "Write the images of a compressed file.",
        "genae decompress digits.gnz digits",
    ),
    "geometry": Verb(
        "zoo.cli.geometry:geometry",
        "Describe the shape of a model's latent space, on one page.",
        "genae geometry genae/vae-mnist-2d --data mnist -o plane.html",
    ),
    "probe": Verb(
        "zoo.cli.probe:probe",
        "Measure what a classifier can read from a frozen encoder.",
        "genae probe genae/vae-mnist --data mnist",
    ),
    "neighbors": Verb(
        "zoo.cli.neighbors:neighbors",
        "Find the nearest neighbours of an image in a representation.",
        "genae neighbors genae/vae-mnist examples-mnist -o nearest.png",
    ),
    "encode": Verb(
        "zoo.cli.encoding:encode",
        "Write vectors of every row of a data set, in Parquet files.",
        "genae encode genae/vae-mnist examples-mnist -o out/vectors",
    ),
    "density": Verb(
        "zoo.cli.density:density",
        "Estimate how likely images are under a model.",
        "genae density genae/vae-mnist --data mnist --binarize frozen --number 100",
    ),
    "inspect": Verb(
        "zoo.cli.convert:inspect",
        "Show what a legacy checkpoint is and would become.",
        "genae inspect chinese_L-12_H-768_A-12",
    ),
    "convert": Verb(
        "zoo.cli.convert:convert",
        "Turn a legacy checkpoint into a transformers folder.",
        "genae convert chinese_L-12_H-768_A-12 out/bert-base-chinese",
    ),
    "export": Verb(
        "zoo.cli.exporting:export",
        "Write a model for ONNX and others, or back for Keras.",
        "genae export out/bert-base-chinese out/legacy --to keras-hdf5",
    ),
    "fill-mask": Verb(
        "zoo.cli.text:fill_mask",
        "Fill in the masked tokens of a text.",
        "genae fill-mask out/bert-poetry '舉頭望明[MASK]'",
    ),
    "classify": Verb(
        "zoo.cli.labels:classify",
        "Label whole texts, or pairs of them.",
        "genae classify out/sentiment '服務很好' '房間太小'",
    ),
    "tag": Verb(
        "zoo.cli.labels:tag",
        "Label the tokens of texts.",
        "genae tag out/tagger --data news.txt -o tags.jsonl",
    ),
    "extract": Verb(
        "zoo.cli.labels:extract",
        "Find entities or relations in texts.",
        "genae extract out/pointer --data news.jsonl --column title",
    ),
    "answer": Verb(
        "zoo.cli.questions:answer",
        "Find the answers to a question in texts.",
        "genae answer out/squad '房間在三樓。' --question '房間在哪裡'",
    ),
    "attention": Verb(
        "zoo.cli.attention:attention",
        "Show where the heads of a text model look.",
        "genae attention genae/bert-poetry-zh 舉頭望明月 -o heads.html",
    ),
    "generate": Verb(
        "zoo.cli.text:generate",
        "Let a language model write a text on.",
        "genae generate genae/tiny-gpt2 '床前' --num 3 --seed 0",
    ),
    "card": Verb(
        "zoo.cli.card:card",
        "Write README and manifest again after a card changed.",
        "genae card out/vae-mnist --set license=mit",
    ),
    "pull": Verb(
        "zoo.cli.models:pull",
        "Copy a model into a folder and verify the hash of every file.",
        "genae pull genae/eae-mnist --to out/eae-mnist",
    ),
    "push": Verb(
        "zoo.cli.sharing:push",
        "Publish a model on the Hub, on another hub or in a folder.",
        "genae push out/vae-mnist me/vae-mnist --dry-run",
    ),
    "diff": Verb(
        "zoo.cli.living:diff",
        "Compare two models or two versions of one.",
        "genae diff genae/vae-mnist genae/vae-fashion-mnist",
    ),
    "withdraw": Verb(
        "zoo.cli.living:withdraw",
        "Withdraw a published version, with the reason.",
        'genae withdraw me/vae-mnist@v1.0.0 --from ./models --why "wrong numbers"',
    ),
    "registry": Verb(
        "zoo.cli.sharing:registry_",
        "Show where models are looked for, and in which order.",
        "genae registry genae/eae-mnist",
    ),
    "verify": Verb(
        "zoo.cli.models:verify",
        "Check that a model's files are what they should be.",
        "genae verify genae/eae-mnist",
    ),
    "env": Verb(
        "zoo.cli.environment:env",
        "Show versions, devices and folders, for a bug report.",
        "genae env",
    ),
}


class VerbCommand(TyperCommand):
    """One verb."""

    def get_params(self, ctx: Any) -> Any:
        """The verb's parameters, made light."""
        return _light(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the call, of which a mistake is this verb's."""
        calls.current().context = ctx
        calls.current().words = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; a model that is not here is located before torch is imported."""
        if not door.looks_up(self.callback):
            return super().invoke(ctx)
        with door.looked_up(ctx):
            return super().invoke(ctx)


class VerbGroup(TyperGroup):
    """The verbs by name and help line; a verb's module is imported when it is called."""

    def __init__(self, **settings: Any) -> None:
        """Add a line for each verb; typer passes the settings."""
        super().__init__(**settings)
        for name, verb in VERBS.items():
            self.commands[name] = TyperCommand(name=name, help=verb.help)

    def get_params(self, ctx: Any) -> Any:
        """The parameters before the verb, made light."""
        return _light(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command in place of the line in the table."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name else command, rest

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, **settings: Any
    ) -> Any:
        """Run, and exit with the code of the error, if there is one.

        An error of genae prints its message, any other one line; with `--json` it is JSON on
        stdout. `--debug`, before or after the verb, adds the traceback.
        """
        arguments = list(sys.argv[1:] if args is None else args)
        end = arguments.index("--") if "--" in arguments else len(arguments)
        debug = "--debug" in arguments[:end]
        arguments = [one for i, one in enumerate(arguments) if one != "--debug" or i >= end]
        call = calls.begin("--json" in arguments[:end])
        arguments = [
            HOME.sub(lambda found: f"{found[1]}{os.path.expanduser('~')}", one)
            for one in arguments
        ]
        # The bars of transformers show every file read or written; those of genae show the work.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        try:
            code = super().main(arguments, **{**settings, "standalone_mode": False})
            if code == INTERRUPTED:  # typer handled Ctrl-C itself
                report(KeyboardInterrupt(), call)
            sys.stdout.flush()  # a closed pipe is noticed here, not while the interpreter exits
        except BrokenPipeError:
            _forget_stdout()
            code = 1
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            code = report(error, call)
        if not settings.get("standalone_mode", True):
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _light(params: list[Any]) -> list[Any]:
    """Parameters that need no pydantic, whose import takes a quarter of a second, if they can.

    For None and for text typer imports it. A flag that is not given becomes false, but one with a
    way to say no, which may be neither.
    """
    for param in params:
        flag = getattr(param, "is_flag", False) and not param.secondary_opts
        if flag and param.default is None:
            param.default = False
        if param.type_descriptor.annotation is str:
            param.get_runtime_param = Text
    return params


class Text:
    """What typer makes of text, which is the text."""

    def coerce(self, value: str | None, **_: Any) -> str | None:
        """The text as it was given."""
        return value


def load_verb(name: str) -> Any:
    """Import a verb's module and make its command."""
    verb = VERBS[name]
    try:
        function = door.with_place(catalog.load(verb.function))
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"`genae {name}` needs the package {error.name!r}, which is not installed."
        ) from error
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=VerbCommand, epilog=f"Example: {verb.epilog}")(function)
    return typer.main.get_command(single)


def report(error: Any, call: calls.Call) -> int:
    """Print what went wrong and return the exit code.

    On stderr; of a call that answers in JSON on stdout, unless its answer stands there already.
    """
    text, code = explain(error)
    shown = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
    if call.as_json and not call.answered:
        kind = type(error).__name__
        print_json({"error": shown, "kind": kind, "exit_code": code})
    else:
        print(f"genae: {shown}", file=sys.stderr)
    return code


def explain(error: Any) -> tuple[str, int]:
    """What went wrong, in words, and the exit code."""
    if isinstance(error, GenaeError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # the command line itself: an unknown option or verb
        context = getattr(error, "ctx", None) or calls.current().context
        path = context.command_path if context else "genae"
        text = str(error.format_message()).rstrip(" .")
        end = "" if text.endswith("?") else "."
        known = f"{text}{end} See `{path} --help`"
        lacking = _completed(getattr(error, "param", None), context) if "Missing" in text else ""
        return known + (f", or try: {lacking}" if lacking else "."), int(error.exit_code)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "interrupted", INTERRUPTED
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{text}: free some space.", MissingDependencyError.exit_code
    if isinstance(error, PermissionError):
        return f"{text}: no permission; choose another place.", NotAllowedError.exit_code
    if isinstance(error, ImportError):
        return text, MissingDependencyError.exit_code
    if isinstance(error, ValueError):
        from zoo.registry.order import check_settings

        try:
            check_settings()
        except GenaeError as cause:
            return str(cause), cause.exit_code
    if isinstance(error, ValueError | OSError) and text:
        return text, 1
    return f"{type(error).__name__}: {text} (`--debug` shows where)", 1


def _completed(parameter: Any, context: Any) -> str:
    """The command with the option that it lacks, as its verb's example has it, else the example.

    Args:
        parameter: that is missing.
        context: typer's, of the verb.
    """
    verb = VERBS.get(getattr(context, "info_name", ""))
    if parameter is None or verb is None:
        return ""
    for flag, value in pairwise(shlex.split(verb.epilog)):
        if flag in parameter.opts:
            words = list(calls.current().words)
            end = words.index("--") if "--" in words else len(words)
            return command("genae", context.info_name, *words[:end], flag, value, *words[end:])
    return verb.epilog


def _forget_stdout() -> None:
    """Redirect stdout to nowhere, so that the last flush of the interpreter cannot fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stdout that is no file
        sys.stdout = open(os.devnull, "w")
