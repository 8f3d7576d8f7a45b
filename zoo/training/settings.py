"""`--set key=value`: settings in place of those of a card."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

from zoo import catalog
from zoo.card import Card, Data
from zoo.card.toml import setting as parsed
from zoo.errors import UsageError

#: Tables, in the order in which a bare key is looked up.
SETTABLE = ("train", "config", "data", "processor", "tokenizer")


def with_settings(card: Card, settings: Sequence[str]) -> Card:
    """The card with other settings, and without its results, which would no longer hold.

    Args:
        card: not changed, and returned if there are no settings.
        settings: `train.learning_rate=1e-3`, or a bare key, looked up in [train], [config],
            [data], [processor] and [tokenizer]; `train.rates.layer_decay=0.9` reaches a nested
            table. Values are TOML; anything else is text.

    Raises:
        UsageError: a setting is not `key=value`, names no table, or makes the card invalid.
    """
    if not settings:
        return card
    table = copy.deepcopy(card.to_dict())
    table.pop("results", None)
    for setting in settings:
        key, value = parsed(setting)
        *path, name = key.split(".")
        section, *inside = path or [_section_of(table, name)]
        if section not in SETTABLE:
            raise UsageError(
                f"--set {setting}: no table [{section}]; use one of {', '.join(SETTABLE)}"
            )
        place = table.setdefault(section, {})
        for part in inside:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {setting}: {part} is not a table; give it as a whole")
        place[name] = value
    return Card.of(table, card.path)


def _section_of(table: dict[str, Any], name: str) -> str:
    """The table of a bare key: the one that has it, else the one in which it would belong."""
    for section in SETTABLE:
        if name in table.get(section, {}):
            return section
    config = catalog.load(catalog.find(table["architecture"]).config)
    if name in field_names(config) - {"output_dir"}:
        return "config"
    return "data" if name in field_names(Data) else "train"


def field_names(kind: type) -> set[str]:
    """Names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(kind)}
