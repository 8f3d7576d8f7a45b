"""Whether a card says what it may, of every table and between them. Standard library only."""

from collections.abc import Iterable, Mapping
from typing import Any
from unicodedata import category

from zoo.card.editing import deprecating
from zoo.card.keys import Key
from zoo.card.schema import (
    ADVERSARIAL,
    CARD,
    IMAGES_ALONE,
    MEASURED,
    NESTED,
    RESULT,
    RULE,
    TASKS,
    TEXTS_ALONE,
    TRAIN,
    TRAINING,
)
from zoo.errors import UsageError
from zoo.hints import did_you_mean

#: The next step of a card that lacks several things.
MEND = " `genae new` writes a card that has everything."
DEPRECATION = "a deprecated model states it"


def check(
    table: Mapping[str, Any], keys: Mapping[str, Key], file: str, place: str = ""
) -> list[str]:
    """Compare one TOML table with its keys.

    Args:
        table: the parsed table.
        keys: what it may and must hold.
        file: the card's name, for the message.
        place: the table's own name, such as `[data]`; empty at the top.

    Returns:
        What is missing: the name of each such key, and what it expects.

    Raises:
        UsageError: an unknown key or a wrong value; names the file, the key, and for an unknown
            key the nearest known one.
    """
    where = f" in {place}" if place else ""
    for name in table:
        if name not in keys:
            hint = did_you_mean(name, keys)
            raise UsageError(f"{file}: unknown key {name!r}{where}. {hint}")
    for name, value in table.items():
        if not keys[name].test(value):
            raise UsageError(
                f"{file}: {name!r}{where} must be {keys[name].expected}, not {_shown(value)}."
            )
    return [
        f"key {name!r}{where} ({key.expected})"
        for name, key in keys.items()
        if key.required and name not in table
    ]


def check_card(card: Mapping[str, Any], file: str) -> None:
    """Check every table of a card, the rules between its keys, and that all text is printable.

    Raises:
        UsageError: as `check`; of what is wrong the first, of what is missing all.
    """
    _check_values(card, file)
    missing = check(card, CARD, file)
    for path, keys in NESTED.items():
        table: Any = card
        for part in path.split("."):
            table = table.get(part) if isinstance(table, dict) else None
        if isinstance(table, dict):
            missing += check(table, keys, file, f"[{path}]")
        elif table is not None:
            raise UsageError(f"{file}: [{path}] must be a table, not {_shown(table)}.")
    train = card.get("train", {})
    missing += check(_only(train, TRAIN), TRAIN, file, "[train]")
    if "adversarial" in train:
        attack = _only(train["adversarial"], ADVERSARIAL)
        missing += check(attack, ADVERSARIAL, file, "[train.adversarial]")
    for number, rule in enumerate(train.get("rates", {}).get("rules", []), start=1):
        missing += check(rule, RULE, file, f"[[train.rates.rules]] number {number}")
    for number, result in enumerate(card.get("results", []), start=1):
        place = f"[[results]] number {number}"
        missing += check(result, RESULT, file, place)
        for name, keys in (("measured", MEASURED), ("training", TRAINING)):
            if name in result:
                missing += check(result[name], keys, file, f"{name} of {place}")
    if missing := [*missing, *_missing_together(card)]:
        mend = MEND if missing[1:] else ""
        if all(DEPRECATION in one for one in missing):
            mend = f" `{deprecating(file, card)}` states it."
        raise UsageError(f"{file}: missing {', '.join(missing)}.{mend}")
    _check_together(card, file)


def _only(table: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The entries of a table that have one of the names."""
    return {name: table[name] for name in names if name in table}


def _missing_together(card: Mapping[str, Any]) -> list[str]:
    """What other keys ask for."""
    missing = []
    start = "start_from" in card.get("train", {})
    if "source" not in card:
        tables = ("data", "train") if start else ("config", "data", "train")
        missing += [f"table [{name}]" for name in tables if name not in card]
        missing[-1:] = [f"{last} (or [source] if it was converted)" for last in missing[-1:]]
    if card.get("status") == "deprecated":
        wanted = [name for name in ("replaced_by", "reason") if name not in card]
        missing += [f"key {name!r} ({DEPRECATION})" for name in wanted]
    if card.get("data", {}).get("task"):
        if "tokenizer" not in card and not start and "source" not in card:
            missing.append(
                "table [tokenizer] (the id or folder of one, or the kind and size of one to be "
                "trained from the data)"
            )
        elif "kind" in card.get("tokenizer", {}) and "size" not in card["tokenizer"]:
            missing.append("key 'size' in [tokenizer] (the number of its tokens)")
    return missing


def _check_together(card: Mapping[str, Any], file: str) -> None:
    """The rules that concern more than one key."""
    if "source" in card and "train" in card:
        raise UsageError(f"{file}: a card has [source] or [train], not both.")
    if {"name", "config"} <= set(card.get("data", {})):
        raise UsageError(f"{file}: [data] has 'name' and 'config', two names of one setting.")
    _check_material(card, file)


def _check_material(card: Mapping[str, Any], file: str) -> None:
    """Keys of images and of texts do not mix; a `task` in [data] makes it a card of texts."""
    task = card.get("data", {}).get("task")
    wrong = IMAGES_ALONE if task else TEXTS_ALONE
    for place, names in wrong.items():
        for name in names:
            if name in (card.get(place, {}) if place else card):
                said = f"[{name}]" if not place else f"{name!r} in [{place}]"
                why = (
                    f"is about images, and task {task!r} in [data] makes this a card of texts"
                    if task
                    else f"is about texts; [data] needs a task: one of {', '.join(TASKS)}"
                )
                raise UsageError(f"{file}: {said} {why}.")
    if not task or "tokenizer" not in card:
        return
    table = card["tokenizer"]
    if "kind" in table and "start_from" in card.get("train", {}):
        raise UsageError(
            f"{file}: 'kind' in [tokenizer] makes new tokens, and 'start_from' in [train] names a "
            "model that knows its own alone; leave [tokenizer] out."
        )
    if ("id" in table) == ("kind" in table):
        raise UsageError(f"{file}: [tokenizer] has an 'id', or the 'kind' of one to be trained.")
    for name in ("size", "lowercase"):
        if name in table and "id" in table:
            raise UsageError(
                f"{file}: {name!r} in [tokenizer] is of one that is trained, no 'id'."
            )


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
