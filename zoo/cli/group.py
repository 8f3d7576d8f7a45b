"""The group of verbs: loads the one that is called, and reports what goes wrong in it."""

import errno
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext, redirect_stderr, redirect_stdout, suppress
from functools import cache
from itertools import pairwise
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from zoo import catalog, ranks
from zoo.cli import calls, door
from zoo.cli.common import print_json
from zoo.cli.verbs import VERBS
from zoo.errors import (
    INTERRUPTED,
    GenaeError,
    LeftError,
    MissingDependencyError,
    NotAllowedError,
    UsageError,
)
from zoo.hints import command

#: A path under `~` that the shell did not expand, as happens in `--option=~/x`.
HOME = re.compile(r"^((?:--[\w-]+=|-\w)?)~(?=[/\\]|$)")
#: Seconds that a process waits for the first to say what all would say, which ends all of them.
TURN = 20.0


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
        if ranks.count() > 1:
            begin_together(ctx)
        with door.looked_up(ctx) if door.looks_up(self.callback) else nullcontext():
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
        stdout. `--debug`, before or after the verb, adds the traceback. Of several processes the
        first alone prints what is not an error.
        """
        arguments = list(sys.argv[1:] if args is None else args)
        end = arguments.index("--") if "--" in arguments else len(arguments)
        debug = "--debug" in arguments[:end]
        arguments = [one for i, one in enumerate(arguments) if one != "--debug" or i >= end]
        call, left = calls.begin("--json" in arguments[:end]), False
        arguments = [
            HOME.sub(lambda found: f"{found[1]}{os.path.expanduser('~')}", one)
            for one in arguments
        ]
        # The bars of transformers show every file read or written; those of genae show the work.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        try:
            with ExitStack() as around:
                if ranks.count() > 1:  # torch warns of a setting of the Trainer's, in each of them
                    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
                if not ranks.is_first():
                    around.enter_context(redirect_stdout(_nowhere()))
                    around.enter_context(redirect_stderr(_nowhere()))
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
            left = isinstance(error, LeftError) and ranks.count() > 1
        if not settings.get("standalone_mode", True):
            return code
        if left:  # gloo would wait for the other one as long as the interpreter ends
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(code)
        sys.exit(code if isinstance(code, int) else 0)


def begin_together(context: Any) -> None:
    """Begin a verb in one of several processes, of which the first shows how it goes.

    Args:
        context: typer's, of the verb.

    Raises:
        UsageError: the verb is none that processes do together.
    """
    if not VERBS[context.info_name].together:
        able = ", ".join(name for name, verb in VERBS.items() if verb.together)
        raise UsageError(
            f"{context.info_name} is done by one process, and this is one of {ranks.count()}; "
            f"run it without their launcher: {calls.again()} (several do {able})"
        )
    if "quiet" in context.params and not ranks.is_first():
        context.params["quiet"] = True


@cache
def _nowhere() -> TextIO:
    """Where nobody reads; it is never closed, as loggers may keep it."""
    return open(os.devnull, "w")


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

    On stderr; of a call that answers in JSON on stdout, unless its answer stands there already. Of
    several processes the first speaks at once, and its end ends the others; so these speak of what
    went wrong in them alone.
    """
    text, code = explain(error)
    shown = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
    if isinstance(error, LeftError):
        time.sleep(2 * TURN)  # the one that has ended speaks before
    if not ranks.is_first():
        if code != INTERRUPTED:
            time.sleep(TURN)
            print(f"genae: process {ranks.rank()} of {ranks.count()}: {shown}", file=sys.stderr)
    elif call.as_json and not call.answered:
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
