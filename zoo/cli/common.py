"""Options that several verbs share, and which output goes to which stream.

Answers go to stdout; progress, hints and errors to stderr, so that answers can be piped.
"""

import json
import sys
from typing import Annotated, Any

import typer

from zoo.cli import calls
from zoo.errors import UsageError

MAX_LISTED = 10_000  # numbers of one range
UNITS = ((10**3, "kB"), (10**6, "MB"), (10**9, "GB"))

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress bars and hints.")]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Id such as genae/eae-mnist, or a folder; a folder wins.",
        autocompletion=lambda incomplete: complete_models(incomplete),
    ),
]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Ids such as genae/eae-mnist, or folders; a folder wins.",
        autocompletion=lambda incomplete: complete_models(incomplete),
    ),
]
Revision = Annotated[
    str | None,
    typer.Option("--revision", help="Version such as v1.0.0, branch, tag or commit."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="Device of the model: cpu, cuda, auto ...; the CPU if not given."
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="PLACE", help="Ask this registry alone; see `genae registry`."),
]


def complete_models(incomplete: str) -> list[str]:
    """The ids that begin with the typed text, for the shell's completion."""
    from zoo.registry import embedded

    ids = [f"{embedded.OWNER}/{folder.name}" for folder in embedded.folders()]
    return [name for name in ids if name.startswith(incomplete)]


def whole_numbers(option: str, text: str) -> list[int]:
    """The numbers that a list such as 3, 0,2 or 0-9 names, in its order.

    Raises:
        UsageError: it is no such list, or names very many.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            raise UsageError(f"{option} {text!r}: write 3, 0,2 or 0-9")
        low, high = int(first), int(last or first)
        if not low <= high < low + MAX_LISTED:
            raise UsageError(
                f"{option} {text!r}: {part.strip()} must rise, by less than {MAX_LISTED}"
            )
        found += range(low, high + 1)
    return found


def print_json(value: Any) -> None:
    """Print the answer as JSON on stdout; paths and other objects become text."""
    calls.current().answered = True
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line for the user on stderr, unless quiet."""
    if not quiet:
        typer.echo(text, err=True)


def hint(command: str, *, quiet: bool = False) -> None:
    """Print what to try next, `try: genae ...`, on stderr, unless quiet or answering in JSON."""
    say(f"try: {command}", quiet=quiet or calls.current().as_json)


def console(*, width_if_piped: int = 160) -> Any:
    """A rich console on stdout that prints text as it is: no markup, no emoji, no added colours.

    Args:
        width_if_piped: columns where no terminal says how many there are.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else width_if_piped
    return Console(width=width, markup=False, emoji=False, highlight=False)


def size(number: int | None) -> str:
    """Bytes in readable units, powers of ten as for downloads.

    Example:
        >>> size(999), size(3_456_789), size(None)
        ('999 B', '3.5 MB', '-')
    """
    if number is None:
        return "-"
    if number < 1000:
        return f"{number} B"
    power, unit = next((p, u) for p, u in UNITS if number < 999.95 * p or u == UNITS[-1][1])
    return f"{number / power:.1f} {unit}"
