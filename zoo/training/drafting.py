"""What the first cards of images and of texts have in common."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.errors import NotFoundError, UsageError
from zoo.registry import embedded, load_card

from . import starts
from .known import config_fields
from .starts import Start

MAX_WARM_UP = 100  # steps


@dataclass(frozen=True)
class Draft:
    """The tables of a card that follow from data and architecture.

    Attributes:
        table: by name.
        notes: comments for single keys, by `table.key`, in place of their meanings.
        task: the Hub's tag.
    """

    table: dict[str, Any]
    notes: dict[str, str]
    task: str


def begun(start: Start, architecture: str) -> tuple[dict[str, Any], dict[str, Any], Card]:
    """[config] and [train] of a start, as far as they fit another data set, and its card."""
    card = load_card(f"{embedded.OWNER}/{start.card}")
    fields = config_fields(architecture)[0]
    config = {**card.config, **start.config}
    config = {
        name: value
        for name, value in config.items()
        if name in fields and name not in starts.OF_DATA
    }
    stated = card.train.to_dict()
    kept = {name: stated[name] for name in starts.KEPT if name in stated}
    return config, {**kept, **start.train}, card


def data_table(data: str, facts: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """The table [data], with a validation split where the data has one."""
    table = {"dataset": data, "train_split": "train"}
    if "validation" in facts.splits:
        table["validation_split"] = "validation"
    return {"data": {**table, "license": "unknown", **more}}


def split_note(size: str, splits: tuple[str, ...]) -> str:
    """How much there is to train on, and which splits there are besides."""
    others = f"; the data has {' and '.join(splits)}, too" if splits else ""
    return f"{size}{others}."


def power_of_two(number: float) -> int:
    """The largest power of two that is no larger; 1 for less."""
    return int(1 << max(0, int(number).bit_length() - 1))


@contextmanager
def reading(entry: catalog.Entry, what: str) -> Iterator[None]:
    """Say in errors of the data what the architecture reads."""
    try:
        yield
    except (UsageError, NotFoundError) as error:
        raise type(error)(f"{entry.name} reads {what}: {error}") from error
