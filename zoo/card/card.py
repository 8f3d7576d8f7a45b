"""The card: the one hand-written truth about a model, read from TOML and checked.

Standard library only: `genae list` reads every card and must stay fast.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card.checking import check_card
from zoo.card.schema import OF_IMAGES, OF_TEXTS
from zoo.card.toml import dumps
from zoo.errors import NotFoundError, UsageError

CARD_FILE = "card.toml"
LOCAL = "local"  # owner of what is published nowhere
#: Fields that are no keys of the card's top level in the same form.
NOT_TOP_LEVEL = {"path", "text", "data", "results", "train"}
MAX_BYTES = 256 * 1024  # a hand-written page is a few kilobytes


SLACK = 1e-9  # share of the tolerance: binary fractions must not fail a decimal edge


def is_within(measured: float, stated: float, tolerance: float) -> bool:
    """Whether a value lies within its tolerance; nothing that is not a number does.

    Example:
        >>> is_within(0.3, 0.2, 0.1), is_within(float("nan"), 0.2, 0.1)
        (True, False)
    """
    slack = SLACK * max(tolerance, abs(stated))
    return abs(measured - stated) <= tolerance + slack


def local_id(name: str) -> str:
    """The id of a model that is published nowhere.

    Example:
        >>> local_id("My Pets (2024)")
        'local/my-pets-2024'
    """
    kept = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._").lower()[:60]
    return f"{LOCAL}/{kept or 'own'}"


@dataclass(frozen=True, slots=True)
class Data:
    """What a model was trained on: the card's `[data]`.

    Attributes:
        dataset: a name that `zoo.data` knows, a Hub id, or a folder (`~` is one's home).
        config: the data set's configuration, None for its only one (`name` in the card also).
        train_split: in the slicing syntax of `datasets`, such as `train[:50000]`.
        validation_split: likewise, None if nothing is held out.
        license: of the data.
        binarization: `none`, `stochastic` or `threshold`.
        augmentations: of the images in training, in this order; see `zoo.data.augmentation`.
        num_views: 2 for models that compare two augmented views of each image.
        sha256: the data files' sums by name; may be empty.
        task: of a model of texts, a key of `zoo.data.text.TASKS`; None for images.
        columns: of texts, in the order that the task wants them; empty for the task's own.
        label: the column of labels.
        labels: names of the classes in the order of their numbers; empty for those of the data.
        max_length: number of tokens, at most, that the model is given of a text.
        packing: whether short texts are put together, instead of padded.
        mask_rate: share of tokens that are masked.
        whole_words: whether words are masked as a whole.
        group_by_length: whether batches are of texts of like length.
        streaming: whether the data is read as it is needed, and has no length.
        paragraphs: whether texts of `.txt` files end at blank lines.
        separator: what stands between the labels of a cell.
        layout: of files of tags, "columns" or "segmented".
        scheme: how spans become tags of tokens: "BIO", "BIOES", "BMES" or "BILOU".
        ends: whether the end of a span is its last character, "inclusive", or the one behind.

    Of texts, what is None is the default of `zoo.data.text.TextOptions`.
    """

    dataset: str
    train_split: str
    license: str
    config: str | None = None
    validation_split: str | None = None
    binarization: str = "none"
    augmentations: list[str] = field(default_factory=list)
    num_views: int = 1
    sha256: dict[str, str] = field(default_factory=dict)
    task: str | None = None
    columns: list[str] = field(default_factory=list)
    label: str | None = None
    labels: list[str] = field(default_factory=list)
    max_length: int | None = None
    packing: bool | None = None
    mask_rate: float | None = None
    whole_words: bool | None = None
    group_by_length: bool | None = None
    streaming: bool | None = None
    paragraphs: bool | None = None
    separator: str | None = None
    layout: str | None = None
    scheme: str | None = None
    ends: str | None = None

    @property
    def text_options(self) -> dict[str, Any]:
        """What the card says of texts, but for the task."""
        names = (*OF_TEXTS, "streaming")
        given = {name: getattr(self, name) for name in names if name != "task"}
        return {name: value for name, value in given.items() if value not in (None, [])}

    def to_dict(self) -> dict[str, Any]:
        """The table of the file: what was set, and nothing of images where texts are meant."""
        apart = OF_IMAGES if self.task else ()
        return {name: item for name, item in _plain(self).items() if name not in apart}


@dataclass(frozen=True, slots=True)
class Train:
    """How a model is trained: the card's `[train]`.

    Attributes:
        arguments: of `transformers.TrainingArguments`, which are all the other keys of the table.
        budget: `device` and `minutes`, None where none is stated.
        samplers: fitted to the codes after training, by name.
        stored_as: the type in which the weights are written; they load as float32.
        cuda_graph: whether a GPU is given each step as one graph.
        rates: `layer_decay`, `head`, `layers` and `rules` of `zoo.training.parameter_groups`.
        gradients: what happens to gradients before each step, in order: `op`, a name of
            `zoo.training.OPERATIONS`, and its settings.
        ema: `decay` and `warm_up` of `zoo.training.EMA`, and whether the average is `saved`
            "instead" of the weights of the last step or "beside" them; None without one.
        adversarial: `kind`, a name of `zoo.training.OBJECTIVES`, and its settings; None for the
            plain loss.
        lora: `rank`, `alpha`, `dropout` and `target_modules` of the adapters that are trained in
            place of the weights; None to train the weights.
        start_from: id or folder of the model whose weights a training of texts begins with; None
            for fresh ones.
        class_weights: of each label in the loss of a classifier of texts, by name, or "balanced";
            None to weigh all texts alike.
        early_stopping_patience: number of validations without a better score after which training
            ends; None to train to the end.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] | None = None
    samplers: list[str] = field(default_factory=list)
    stored_as: str = "float32"
    cuda_graph: bool = False
    rates: dict[str, Any] = field(default_factory=dict)
    gradients: list[dict[str, Any]] = field(default_factory=list)
    ema: dict[str, Any] | None = None
    adversarial: dict[str, Any] | None = None
    lora: dict[str, Any] | None = None
    start_from: str | None = None
    class_weights: str | dict[str, float] | None = None
    early_stopping_patience: int | None = None

    @property
    def average_beside(self) -> bool:
        """Whether the average of the weights is saved beside those of the last step."""
        return self.ema is not None and self.ema.get("saved") == "beside"

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Train":
        """A checked `[train]` table, its own keys apart from the training arguments."""
        own = {f.name for f in fields(cls)} - {"arguments"}
        return cls(
            arguments={name: value for name, value in table.items() if name not in own},
            **{name: value for name, value in table.items() if name in own},
        )

    def to_dict(self) -> dict[str, Any]:
        """The table of the file: training arguments, then what differs from the defaults."""
        default = Train()
        own = [f.name for f in fields(self) if f.name != "arguments"]
        changed = [name for name in own if getattr(self, name) != getattr(default, name)]
        return self.arguments | {name: getattr(self, name) for name in changed}


