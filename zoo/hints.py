"""Words for what a person may have meant, and for what to type next. Standard library only."""

import os
import re
import shlex
from collections.abc import Iterable

#: What no shell takes for anything but itself.
PLAIN = re.compile(r"[\w./:@+-][\w./:@+=-]*", re.ASCII)
#: Within double quotes sh reads these, cmd does not. A backslash seldom: Windows is full of them.
READ_BY_SH = frozenset('$`"!' if os.sep == "\\" else '$`"!\\')
#: Of a Python literal, what sh or cmd could read within double quotes.
ESCAPED = frozenset("'%$`\"!\\")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is alike."""
    import difflib  # not needed unless something went wrong

    table = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), table, n=1, cutoff=0.6)
    return table[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, else all of them; empty if none is known.

    Example:
        >>> did_you_mean("vea", ["ae", "vae", "eae"])
        "Did you mean 'vae'?"
        >>> did_you_mean("bert", ["vae", "eae"])
        "Known: 'vae', 'eae'."
    """
    words = list(known)
    if (match := nearest(name, words)) is not None:
        return f"Did you mean {match!r}?"
    return f"Known: {', '.join(map(repr, words))}." if words else ""


def quote(word: str | os.PathLike[str]) -> str:
    r"""A word of a command, to be pasted in sh and in cmd.

    cmd knows double quotes alone. What sh reads within them (`$`, a backtick, a backslash, `!`)
    has no form for both: such a word is right in sh.

    Args:
        word: text, or a path; a path that begins with a dash is written with its folder.

    Example:
        >>> quote("out/bert"), quote("my models/bert"), quote("it's")
        ('out/bert', '"my models/bert"', '"it\'s"')
    """
    text = os.fspath(word)
    if not isinstance(word, str):
        text = text.replace(os.sep, "/")
        text = f"./{text}" if text.startswith("-") else text
    if PLAIN.fullmatch(text):
        return text
    return shlex.quote(text) if READ_BY_SH & set(text) else f'"{text}"'


def command(*words: str | os.PathLike[str]) -> str:
    """A command line of words, each quoted where it must be.

    Example:
        >>> command("genae", "sample", "my models/vae", "-n", "64")
        'genae sample "my models/vae" -n 64'
    """
    return " ".join(map(quote, words))


def literal(text: str | os.PathLike[str]) -> str:
    r"""Text as Python's source has it, such that neither sh nor cmd reads a part within quotes.

    Example:
        >>> literal("out/bert"), literal("it's $5")
        ("'out/bert'", "'it\\x27s \\x245'")
    """
    name = os.fspath(text)
    name = name if isinstance(text, str) else name.replace(os.sep, "/")
    return "'" + "".join(map(_escaped, name)) + "'"


def _escaped(sign: str) -> str:
    if sign in ESCAPED:
        return f"\\x{ord(sign):02x}"
    return sign if sign.isprintable() else ascii(sign)[1:-1]


def python(*statements: str) -> str:
    """The command that runs a line of Python, in sh and in cmd.

    Args:
        *statements: without double quotes; texts in them by `literal`.
    """
    return f'python -c "{"; ".join(statements)}"'
