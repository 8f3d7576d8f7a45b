"""What a card may say: one table of keys per TOML table, and the check. Standard library only."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from unicodedata import category

from zoo.card.editing import deprecating
from zoo.card.keys import (
    BOOLEAN,
    COMMIT,
    COUNT,
    DATE,
    FACTOR,
    HASHES,
    LINE,
    MAGNITUDE,
    NUMBER,
    SHARE,
    SIZE,
    TABLE,
    TEXT,
    TEXTS,
    Key,
    choice,
    is_depths,
    is_integer,
    is_line,
    is_number,
    is_tables,
    is_texts,
    matches,
    optional,
    some_of,
)
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
FORMATS = ("tf-checkpoint", "keras-hdf5", "keras-zip", "safetensors")
TASKS = ("masked-lm", "causal-lm", "seq2seq", "classification", "tokens")  # of texts
TOKENIZERS = ("characters", "wordpiece", "bytes", "words")  # kinds that are trained from the data
OBJECTIVES = ("fgm", "pgd", "free", "virtual", "gradient-penalty", "r-drop")

CARD = {
    "schema": Key(lambda value: is_integer(value) and value == 1, "1"),
    "id": Key(lambda v: isinstance(v, str) and bool(ID.fullmatch(v)), "owner/name"),
    "version": Key(matches(r"\d{1,6}\.\d{1,6}\.\d{1,6}"), 'a version, such as "1.0.0"'),
    "architecture": LINE,
    "task": Key(matches(r"[a-z0-9]+(-[a-z0-9]+)*"), "a pipeline tag of the Hub"),
    "status": choice(STATUSES),
    "license": LINE,
    "summary": LINE,
    "papers": optional(TEXTS),
    "tags": optional(TEXTS),
    "language": optional(TEXTS),
    "base_model": optional(LINE),
    "intended_use": TEXT,
    "limits": TEXT,
    "replaced_by": optional(LINE),
    "reason": optional(TEXT),
    "config": optional(TABLE),
    "processor": optional(TABLE),
    "tokenizer": optional(TABLE),
    "data": optional(TABLE),
    "train": optional(TABLE),
    "results": Key(is_tables, "written [[results]], once per number", required=False),
    "source": optional(TABLE),
    "published": optional(TABLE),
}
#: Keys of [data] about images, and about texts.
OF_IMAGES = {
    "binarization": optional(choice(BINARIZATIONS)),
    "augmentations": Key(
        some_of(AUGMENTATIONS), f"a list with any of {', '.join(AUGMENTATIONS)}", required=False
    ),
    "num_views": optional(Key(lambda value: is_integer(value) and value in (1, 2), "1 or 2")),
}
OF_TEXTS = {
    "task": optional(choice(TASKS)),
    "columns": optional(TEXTS),
    "label": optional(LINE),
    "labels": optional(TEXTS),
    "max_length": optional(SIZE),
    "packing": optional(BOOLEAN),
    "mask_rate": optional(SHARE),
    "whole_words": optional(BOOLEAN),
    "group_by_length": optional(BOOLEAN),
    "streaming": optional(BOOLEAN),
    "paragraphs": optional(BOOLEAN),
}
DATA = {
    "dataset": LINE,
    "config": optional(LINE),
    "name": optional(LINE),
    "train_split": LINE,
    "validation_split": optional(LINE),
    "license": LINE,
    "sha256": optional(HASHES),
    **OF_IMAGES,
    **OF_TEXTS,
}
TOKENIZER = {
    "id": optional(LINE),
    "kind": optional(choice(TOKENIZERS)),
    "size": optional(SIZE),
    "lowercase": optional(BOOLEAN),
}
TRAIN = {  # the other keys are the training arguments', checked by building them
    "budget": optional(TABLE),
    "samplers": Key(
        some_of(SAMPLERS), f"a list with any of {', '.join(SAMPLERS)}", required=False
    ),
    "stored_as": optional(choice(STORED_AS)),
    "cuda_graph": optional(BOOLEAN),
    "rates": optional(TABLE),
    "gradients": Key(
        lambda value: is_tables(value) and all(is_line(item.get("op")) for item in value),
        "written [[train.gradients]], once per operation, each with its op",
        required=False,
    ),
    "ema": optional(TABLE),
    "adversarial": optional(TABLE),
    "lora": optional(TABLE),
    "start_from": optional(LINE),
}
RATES = {
    "layer_decay": Key(
        lambda value: is_number(value) and 0 < value <= 1, "a number above 0, at most 1", False
    ),
    "head": optional(FACTOR),
    "layers": optional(TEXTS),
    "rules": Key(is_tables, "written [[train.rates.rules]], once per rule", required=False),
}
RULE = {
    "pattern": optional(LINE),
    "type": optional(LINE),
    "depth": Key(is_depths, "a depth or a list of depths", required=False),
    "kind": optional(LINE),
    "scale": optional(FACTOR),
    "weight_decay": optional(MAGNITUDE),
    "freeze": optional(BOOLEAN),
}
EMA = {
    "decay": SHARE,
    "warm_up": optional(choice(WARM_UPS)),
    "saved": optional(choice(AVERAGES)),
}
ADVERSARIAL = {"kind": choice(OBJECTIVES)}  # the other keys are the objective's own
LORA = {
    "rank": SIZE,
    "alpha": optional(FACTOR),
    "dropout": optional(SHARE),
    "target_modules": Key(
        lambda value: value == "all-linear" or (is_texts(value) and bool(value)),
        'a list of names of layers, or "all-linear"',
        required=False,
    ),
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
    "options": optional(TABLE),
    "training": optional(TABLE),
    "measured": TABLE,
}
TRAINING = {"seeds": COUNT, "mean": NUMBER, "sd": MAGNITUDE}
MEASURED = {"date": DATE, "device": LINE, "genae": LINE}
SOURCE = {
    "format": choice(FORMATS),
    "family": LINE,
    "url": optional(LINE),
    "license": LINE,
    "files": HASHES,
    "options": optional(TABLE),
    "parity": optional(TABLE),
}
PARITY = {"outputs": TEXTS, "max_abs_error": MAGNITUDE, "atol": MAGNITUDE}
PUBLISHED = {"commit": COMMIT}

#: The next step of a card that lacks several things.
MEND = " `genae new` writes a card that has everything."
DEPRECATION = "a deprecated model states it"

#: Tables inside the card, by their path, with the keys they may hold.
NESTED: dict[str, Mapping[str, Key]] = {
    "data": DATA,
    "tokenizer": TOKENIZER,
    "train.budget": BUDGET,
    "train.rates": RATES,
    "train.ema": EMA,
    "train.lora": LORA,
    "source": SOURCE,
    "source.parity": PARITY,
    "published": PUBLISHED,
}
#: Every table of a card by its place, with its keys.
TABLES: dict[str, Mapping[str, Key]] = {
    "": CARD,
    **NESTED,
    "train": TRAIN,
    "train.rates.rules": RULE,
    "train.adversarial": ADVERSARIAL,
    "results": RESULT,
    "results.measured": MEASURED,
    "results.training": TRAINING,
}


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
        if "tokenizer" not in card and not start:
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


#: What a card may say of images alone, and of texts alone, by table.
IMAGES_ALONE = {"": ("processor",), "data": tuple(OF_IMAGES), "train": ("samplers", "cuda_graph")}
TEXTS_ALONE = {
    "": ("tokenizer",),
    "data": tuple(OF_TEXTS),
    "train": ("adversarial", "lora", "start_from"),
}


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
