"""What a person says that a layer computes whose program nobody runs: `NAME=mean:axis=1`."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.layers.form import Layer
from convert.layers.kinds.operations import OPERATIONS
from convert.layers.spelling import ARGUMENTS, WORDS
from zoo.errors import UsageError
from zoo.hints import did_you_mean

#: Which of several tensors is meant, where an operation takes one.
WHICH = "input"
FIRST = ("sampling",)  # which mean the first where nothing is said


@dataclass
class Meaning:
    """An operation that stands for the program of a layer.

    Attributes:
        text: as it was given.
        operation: its name in the table.
        arguments: by name.
        layers: the layers that it was given to.
    """

    text: str
    operation: str
    arguments: dict[str, Any]
    layers: list[str] = field(default_factory=list)

    @property
    def which(self) -> int | None:
        """The place of the one tensor that is taken; nothing for all of them."""
        default = 0 if self.operation in FIRST else None
        return self.arguments.get(WHICH, default)


def parse(text: str) -> Meaning:
    """A meaning as it is written.

    Example:
        >>> parse("rescale:scale=1/255,offset=-0.5").arguments
        {'scale': 0.00392156862745098, 'offset': -0.5}
        >>> parse("slice:at=:,-1").arguments
        {'at': [[None, None, None], -1]}

    Raises:
        UsageError: there is no such operation, or an argument is not NAME=VALUE.
    """
    word, _, rest = text.partition(":")
    name = WORDS.get(word, word)
    if name not in OPERATIONS:
        raise UsageError(
            f"{word!r} is no operation that a layer can be said to be. "
            f"{did_you_mean(word, OPERATIONS)}"
        )
    arguments: dict[str, Any] = {}
    for part in re.split(r",(?=[A-Za-z_]\w*=)", rest) if rest else ():
        key, sign, value = part.partition("=")
        if not sign:
            raise UsageError(f"{text!r}: {part!r} is not NAME=VALUE, such as mean:axis=1")
        arguments[key] = _slices(value) if key == "at" else _value(value)
    which = arguments.get(WHICH)
    if which is not None and (type(which) is not int or which < 0):
        raise UsageError(f"{text!r}: {WHICH} is the number of a tensor, counted from 0")
    known = {*OPERATIONS[name].keys, WHICH}
    for key in arguments:
        if not known & {key, *ARGUMENTS.get(key, ())}:
            names = ", ".join(sorted(known - {"constants"}))
            raise UsageError(f"{text!r}: {name} has no argument {key}; it has {names}")
    return Meaning(text, name, arguments)


def _value(text: str) -> Any:
    """A number, a fraction, JSON, or a word."""
    if match := re.fullmatch(r"(-?[\d.]+)/([\d.]+)", text):
        try:
            return float(match[1]) / float(match[2])
        except (ValueError, ZeroDivisionError):
            return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _slices(text: str) -> list[Any]:
    """Slices as NumPy writes them: `:,0` or `:,1:3`; what is no number stays a word."""
    found: list[Any] = []
    for part in text.strip("[]").split(","):
        ends = [_value(end) if end.strip() else None for end in part.split(":")]
        found.append([*ends, None, None][:3] if len(ends) > 1 else ends[0])
    return found


@dataclass
class Meanings:
    """Meanings by the names of layers, which may be patterns."""

    given: dict[str, Meaning] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Meanings:
        """Read each one; errors as `parse`."""
        return cls({pattern: parse(text) for pattern, text in given.items()})

    def of(self, path: str, layer: Layer) -> Meaning | None:
        """What a layer is said to be: by its path, its name, its class or its function's name."""
        names = {path, layer.name, layer.kind, str(layer.options.get("function", path))}
        for pattern, meaning in self.given.items():
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                if path not in meaning.layers:
                    meaning.layers.append(path)
                return meaning
        return None

    def unused(self) -> list[str]:
        """Patterns that no layer has."""
        return [pattern for pattern, meaning in self.given.items() if not meaning.layers]