@dataclass(frozen=True, slots=True)
class Result:
    """One measured number: an entry of the card's `[[results]]`.

    Attributes:
        dataset: a name that `zoo.data` knows.
        split: of the data set.
        metric: a name that `zoo.evaluation` knows.
        unit: of `value`.
        value: what the evaluation measured on these weights.
        tolerance: largest accepted distance from `value`, at least 0, in the same unit.
        seed: of the evaluation.
        protocol: the command that measures it again.
        measured: `date`, `device` and `genae` (the version).
        options: keyword arguments of the metric.
        training: spread over trainings (`seeds`, `mean`, `sd`), or None.
    """

    dataset: str
    split: str
    metric: str
    unit: str
    value: float
    tolerance: float
    seed: int
    protocol: str
    measured: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Card:
    """A checked card; field names are the card's keys.

    `path` is the file it was read from. `text` is that file's content, so that a copy keeps its
    comments.
    """

    id: str
    version: str
    architecture: str
    task: str
    status: str
    license: str
    summary: str
    intended_use: str
    limits: str
    papers: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    base_model: str | None = None
    replaced_by: str | None = None
    reason: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    data: Data | None = None
    train: Train = field(default_factory=Train)
    results: list[Result] = field(default_factory=list)
    source: dict[str, Any] | None = None
    published: dict[str, str] | None = None
    path: Path | None = field(default=None, compare=False)
    text: str = field(default="", compare=False, repr=False)

    def __repr__(self) -> str:
        """What it is a card of, in one line."""
        return (
            f"Card({self.id!r}, version={self.version!r}, architecture={self.architecture!r}, "
            f"status={self.status!r})"
        )

    @property
    def name(self) -> str:
        """The second half of the id, which is also the folder's name in `cards/`."""
        return self.id.partition("/")[2]

    @property
    def shown_sampler(self) -> str:
        """What draws the codes of `samples.png`: the prior, where training shapes codes after it.

        Of a plain autoencoder, where nothing does, a sampler that was fitted to the codes.
        """
        fitted = self.train.samplers if self.train else ()
        known = () if catalog.find(self.architecture).shapes_codes else ("mixture", "gaussian")
        return next((name for name in known if name in fitted), "prior")

    @property
    def is_local(self) -> bool:
        """Whether its id is that of a model that is published nowhere."""
        return self.id.startswith(f"{LOCAL}/")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Card":
        """Read and check a card.

        Args:
            path: the file, or the folder that holds `card.toml`.

        Raises:
            NotFoundError: there is no such file.
            UsageError: the file is no card; names the file, the key and the nearest known key.
        """
        file = Path(os.path.expanduser(path))
        if file.is_dir():
            file /= CARD_FILE
        if not file.is_file():
            raise NotFoundError(f"no card at {file}: a model's folder holds a {CARD_FILE}.")
        if file.stat().st_size > MAX_BYTES:
            raise UsageError(f"{file}: larger than {MAX_BYTES // 1024} KiB, too large for a card.")
        try:
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{file}: not UTF-8 text ({error.reason}).") from None
        return cls.parse(text, file)

    @classmethod
    def parse(cls, text: str, path: Path | None = None) -> "Card":
        """Check a card given as TOML text; `path` names it in messages.

        Raises:
            UsageError: the text is no card.
        """
        file = str(path or CARD_FILE)
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "nested too deep"
            raise UsageError(f"{file}: not valid TOML: {reason}.") from None
        return cls.of(table, path, text)

    @classmethod
    def of(cls, table: Mapping[str, Any], path: Path | None = None, text: str = "") -> "Card":
        """Check a card given as parsed tables; `text` is written from them if not given.

        Raises:
            UsageError: the tables are no card.
        """
        file = str(path or CARD_FILE)
        check_card(table, file)
        try:
            catalog.find(table["architecture"])
        except UsageError as error:
            raise UsageError(f"{file}: 'architecture': {error}") from None
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in table.items() if name in known}
        values["train"] = Train.of(table.get("train", {}))
        if "data" in table:
            data = dict(table["data"])
            if "name" in data:  # what `datasets` itself calls the configuration
                data["config"] = data.pop("name")
            values["data"] = Data(**data)
        values["results"] = [Result(**result) for result in table.get("results", [])]
        return cls(**values, path=path, text=text or dumps(table))

    def to_dict(self) -> dict[str, Any]:
        """The card as the tables of its TOML file; `dumps` turns them into text."""
        table: dict[str, Any] = {"schema": 1}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in NOT_TOP_LEVEL:
                continue
            if value not in (None, [], {}):
                table[f.name] = value
        if self.data is not None:
            table["config"] = self.config
            table["data"] = self.data.to_dict()
        if self.source is None:
            table["config"] = self.config
            table["train"] = self.train.to_dict()
        if self.results:
            table["results"] = [_plain(result) for result in self.results]
        return table


def _plain(value: Data | Result) -> dict[str, Any]:
    """The fields that were set, as a table."""
    table = {f.name: getattr(value, f.name) for f in fields(value)}
    return {name: item for name, item in table.items() if item not in (None, {}, [])}
