"""The call that is running: whether it answers in JSON, and its command with changes."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.hints import command


@dataclass
class Call:
    """One call of the command line.

    Attributes:
        as_json: whether `--json` was given.
        answered: whether a JSON answer stands on stdout, which has room for one.
        context: typer's context of the verb, once there is one.
        words: what was typed behind the verb.
    """

    as_json: bool = False
    answered: bool = False
    context: Any = None
    words: tuple[str, ...] = ()


_CURRENT: ContextVar[Call | None] = ContextVar("genae_call", default=None)


def begin(as_json: bool) -> Call:
    """A new call; whatever asks from now on is told of this one."""
    call = Call(as_json)
    _CURRENT.set(call)
    return call


def current() -> Call:
    """The call that is running; one that answers in text where functions are called directly."""
    return _CURRENT.get() or Call()


def again(verb: str | None = None, **changes: Any) -> str:
    """The command that is running, to be pasted, with all that was given.

    Args:
        verb: in place of its own.
        **changes: parameters of its function in place of what was given; None leaves one out.
    """
    context = current().context
    arguments: list[str | Path] = []
    options: list[str | Path] = []
    for parameter in context.command.params:
        name = parameter.name
        typed = context.get_parameter_source(name).name == "COMMANDLINE"
        value = changes.get(name, context.params[name] if typed else None)
        if value is None or name in ("as_json", "quiet"):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if parameter.param_type_name == "argument":
            arguments += values
        elif isinstance(value, bool):
            flags = parameter.opts if value else parameter.secondary_opts
            options += flags[:1]
        else:
            flag = max(parameter.opts, key=len)
            options += [word for one in values for word in (flag, _text(one))]
    return command("genae", verb or context.info_name, *arguments, *options)


def _text(value: Any) -> str | Path:
    return value if isinstance(value, Path) else str(value)
