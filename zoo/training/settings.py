"""`--set key=value`: settings in place of those of a card, checked without importing torch."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

from zoo.card import Card
from zoo.card.toml import setting as parsed
from zoo.errors import UsageError
from zoo.hints import command, nearest_names
from zoo.registry import embedded

from .known import known_settings

#: Tables, in the order in which a bare key is looked up.
SETTABLE = ("train", "config", "data", "processor", "tokenizer")
#: Settings of speed and of records; any other makes another model.
NEUTRAL = (
    *("data.sha256", "data.license", "train.budget", "train.cuda_graph", "train.use_cpu"),
    *("train.logging_*", "train.log_*", "train.report_to", "train.run_name", "train.project"),
    *("train.trackio_*", "train.disable_tqdm", "train.debug", "train.skip_memory_metrics"),
    *("train.save_strategy", "train.save_steps", "train.save_total_limit"),
    *("train.save_only_model", "train.save_on_each_node", "train.enable_jit_checkpoint"),
    *("train.dataloader_num_workers", "train.dataloader_pin_memory"),
    *("train.dataloader_persistent_workers", "train.dataloader_prefetch_factor"),
    *("train.dataloader_multiprocessing_context", "train.dataloader_in_order"),
    *("train.activation_checkpointing*", "train.gradient_checkpointing*"),
    *("train.torch_compile*", "train.torch_empty_cache_steps", "train.ddp_timeout", "train.fsdp*"),
)
#: What holds of one data set alone, and not of another one that is set in its place.
OF_DATA = ("sha256", "license", "config", "name")
NUM_NEAREST = 3


def is_neutral(key: str) -> bool:
    """Whether a setting, such as `train.logging_steps`, leaves the model what it is."""
    return any(fnmatch(key, pattern) for pattern in NEUTRAL)


def with_settings(card: Card, settings: Sequence[str]) -> Card:
    """The card with other settings, and without its results where they no longer hold.

    Args:
        card: not changed, and returned if there are no settings.
        settings: `train.learning_rate=1e-3`, or a bare key, looked up in [train], [config],
            [data], [processor] and [tokenizer]; `train.rates.layer_decay=0.9` reaches a nested
            table. Values are TOML; anything else is text.

    Raises:
        UsageError: a setting is not `key=value`, is not known, or makes the card invalid.
    """
    if not settings:
        return card
    before = card.to_dict()
    table = copy.deepcopy(before)
    known = known_settings(card)
    given = [_place(setting, table, known, card) for setting in settings]
    for setting, (section, path, value) in zip(settings, given, strict=True):
        place = table.setdefault(section, {})
        *inside, name = path
        for part in inside:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {setting}: {part} is not a table; give it as a whole")
        place[name] = value
    keys = [f"{section}.{path[0]}" for section, path, _ in given]
    if table.get("data", {}).get("dataset") != before.get("data", {}).get("dataset"):
        for name in (name for name in OF_DATA if f"data.{name}" not in keys):
            table["data"].pop(name, None)
        table["data"].setdefault("license", "unknown")
    if table != before and not all(map(is_neutral, keys)):
        table.pop("results", None)
    with blamed(card, settings):
        return Card.of(table, card.path)


def _place(
    setting: str, table: Mapping[str, Any], known: Mapping[str, Any], card: Card
) -> tuple[str, list[str], Any]:
    """The table of a setting, its path inside, and its value.

    Raises:
        UsageError: nothing has that name; the message has the nearest that something has.
    """
    key, value = parsed(setting)
    first, *path = key.split(".")
    if path and first in SETTABLE:
        sections = [first]
    elif path and first in known["train"]:  # rates.layer_decay
        sections, path = ["train"], [first, *path]
    else:
        path = [key]
        sections = [name for name in SETTABLE if key in table.get(name, {})] or list(SETTABLE)
    for section in sections:
        names = known[section]
        dotted = ".".join(path)
        free = path[0] in names and not any(name.startswith(f"{path[0]}.") for name in names)
        if dotted in names or free or (path[0] in table.get(section, {}) and not path[1:]):
            return section, path, value
    every = [f"{section}.{name}" for section in SETTABLE for name in known[section]]
    near = nearest_names(key, every, NUM_NEAREST)
    lists = command("genae", "train", name_of(card), "--settings")
    nearest = f" Nearest: {', '.join(near)}." if near else ""
    raise UsageError(f"--set {setting}: nothing is called {key}.{nearest} `{lists}` lists all.")


def name_of(card: Card) -> str:
    """What a command calls a card: the id of one that ships, else its file."""
    return card.id if card.path is None or embedded.owns(card.id) else str(card.path)


@contextmanager
def blamed(card: Card, settings: Sequence[str]) -> Iterator[None]:
    """Blame a setting that was typed, where a message names it, instead of the card's file."""
    try:
        yield
    except UsageError as error:
        text, place = str(error), f"{card.path}: "
        keys = {setting: parsed(setting)[0].rpartition(".")[2] for setting in settings}
        typed = [f"--set {setting}" for setting, key in keys.items() if key in text]
        if not (typed and text.startswith(place)):
            raise
        said = f"{' '.join(typed)}: {text.removeprefix(place)}"
        raise type(error)(said) from error


def field_names(kind: type) -> set[str]:
    """Names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(kind)}
