"""What can be set of a card: every setting, its value, its default and what it means."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.card.meanings import MEANINGS
from zoo.card.schema import IMAGES_ALONE, TABLES, TEXTS_ALONE
from zoo.card.toml import inline

from . import declared
from .declared import Declared

#: Defaults of genae in place of those of transformers; a card's [train] wins.
DEFAULTS: dict[str, Any] = {
    "optim": "adamw_torch_fused",
    "dataloader_drop_last": True,  # an entropy or a batch norm of a small last batch misleads
    "logging_steps": 20,
    "logging_nan_inf_filter": False,
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "report_to": [],
    "log_level": "error",
    "remove_unused_columns": False,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}
ARGUMENTS = "transformers.training_args", "TrainingArguments"
PRETRAINED = "transformers.configuration_utils", "PreTrainedConfig"
#: What transformers reads of any configuration, though not every class declares it.
OF_EVERY_CONFIG = ("num_labels", "decoder_start_token_id")
#: What training fills in, and nobody sets.
FILLED = ("output_dir",)
#: Classes whose docstrings say what fields of transformers' configurations mean.
DESCRIBED = (
    ("zoo.models.text.configuration_text", "TextConfig"),
    ("zoo.models.text.configuration_t5", "GenaeT5Config"),
)


@dataclass(frozen=True)
class Setting:
    """One setting of a card.

    Attributes:
        name: in its table, with dots where it is in a table inside.
        value: what the card says, as TOML; empty if it says nothing.
        default: what holds otherwise; empty if nothing does.
        meaning: one line; empty where nothing is known.
    """

    name: str
    value: str
    default: str
    meaning: str


def known_settings(card: Card) -> dict[str, dict[str, Declared]]:
    """The names that `--set` takes, by table, with all that a configuration accepts."""
    config, others = config_fields(card.architecture)
    return {
        "train": _train(),
        "config": config | dict.fromkeys(others, Declared()),
        "data": _table("data"),
        "processor": processor_fields(),
        "tokenizer": _table("tokenizer"),
    }


@cache
def config_fields(architecture: str) -> tuple[dict[str, Declared], list[str]]:
    """The fields of an architecture's configuration, and what else it accepts by name."""
    entry = catalog.find(architecture)
    module, name = config_source(entry)
    try:
        fields = declared.fields_of(module, name)
        others = list(declared.aliases_of(module, name))
    except LookupError:  # a class that has no source, or not where its module says
        kind = catalog.load(entry.config)
        fields = {each: Declared() for each in kind.__dataclass_fields__}
        others = list(kind.attribute_map)
    described: dict[str, Declared] = {}
    if entry.reads == "texts":
        for source in DESCRIBED:
            described |= declared.fields_of(*source)
    fields = {
        name: Declared(known.default, known.meaning or described.get(name, known).meaning)
        for name, known in fields.items()
    }
    inherited = declared.fields_of(*PRETRAINED)
    heads = ["heads"] if entry.reads == "texts" and "heads" not in fields else []
    return fields, [*others, *inherited, *OF_EVERY_CONFIG, *heads]


def config_source(entry: catalog.Entry) -> tuple[str, str]:
    """The module in which a configuration is written, and its class."""
    module, _, name = entry.config.partition(":")
    if module == "transformers":
        module = f"transformers.models.{entry.model_type}.configuration_{entry.model_type}"
    return module, name


def processor_fields() -> dict[str, Declared]:
    """The fields of the image processor."""
    module, _, name = catalog.PROCESSOR.partition(":")
    return declared.arguments_of(module, name)


def _train() -> dict[str, Declared]:
    """Training arguments, and genae's own keys with those of the tables inside."""
    arguments = declared.fields_of(*ARGUMENTS)
    own = {
        name: Declared(repr(DEFAULTS[name]) if name in DEFAULTS else known.default, known.meaning)
        for name, known in arguments.items()
        if name not in FILLED
    }
    return own | _table("train")


def _table(place: str) -> dict[str, Declared]:
    """The keys of one of the card's tables, and of the tables inside it."""
    found: dict[str, Declared] = {}
    for name in TABLES[place]:
        inside = f"{place}.{name}"
        if inside in TABLES:
            found |= {f"{name}.{key}": known for key, known in _table(inside).items()}
        found[name] = Declared("", f"{MEANINGS[place][name]} {_expected(place, name)}".strip())
    return found


def _expected(place: str, name: str) -> str:
    """The choices of a key that has some."""
    expected = TABLES[place][name].expected
    chosen = expected.startswith("one of ") or "any of " in expected
    return f"{expected[0].upper()}{expected[1:]}." if chosen else ""


def list_settings(card: Card) -> dict[str, list[Setting]]:
    """Every setting that a card of its kind has, by table; those that the card states first.

    Args:
        card: with [data] and [train], of images or of texts.
    """
    of_texts = card.data is not None and card.data.task is not None
    foreign = IMAGES_ALONE if of_texts else TEXTS_ALONE
    known = known_settings(card)
    known["config"] = config_fields(card.architecture)[0]
    table = card.to_dict()
    found = {}
    for section, names in known.items():
        if section not in foreign[""]:
            others = foreign.get(section, ())
            fitting = {name: one for name, one in names.items() if _first(name) not in others}
            rows = _settings(table.get(section, {}), fitting)
            found[section] = sorted(rows, key=lambda each: not each.value)
    return found


def _first(name: str) -> str:
    """The key of the table in which a dotted setting is."""
    return name.partition(".")[0]


def _settings(stated: dict[str, Any], known: dict[str, Declared]) -> Iterator[Setting]:
    flat = dict(_flat(stated, known))
    for name in [*known, *(name for name in flat if name not in known)]:
        if not any(other.startswith(f"{name}.") for other in known) or name in flat:
            one = known.get(name, Declared())
            value = inline(flat[name]) if name in flat else ""
            yield Setting(name, value, _as_toml(one.default), one.meaning)


def _as_toml(default: str) -> str:
    """A default as a card would say it; empty for None, which a card does not say."""
    try:
        value = ast.literal_eval(default)
    except (ValueError, SyntaxError):  # a name, or nothing
        return default
    return "" if value is None else inline(value)


def _flat(table: dict[str, Any], known: dict[str, Declared], inside: str = "") -> Any:
    """The values of a table by dotted name, as far as names are known."""
    for key, value in table.items():
        name = f"{inside}{key}"
        if isinstance(value, dict) and any(other.startswith(f"{name}.") for other in known):
            yield from _flat(value, known, f"{name}.")
        else:
            yield name, value
