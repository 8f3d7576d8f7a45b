"""What any card needs for training, each part checked by building it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, TrainingArguments
from transformers.utils.import_utils import is_torch_tf32_available

from zoo import catalog
from zoo.card import Card, Data
from zoo.card.schema import TRAIN
from zoo.data.sources import beside
from zoo.errors import UsageError
from zoo.hints import did_you_mean

from . import best, fsdp, processes
from .gradients import order
from .gradients.accumulation import Accumulate
from .gradients.chain import Chain
from .gradients.clipping import ClipGlobalNorm
from .gradients.operations import build_operations
from .gradients.transform import Transform
from .known import DEFAULTS
from .material import Material
from .settings import field_names

# Minimum values that transformers does not check before the middle of a run.
MIN_VALUES: dict[str, tuple[Any, float]] = {
    "per_device_train_batch_size": (int, 1),
    "gradient_accumulation_steps": (int, 1),
    "num_train_epochs": ((int, float), 0),
    "max_steps": (int, -1),
    "seed": (int, 0),
    "learning_rate": ((int, float), 0),
    "warmup_steps": ((int, float), 0),
    "max_grad_norm": ((int, float), 0),
    "weight_decay": ((int, float), 0),
}


class Parts(NamedTuple):
    """What any recipe has, in the order of `Recipe`; see there."""

    card: Card
    entry: catalog.Entry
    config: PreTrainedConfig
    arguments: TrainingArguments
    operations: tuple[Transform, ...]


@dataclass(frozen=True)
class Recipe(ABC):
    """A card ready for training: everything it names exists and accepts its settings.

    Attributes:
        card: with [data].
        entry: the architecture's row in the catalog.
        config: of the model; where a card of texts leaves sizes to its data, until that is read
            they are only the best guess.
        arguments: of the Trainer.
        operations: on gradients, in order, before the clipping of `max_grad_norm`.
    """

    card: Card
    entry: catalog.Entry
    config: PreTrainedConfig
    arguments: TrainingArguments
    operations: tuple[Transform, ...]

    @abstractmethod
    def make_model(self) -> Any:
        """A model of `config` with fresh weights, on torch's default device."""

    @abstractmethod
    def load(self, *, quiet: bool = False) -> Material:
        """Read the train split.

        Raises:
            NotFoundError: it does not exist.
            UsageError: it does not fit the recipe.
        """

    def in_words(self) -> dict[str, str]:
        """What `--explain` says of data and loss, by title."""
        return {}

    @property
    def rates(self) -> dict[str, Any]:
        """Settings of `parameter_groups`."""
        return self.card.train.rates

    @property
    def ema(self) -> dict[str, Any] | None:
        """Settings of the average of the weights."""
        settings = self.card.train.ema
        return settings and {name: value for name, value in settings.items() if name != "saved"}

    @property
    def start_record(self) -> dict[str, Any] | None:
        """What a manifest says of the model whose weights it begins with; None for fresh ones."""
        return None

    @property
    def dataset(self) -> str:
        """The data set of the card, as it is found: beside the card, or by its name."""
        return beside(self.data.dataset, self.card.path)

    @property
    def data(self) -> Data:
        """The [data] of the card."""
        assert self.card.data is not None
        return self.card.data


def build_config(card: Card, **defaults: Any) -> PreTrainedConfig:
    """The architecture's config from a card's [config] table.

    Args:
        card: the card.
        **defaults: settings that the card may leave out.

    Raises:
        UsageError: with the card, the key and the nearest known one, or the reason.
    """
    config_class = catalog.load(catalog.find(card.architecture).config)
    known = field_names(config_class) | set(getattr(config_class, "attribute_map", ()))
    known |= {"heads"} if catalog.find(card.architecture).reads == "texts" else set()
    check_known(card, "config", card.config, known | {"num_labels", "decoder_start_token_id"},
                f"setting of {config_class.__name__}")  # fmt: skip
    try:
        return config_class(**{**defaults, **card.config})
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise UsageError(f"{card.path}: [config] {one_line(error)}") from error


