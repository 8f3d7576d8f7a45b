"""Tables as TOML: the one writer, since the standard library has only a reader."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from zoo.errors import UsageError

#: Where a comment begins, if its line is not longer.
COMMENT = 40


def dumps(table: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> str:
    """Write tables as TOML: scalars first, then `[tables]` and `[[lists of tables]]`.

    Args:
        table: text, numbers, booleans, lists and tables; deeper tables are written inline.
        notes: comments behind keys, by `key` or `table.key`.

    Returns:
        TOML text; `tomllib.loads` of it equals `table`.

    Example:
        >>> print(dumps({"id": "a/b", "train": {"learning_rate": 0.001}}), end="")
        id = "a/b"
        <BLANKLINE>
        [train]
        learning_rate = 0.001
    """
    notes = notes or {}

    def line(place: str, key: str, value: Any) -> str:
        text, note = f"{_key(key)} = {inline(value)}", notes.get(f"{place}{key}")
        return f"{text.ljust(COMMENT)} # {note}" if note else text

    lines = [line("", k, v) for k, v in table.items() if not _has_header(v)]
    for name, value in table.items():
        inside = f"{name}."
        if isinstance(value, Mapping):
            lines += ["", f"[{_key(name)}]"]
            lines += [line(inside, k, v) for k, v in value.items()]
        elif _has_header(value):
            for item in value:
                lines += ["", f"[[{_key(name)}]]"]
                lines += [line(inside, k, v) for k, v in item.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _has_header(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else quoted(name)


def setting(text: str) -> tuple[str, Any]:
    """A `key=value` of the command line; the value is TOML, anything else is text.

    Example:
        >>> setting("jump=[true, false]"), setting("mask = lower")
        (('jump', [True, False]), ('mask', 'lower'))

    Raises:
        UsageError: it is no `key=value`.
    """
    key, equals, value = text.partition("=")
    if not (equals and key.strip()):
        raise UsageError(f"--set takes key=value, got {text!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def inline(content: Any) -> str:
    """One value: text, a number, a boolean, a list or an inline table.

    Example:
        >>> inline({"sampler": "prior", "scales": [1, 2.5], "on": True})
        '{ sampler = "prior", scales = [1, 2.5], on = true }'
    """
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, Mapping):
        inside = ", ".join(f"{_key(k)} = {inline(v)}" for k, v in content.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(content, list | tuple):
        return f"[{', '.join(map(inline, content))}]"
    if isinstance(content, int | float):
        return repr(content)
    return quoted(str(content))


def quoted(text: str) -> str:
    """Text in double quotes, in the escapes that JSON, TOML and YAML share."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
