"""Kinds of values in a card: the test of each, and what it expects. Standard library only."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def is_text(value: Any) -> bool:
    """Text."""
    return isinstance(value, str)


def is_line(value: Any) -> bool:
    """One line of text that says something."""
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value


def is_texts(value: Any) -> bool:
    """A list of such lines."""
    return isinstance(value, list) and all(map(is_line, value))


def is_integer(value: Any) -> bool:
    """A whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """A whole number of at least 0."""
    return is_integer(value) and value >= 0


def is_number(value: Any) -> bool:
    """A finite number."""
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def is_magnitude(value: Any) -> bool:
    """A finite number of at least 0."""
    return is_number(value) and value >= 0


def is_table(value: Any) -> bool:
    """A table."""
    return isinstance(value, dict)


def is_hashes(value: Any) -> bool:
    """A table of SHA-256 sums."""
    return isinstance(value, dict) and all(map(matches(r"[0-9a-f]{64}"), value.values()))


def is_tables(value: Any) -> bool:
    """A list of tables."""
    return isinstance(value, list) and all(map(is_table, value))


def is_depths(value: Any) -> bool:
    """A depth, or several."""
    several = isinstance(value, list) and bool(value) and all(map(is_count, value))
    return is_count(value) or several


def is_positive(value: Any) -> bool:
    """A finite number above 0."""
    return is_number(value) and value > 0


def matches(pattern: str) -> Callable[[Any], bool]:
    """The test of text that a pattern describes as a whole."""
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII))


def one_of(values: tuple[str, ...]) -> Callable[[Any], bool]:
    """The test of a choice."""
    return lambda value: isinstance(value, str) and value in values


def some_of(values: tuple[str, ...]) -> Callable[[Any], bool]:
    """The test of several choices."""
    return lambda value: is_texts(value) and set(value) <= set(values)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the test its value must pass, what the test expects, whether the card needs it."""

    test: Callable[[Any], bool]
    expected: str
    required: bool = True


def optional(key: Key) -> Key:
    """The key, which a card need not have."""
    return Key(key.test, key.expected, required=False)


def choice(values: tuple[str, ...]) -> Key:
    """A key whose value is one of a few."""
    return Key(one_of(values), f"one of {', '.join(values)}")


TEXT = Key(is_text, "text")
LINE = Key(is_line, "one line of text")
TEXTS = Key(is_texts, "a list of lines of text")
NUMBER = Key(is_number, "a finite number")
INTEGER = Key(is_integer, "a whole number")
COUNT = Key(is_count, "a whole number of at least 0")
SIZE = Key(lambda value: is_count(value) and value > 0, "a whole number of at least 1")
SHARE = Key(lambda value: is_number(value) and 0 <= value < 1, "a number from 0, below 1")
MAGNITUDE = Key(is_magnitude, "a finite number of at least 0")
TABLE = Key(is_table, "a table")
HASHES = Key(is_hashes, "a table of file names and SHA-256 sums (64 hex digits)")
DATE = Key(matches(r"\d{4}-\d{2}-\d{2}"), 'a date in quotes, such as "2026-11-22"')
FACTOR = Key(is_positive, "a finite number above 0")
WEIGHTS = Key(
    lambda value: (
        value == "balanced"
        or (isinstance(value, dict) and bool(value) and all(map(is_positive, value.values())))
    ),
    '"balanced", or a table of numbers above 0 by the names of labels',
)
BOOLEAN = Key(lambda value: isinstance(value, bool), "true or false")
COMMIT = Key(matches(r"[0-9a-f]{40}"), "a commit (40 hex digits)")
