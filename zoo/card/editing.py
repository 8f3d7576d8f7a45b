"""Values of a card's text changed in place: comments and hand-written lines stay."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.card.toml import inline
from zoo.errors import UsageError
from zoo.hints import command

#: What a card states of a deprecated model, and what stands for it in a command.
DEPRECATED = {"status": "deprecated", "replaced_by": "OWNER/NAME", "reason": "REASON"}

#: The line that begins a table: `[data]` or `[[results]]`.
HEADER = re.compile(r"(?m)^[ \t]*\[\[?[ \t]*([\w.-]+)[ \t]*\]\]?[ \t]*(?:#.*)?$")
#: A list of results without any, which tables of results cannot follow.
NO_RESULTS = re.compile(r"(?m)^results[ \t]*=[ \t]*\[[ \t]*\][ \t]*\n?")


def deprecating(file: str, card: Mapping[str, Any]) -> str:
    """The command that states all that a card states of a deprecated model.

    Args:
        file: the card's.
        card: its tables, whose values are kept.
    """
    stated = [f"{key}={card.get(key, word)}" for key, word in DEPRECATED.items()]
    words = [word for one in stated for word in ("--set", one)]
    return command("genae", "card", Path(file).parent, *words)


def with_value(text: str, key: str, value: Any, *, number: int = 0) -> str:
    """A card's text with one value changed, added or, for None, left out.

    Args:
        text: of the card.
        key: dotted, such as `license`, `source.license` or `results.value`.
        value: text, a number, a boolean, a list or a table; None removes the key.
        number: of the table, where there is a list of them, from 0.

    Raises:
        UsageError: the text is written in a way that cannot be changed in place.

    Example:
        >>> with_value('license = "mit"  # ours', "license", "cc0-1.0")
        'license = "cc0-1.0"  # ours'
    """
    if _parsed(text) is None:
        raise UsageError("the card is not valid TOML: correct it by hand.")
    table, _, name = key.rpartition(".")
    start, end = _section(text, table, number)
    section = text[start:end]
    line = re.compile(
        rf"(?m)^([ \t]*{re.escape(name)}[ \t]*=[ \t]*)"
        r"(\"(?:[^\"\\\n]|\\.)*\"|[^#\n]*?)([ \t]*(?:#.*)?)$"
    )
    if value is None:
        changed = re.sub(line.pattern + r"\n?", "", section, count=1)
    elif line.search(section):
        changed = line.sub(lambda found: f"{found[1]}{inline(value)}{found[3]}", section, count=1)
    else:
        body = section.rstrip()
        changed = f"{body}\n{name} = {inline(value)}" + (section[len(body) :] or "\n")
    new = text[:start] + changed + text[end:]
    if _parsed(new) != _expected(_parsed(text), table, name, value, number):
        raise UsageError(f"{key!r} is written over several lines: change it by hand.")
    return new


def with_results(text: str, blocks: str) -> str:
    """A card's text with more `[[results]]` at its end.

    Args:
        text: of the card.
        blocks: TOML, one table each.
    """
    return f"{NO_RESULTS.sub('', text).rstrip()}\n\n{blocks.strip()}\n"


def _section(text: str, table: str, number: int) -> tuple[int, int]:
    """Where the lines of a table begin and end.

    Raises:
        UsageError: no line begins this table.
    """
    headers = [(m[1], m.start(), m.end()) for m in HEADER.finditer(text)]
    if not table:
        return 0, headers[0][1] if headers else len(text)
    found = [place for place, header in enumerate(headers) if header[0] == table]
    if number >= len(found):
        raise UsageError(f"there is no [{table}] to change: write it by hand.")
    place = found[number]
    end = headers[place + 1][1] if place + 1 < len(headers) else len(text)
    return headers[place][2], end


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _expected(
    content: dict[str, Any] | None, table: str, name: str, value: Any, number: int
) -> Mapping[str, Any]:
    """What the changed text is to say."""
    place: Any = content
    for part in table.split(".") if table else ():
        place = place[part]
        place = place[number] if isinstance(place, list) else place
    place.pop(name, None)
    if value is not None:
        place[name] = value
    return content or {}
