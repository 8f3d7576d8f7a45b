"""What a card may say: one table of keys per TOML table, and the check. Standard library only."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import category

from zoo.errors import UsageError
from zoo.hints import did_you_mean

ID = re.compile(r"[A-Za-z0-9][\w.-]{0,62}/[A-Za-z0-9][\w.-]{0,62}", re.ASCII)
STATUSES = ("recipe", "fixture", "experimental", "stable", "deprecated")
# What follows stands in tables of `zoo.data`, `zoo.models` and `convert` as well, which need torch
# or numpy to be read: `tests/house/test_cards.py` compares them.
BINARIZATIONS = ("none", "stochastic", "threshold")
AUGMENTATIONS = ("shift", "crop", "flip", "color", "gray")
SAMPLERS = ("gaussian", "mixture")
STORED_AS = ("float32", "float16")
WARM_UPS = ("none", "unbiased", "slow")  # of an average of weights
AVERAGES = ("instead", "beside")  # where an average of weights is saved
FORMATS = ("tf-checkpoint", "keras-hdf5", "keras-zip")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _line(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_line, value))


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return _integer(value) and value >= 0


def _number(value: Any) -> bool:
    return _integer(value) or (isinstance(value, float) and math.isfinite(value))


def _magnitude(value: Any) -> bool:
    return _number(value) and value >= 0


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_matches(r"[0-9a-f]{64}"), value.values()))


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(map(_table, value))


def _depths(value: Any) -> bool:
    return _count(value) or (isinstance(value, list) and bool(value) and all(map(_count, value)))


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value, re.ASCII))


def _one_of(values: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in values


def _some_of(values: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: _texts(value) and set(value) <= set(values)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the test its value must pass, what the test expects, whether the card needs it."""

    test: Callable[[Any], bool]
    expected: str
    required: bool = True


def _optional(key: Key) -> Key:
    return Key(key.test, key.expected, required=False)


def _choice(values: tuple[str, ...]) -> Key:
    return Key(_one_of(values), f"one of {', '.join(values)}")


TEXT = Key(_text, "text")
LINE = Key(_line, "one line of text")
TEXTS = Key(_texts, "a list of lines of text")
NUMBER = Key(_number, "a finite number")
INTEGER = Key(_integer, "a whole number")
COUNT = Key(_count, "a whole number of at least 0")
MAGNITUDE = Key(_magnitude, "a finite number of at least 0")
TABLE = Key(_table, "a table")
HASHES = Key(_hashes, "a table of file names and SHA-256 sums (64 hex digits)")
DATE = Key(_matches(r"\d{4}-\d{2}-\d{2}"), 'a date in quotes, such as "2026-11-22"')
FACTOR = Key(_positive, "a finite number above 0")
BOOLEAN = Key(lambda value: isinstance(value, bool), "true or false")
COMMIT = Key(_matches(r"[0-9a-f]{40}"), "a commit (40 hex digits)")

CARD = {
    "schema": Key(lambda value: _integer(value) and value == 1, "1"),
    "id": Key(lambda v: isinstance(v, str) and bool(ID.fullmatch(v)), "owner/name"),
    "version": Key(_matches(r"\d{1,6}\.\d{1,6}\.\d{1,6}"), 'a version, such as "1.0.0"'),
    "architecture": LINE,
    "task": Key(_matches(r"[a-z0-9]+(-[a-z0-9]+)*"), "a pipeline tag of the Hub"),
    "status": _choice(STATUSES),
    "license": LINE,
    "summary": LINE,
    "papers": _optional(TEXTS),
    "tags": _optional(TEXTS),
    "language": _optional(TEXTS),
    "intended_use": TEXT,
    "limits": TEXT,
    "replaced_by": _optional(LINE),
    "reason": _optional(TEXT),
    "config": _optional(TABLE),
    "processor": _optional(TABLE),
    "data": _optional(TABLE),
    "train": _optional(TABLE),
    "results": Key(_tables, "written [[results]], once per number", required=False),
    "source": _optional(TABLE),
    "published": _optional(TABLE),
}
DATA = {
    "dataset": LINE,
    "config": _optional(LINE),
    "name": _optional(LINE),
    "train_split": LINE,
    "validation_split": _optional(LINE),
    "license": LINE,
    "binarization": _optional(_choice(BINARIZATIONS)),
    "augmentations": Key(
        _some_of(AUGMENTATIONS), f"a list with any of {', '.join(AUGMENTATIONS)}", required=False
    ),
    "num_views": _optional(Key(lambda value: _integer(value) and value in (1, 2), "1 or 2")),
    "sha256": _optional(HASHES),
}
TRAIN = {  # the other keys are the training arguments', checked by building them
    "budget": _optional(TABLE),
    "samplers": Key(
        _some_of(SAMPLERS), f"a list with any of {', '.join(SAMPLERS)}", required=False
    ),
    "stored_as": _optional(_choice(STORED_AS)),
    "cuda_graph": _optional(BOOLEAN),
    "rates": _optional(TABLE),
    "gradients": Key(
        lambda value: _tables(value) and all(_line(item.get("op")) for item in value),
        "written [[train.gradients]], once per operation, each with its op",
        required=False,
    ),
    "ema": _optional(TABLE),
}
RATES = {
    "layer_decay": Key(
        lambda value: _number(value) and 0 < value <= 1, "a number above 0, at most 1", False
    ),
    "head": _optional(FACTOR),
    "layers": _optional(TEXTS),
    "rules": Key(_tables, "written [[train.rates.rules]], once per rule", required=False),
}
RULE = {
    "pattern": _optional(LINE),
    "type": _optional(LINE),
    "depth": Key(_depths, "a depth or a list of depths", required=False),
    "kind": _optional(LINE),
    "scale": _optional(FACTOR),
    "weight_decay": _optional(MAGNITUDE),
    "freeze": _optional(BOOLEAN),
}
EMA = {
    "decay": Key(lambda value: _number(value) and 0 <= value < 1, "a number from 0, below 1"),
    "warm_up": _optional(_choice(WARM_UPS)),
    "saved": _optional(_choice(AVERAGES)),
}
BUDGET = {"device": LINE, "minutes": MAGNITUDE}
RESULT = {
    "dataset": LINE,
    "split": LINE,
    "metric": LINE,
    "unit": LINE,
    "value": NUMBER,
    "tolerance": MAGNITUDE,
    "seed": COUNT,
    "protocol": LINE,
    "options": _optional(TABLE),
    "training": _optional(TABLE),
    "measured": TABLE,
}
TRAINING = {"seeds": COUNT, "mean": NUMBER, "sd": MAGNITUDE}
MEASURED = {"date": DATE, "device": LINE, "genae": LINE}
SOURCE = {
    "format": _choice(FORMATS),
    "family": LINE,
    "url": LINE,
    "license": LINE,
    "files": HASHES,
    "options": _optional(TABLE),
    "parity": _optional(TABLE),
}
PARITY = {"outputs": TEXTS, "max_abs_error": MAGNITUDE, "atol": MAGNITUDE}
PUBLISHED = {"commit": COMMIT}

