"""From a card to the objects that training needs, each checked by building it."""

import copy
import dataclasses
import math
import tomllib
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, TrainingArguments
from transformers.utils.import_utils import is_torch_tf32_available

from zoo import catalog
from zoo.card import Card, Data
from zoo.errors import UsageError
from zoo.hints import did_you_mean
from zoo.models.images.image_processing_genae import GenaeImageProcessor, GenaeImagesKwargs

# What genae prefers to transformers' defaults; a card's [train] wins.
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
# Least values of what transformers would only stumble over in the middle of a run.
LEAST: dict[str, tuple[Any, float]] = {
    "per_device_train_batch_size": (int, 1),
    "gradient_accumulation_steps": (int, 1),
    "num_train_epochs": ((int, float), 0),
    "max_steps": (int, -1),
    "seed": (int, 0),
    "learning_rate": ((int, float), 0),
    "warmup_steps": ((int, float), 0),
    "max_grad_norm": ((int, float), 0),
}
SETTABLE = ("train", "config", "data", "processor")  # tables, in the order a bare key is looked up


@dataclass(frozen=True)
class Recipe:
    """A card ready to be trained: everything it names exists and accepts what it says."""

    card: Card
    config: PreTrainedConfig
    processor: GenaeImageProcessor
    arguments: dict[str, Any]

    @property
    def binarization(self) -> str:
        """How the card's images are binarised."""
        return "none" if self.card.data is None else self.card.data.binarization

    def training_arguments(self, output_dir: Path) -> TrainingArguments:
        """The Trainer's arguments with checkpoints under a folder."""
        # A GPU computes convolutions in TF32 unasked; matrix products then, too.
        precision = {"tf32": True} if is_torch_tf32_available() else {}
        return TrainingArguments(output_dir=str(output_dir), **{**precision, **self.arguments})


def known_fields(kind: type) -> set[str]:
    """Names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(kind)}


def build_config(card: Card) -> PreTrainedConfig:
    """The architecture's config from a card's [config] table.

    Raises:
        UsageError: naming the card, the key and the nearest known one, or what was refused.
    """
    config_class = catalog.load(catalog.find(card.architecture).config)
    known = known_fields(config_class) | {"num_labels"}
    for key in card.config:
        if key not in known:
            raise UsageError(
                f"{card.path}: [config] {key} is no setting of {config_class.__name__}. "
                f"{did_you_mean(key, known)}"
            )
    try:
        return config_class(**card.config)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise UsageError(f"{card.path}: [config] {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def build_recipe(card: Card) -> Recipe:
    """Check a card by building its config, image processor and training arguments.

    Raises:
        UsageError: naming the card, the table and the key.
    """
    if card.data is None:
        raise UsageError(f"{card.path}: has no [data] to train on; a converted model has none")
    known = known_fields(TrainingArguments) - {"output_dir"}
    for key in card.train:
        if key not in known:
            raise UsageError(
                f"{card.path}: [train] {key} is no training argument. {did_you_mean(key, known)}"
            )
        check_argument(card, key)
    for key in card.processor:
        if key not in GenaeImagesKwargs.__annotations__:
            raise UsageError(
                f"{card.path}: [processor] {key} is no field of the image processor. "
                f"{did_you_mean(key, GenaeImagesKwargs.__annotations__)}"
            )
    if card.train.get("num_train_epochs") == 0 and card.train.get("max_steps", -1) < 1:
        raise UsageError(
            f"{card.path}: [train] num_train_epochs = 0 trains nothing; set it to 1 or more, or "
            "set max_steps"
        )
    config = build_config(card)
    arguments = {**DEFAULTS, **card.train}
    try:
        processor = GenaeImageProcessor(**card.processor)
        TrainingArguments(output_dir="unused", **arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{card.path}: {one_line(error)}") from error
    model_class = catalog.load(catalog.find(card.architecture).model)
    if card.data.num_views > 1 and "other_view" not in signature(model_class.forward).parameters:
        raise UsageError(
            f"{card.path}: [data] num_views {card.data.num_views}: {model_class.__name__} takes "
            "one view of each image; leave it out"
        )
    made = {"image_size": processor.output_size, "num_channels": processor.num_channels}
    for field, value in made.items():
        if value != getattr(config, field):
            raise UsageError(
                f"{card.path}: the processor makes images of {field} {value}, the config's "
                f"{field} is {getattr(config, field)}; make them equal"
            )
    return Recipe(card, config, processor, arguments)


def check_argument(card: Card, key: str) -> None:
    """Raise `UsageError` for a training argument of a wrong type or below its least value."""
    if key not in LEAST:
        return
    kind, least = LEAST[key]
    value: Any = card.train[key]
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= least):
        raise UsageError(
            f"{card.path}: [train] {key} must be a number of at least {least:g}, got {value!r}"
        )


def override(table: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """A card's parsed TOML with `key=value` settings put in.

    Args:
        table: the whole card.
        settings: `train.learning_rate=1e-3`, or a bare key, looked up in [train], [config],
            [data] and [processor]; values as TOML writes them, bare words as text.

    Raises:
        UsageError: for a setting that is not `key=value` or names no table.
    """
    table = copy.deepcopy(table)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (equals and key.strip()):
            raise UsageError(f"--set takes key=value, got {setting!r}")
        section, _, name = key.strip().rpartition(".")
        section = section or next(
            (each for each in SETTABLE if name in table.get(each, {})), home_of(table, name)
        )
        if section not in SETTABLE:
            raise UsageError(
                f"--set {setting}: no table [{section}]; use one of {', '.join(SETTABLE)}"
            )
        table.setdefault(section, {})[name] = toml_value(text.strip())
    return table


def home_of(table: dict[str, Any], name: str) -> str:
    """The table in which a key that the card does not set would belong."""
    entry = catalog.ARCHITECTURES.get(table.get("architecture", ""))
    if entry and name in known_fields(catalog.load(entry.config)) - {"output_dir"}:
        return "config"
    return "data" if name in known_fields(Data) else "train"


def toml_value(text: str) -> Any:
    """A value as TOML writes it; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