def check_known(
    card: Card, section: str, table: Iterable[str], known: Iterable[str], what: str
) -> None:
    """Raise `UsageError` for a key that its table does not have."""
    for key in table:
        if key not in known:
            raise UsageError(
                f"{card.path}: [{section}] {key} is not a {what}. {did_you_mean(key, known)}"
            )


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def build_parts(card: Card, output_dir: str | Path, config: PreTrainedConfig) -> Parts:
    """Check what any card has, by building the training arguments and operations on gradients.

    Args:
        card: with [data] and [train].
        output_dir: where the Trainer will keep its checkpoints; nothing is written yet.
        config: of the model.

    Raises:
        UsageError: with the card, the table and the key.
    """
    options = dict(card.train.arguments)
    known = TRAIN.keys() | field_names(TrainingArguments) - {"output_dir"}
    check_known(card, "train", options, known, "training argument")
    for key in options:
        check_argument(card, key)
    if options.get("num_train_epochs") == 0 and options.get("max_steps", -1) < 1:
        raise UsageError(
            f"{card.path}: [train] num_train_epochs = 0 trains nothing; set it to 1 or more, or "
            "set max_steps"
        )
    if options.get("max_steps") == 0:
        raise UsageError(
            f"{card.path}: [train] max_steps = 0 trains nothing; set it to 1 or more, or to -1 to "
            "train num_train_epochs"
        )
    if options.get("learning_rate") == 0:
        raise UsageError(f"{card.path}: [train] learning_rate = 0 trains nothing; set it above 0")
    best.complete(card, options)
    fsdp.prepare(card, of_texts=catalog.find(card.architecture).reads == "texts")
    operations = _build_operations(card, options)
    entry = catalog.find(card.architecture)
    model_class = catalog.load(entry.model)
    # A GPU computes convolutions in TF32 by default, so let it do the same for matrix products, or
    # neither where scores would be lost in its rounding.
    precision = (
        {"tf32": getattr(model_class, "allows_tf32", True)} if is_torch_tf32_available() else {}
    )
    try:
        arguments = TrainingArguments(
            output_dir=str(output_dir),
            **{**precision, **DEFAULTS, **processes.arguments(options), **options},
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{card.path}: {one_line(error)}") from error
    processes.check_batch(arguments, str(card.path))
    _check_stream(card, arguments)
    fsdp.check(arguments, str(card.path))
    return Parts(card, entry, config, arguments, operations)


def _check_stream(card: Card, arguments: TrainingArguments) -> None:
    """Raise `UsageError` for what a stream cannot do."""
    assert card.data is not None
    if not card.data.streaming:
        return
    if arguments.max_steps < 1:
        raise UsageError(
            f"{card.path}: [data] streaming: a stream has no length, so [train] needs max_steps"
        )
    if arguments.dataloader_num_workers:
        raise UsageError(
            f"{card.path}: [data] streaming: a stream is read by the process that trains, which "
            "knows its position; change it with --set dataloader_num_workers=0"
        )


def _build_operations(card: Card, given: dict[str, Any]) -> tuple[Transform, ...]:
    """The operations of [[train.gradients]], and in the arguments what is the Trainer's."""
    try:
        operations = build_operations(card.train.gradients)
        order.check(operations)  # first, as a card has no any_order
        chain = Chain(operations)
    except UsageError as error:
        raise UsageError(f"{card.path}: [[train.gradients]] {error}") from error
    if chain.window > 1:
        if given.get("gradient_accumulation_steps", 1) > 1:
            raise UsageError(
                f"{card.path}: [train] gradient_accumulation_steps and accumulate in "
                "[[train.gradients]] are two words for one thing; leave one out"
            )
        given["gradient_accumulation_steps"] = chain.window
        operations = [each for each in operations if not isinstance(each, Accumulate)]
    if any(isinstance(each, ClipGlobalNorm) for each in operations):
        given.setdefault("max_grad_norm", 0.0)  # the card's own clipping, not the default's
    return tuple(operations)


def check_argument(card: Card, key: str) -> None:
    """Raise `UsageError` for a training argument of a wrong type or below its minimum."""
    if key not in MIN_VALUES:
        return
    kind, min_value = MIN_VALUES[key]
    value: Any = card.train.arguments[key]
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= min_value):
        raise UsageError(
            f"{card.path}: [train] {key} must be a number of at least {min_value:g}, got {value!r}"
        )