#: Tables inside the card, by their path, with the keys they may hold.
NESTED: dict[str, Mapping[str, Key]] = {
    "data": DATA,
    "train.budget": BUDGET,
    "train.rates": RATES,
    "train.ema": EMA,
    "source": SOURCE,
    "source.parity": PARITY,
    "published": PUBLISHED,
}


def check(table: Mapping[str, Any], keys: Mapping[str, Key], file: str, place: str = "") -> None:
    """Compare one TOML table with its keys.

    Args:
        table: the parsed table.
        keys: what it may and must hold.
        file: the card's name, for the message.
        place: the table's own name, such as `[data]`; empty at the top.

    Raises:
        UsageError: an unknown key, a missing key or a wrong value; names the file, the key, and
            for an unknown key the nearest known one.
    """
    where = f" in {place}" if place else ""
    for name in table:
        if name not in keys:
            hint = did_you_mean(name, keys)
            raise UsageError(f"{file}: unknown key {name!r}{where}. {hint}")
    for name, key in keys.items():
        if name not in table:
            if key.required:
                near = [word for word in table if word not in keys]
                raise UsageError(
                    f"{file}: missing key {name!r}{where}: {key.expected}."
                    + (f" {did_you_mean(name, near)}" if near else "")
                )
        elif not key.test(table[name]):
            raise UsageError(
                f"{file}: {name!r}{where} must be {key.expected}, not {_shown(table[name])}."
            )


def check_card(card: Mapping[str, Any], file: str) -> None:
    """Check every table of a card, the rules between its keys, and that all text is printable.

    Raises:
        UsageError: as `check`; the first thing wrong is reported.
    """
    _check_values(card, file)
    check(card, CARD, file)
    for path, keys in NESTED.items():
        table: Any = card
        for part in path.split("."):
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict):
            check(table, keys, file, f"[{path}]")
        elif table is not None:
            raise UsageError(f"{file}: [{path}] must be a table, not {_shown(table)}.")
    train = card.get("train", {})
    check({name: train[name] for name in TRAIN if name in train}, TRAIN, file, "[train]")
    for number, rule in enumerate(train.get("rates", {}).get("rules", []), start=1):
        check(rule, RULE, file, f"[[train.rates.rules]] number {number}")
    for number, result in enumerate(card.get("results", []), start=1):
        place = f"[[results]] number {number}"
        check(result, RESULT, file, place)
        check(result["measured"], MEASURED, file, f"measured of {place}")
        if "training" in result:
            check(result["training"], TRAINING, file, f"training of {place}")
    _check_together(card, file)


def _check_together(card: Mapping[str, Any], file: str) -> None:
    """The rules that concern more than one key."""
    made = [name for name in ("config", "data", "train") if name in card]
    if "source" in card and "train" in card:
        raise UsageError(f"{file}: a card has [source] or [train], not both.")
    if "source" not in card and len(made) < 3:
        missing = next(name for name in ("config", "data", "train") if name not in card)
        raise UsageError(f"{file}: missing table [{missing}] (or [source] if it was converted).")
    if {"name", "config"} <= set(card.get("data", {})):
        raise UsageError(f"{file}: [data] has 'name' and 'config', two names of one setting.")
    if card["status"] == "deprecated":
        for name in ("replaced_by", "reason"):
            if name not in card:
                raise UsageError(f"{file}: missing key {name!r}: a deprecated model states it.")


def _check_values(value: Any, file: str, path: str = "", depth: int = 0) -> None:
    """Refuse control characters, which could drive a terminal, and TOML's dates and times."""
    if depth > 16:
        raise UsageError(f"{file}: {path} is nested more than 16 deep.")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_values(name, file, path or "a key", depth + 1)
            _check_values(inner, file, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner, file, path, depth + 1)
    elif isinstance(value, str):
        if not all(map(_visible, value)):
            raise UsageError(f"{file}: {path} has characters that cannot be printed: {value!r}.")
    elif not isinstance(value, int | float):
        raise UsageError(f"{file}: {path} must be written in quotes, not as {_shown(value)}.")


def _visible(character: str) -> bool:
    """Printable, or white space: Python calls the wide space of Chinese text unprintable."""
    return character.isprintable() or character in "\n\t" or category(character) == "Zs"


def _shown(value: Any) -> str:
    """A value in a message: short, whatever was written."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
