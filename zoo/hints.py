"""Hints in messages: similar names, and commands to paste. Standard library only."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar

#: Text that no shell interprets.
PLAIN = re.compile(r"[\w./:@+-][\w./:@+=-]*", re.ASCII)
#: sh interprets these in double quotes, cmd does not. On Windows a backslash is left alone.
SPECIAL_IN_SH = frozenset('$`"!' if os.sep == "\\" else '$`"!\\')
#: Characters of a Python literal that sh or cmd could interpret in double quotes.
ESCAPED = frozenset("'%$`\"!\\")
#: How models were found in this call: name, then what else a command must say of it.
_FOUND: ContextVar[Mapping[str, tuple[str, str | None]] | None] = ContextVar(
    "genae_places", default=None
)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None if none is similar."""
    import difflib  # only needed once something went wrong

    table = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), table, n=1, cutoff=0.6)
    return table[found[0]] if found else None


def neighbor(path: str | os.PathLike[str]) -> str | None:
    """What lies beside a path that leads nowhere, under a similar name; None if nothing does."""
    folder, name = os.path.split(os.path.expanduser(path).rstrip("/"))
    try:
        near = nearest(name, os.listdir(folder or "."))
    except OSError:
        return None
    return near and os.path.join(folder, near)


def correction(path: str | os.PathLike[str]) -> str:
    """The next step for a path that leads nowhere, as the end of a sentence."""
    near = neighbor(path)
    return f"did you mean {near!r}?" if near else "check the name"


def nearest_names(name: str, known: Iterable[str], number: int) -> list[str]:
    """The known names closest to `name`, the closest first; dotted ones by their last part, too.

    Example:
        >>> nearest_names("latent_siz", ["train.seed", "config.latent_size"], 3)
        ['config.latent_size']
    """
    from difflib import SequenceMatcher

    def likeness(other: str) -> float:
        parts = {other, other.rpartition(".")[2]}
        return max(SequenceMatcher(None, name.lower(), part.lower()).ratio() for part in parts)

    ranked = sorted(((likeness(other), other) for other in known), key=lambda one: -one[0])
    return [other for ratio, other in ranked[:number] if ratio >= 0.5]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known name, else with all of them; empty if none is known.

    Example:
        >>> did_you_mean("vea", ["ae", "vae", "eae"])
        "Did you mean 'vae'?"
        >>> did_you_mean("bert", ["vae", "eae"])
        "Known: 'vae', 'eae'."
    """
    names = list(known)
    if (match := nearest(name, names)) is not None:
        return f"Did you mean {match!r}?"
    return f"Known: {', '.join(map(repr, names))}." if names else ""


def quote(argument: str | os.PathLike[str]) -> str:
    r"""Quote an argument of a command, to paste into sh or cmd.

    cmd knows only double quotes. An argument with a character that sh interprets in them (`$`, a
    backtick, a backslash, `!`) cannot be quoted for both, and is quoted for sh.

    Args:
        argument: text, or a path; a path that begins with a dash is written with its folder.

    Example:
        >>> quote("out/bert"), quote("my models/bert"), quote("it's")
        ('out/bert', '"my models/bert"', '"it\'s"')
    """
    text = os.fspath(argument)
    if not isinstance(argument, str):
        text = text.replace(os.sep, "/")
        text = f"./{text}" if text.startswith("-") else text
    if PLAIN.fullmatch(text):
        return text
    return shlex.quote(text) if SPECIAL_IN_SH & set(text) else f'"{text}"'


@contextlib.contextmanager
def found(models: Mapping[str, tuple[str, str | None]]) -> Iterator[None]:
    """Within it, commands that name one of these models say how it was found.

    Args:
        models: by the name that was given: the name with its version, and the place of `--from`,
            None without one.

    Example:
        >>> with found({"me/vae": ("me/vae@v1.0.0", "./models")}):
        ...     command("genae", "sample", "me/vae", "-n", "64")
        'genae sample me/vae@v1.0.0 --from ./models -n 64'
    """
    token = _FOUND.set(models)
    try:
        yield
    finally:
        _FOUND.reset(token)


def command(*arguments: str | os.PathLike[str]) -> str:
    """A command line, with every argument quoted if it needs to be.

    Example:
        >>> command("genae", "sample", "my models/vae", "-n", "64")
        'genae sample "my models/vae" -n 64'
    """
    words: list[str | os.PathLike[str]] = []
    for argument in arguments:
        known = (_FOUND.get() or {}).get(argument) if isinstance(argument, str) else None
        full, place = known or (argument, None)
        words.append(argument if "--revision" in arguments else full)
        if place is not None and "--from" not in (*words, *arguments):
            words += ["--from", place]
    return " ".join(map(quote, words))


def literal(text: str | os.PathLike[str]) -> str:
    r"""Text as a Python literal in which sh and cmd interpret nothing, inside double quotes.

    Example:
        >>> literal("out/bert"), literal("it's $5")
        ("'out/bert'", "'it\\x27s \\x245'")
    """
    name = os.fspath(text)
    name = name if isinstance(text, str) else name.replace(os.sep, "/")
    return "'" + "".join(map(_escaped, name)) + "'"


def _escaped(character: str) -> str:
    if character in ESCAPED:
        return f"\\x{ord(character):02x}"
    return character if character.isprintable() else ascii(character)[1:-1]


def python(*statements: str) -> str:
    """A command that runs a line of Python, in sh and in cmd.

    Args:
        *statements: without double quotes; write text in them with `literal`.
    """
    return f'python -c "{"; ".join(statements)}"'
