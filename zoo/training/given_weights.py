"""The weights that a card's training begins with in place of fresh ones: `start_from`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from zoo import catalog
from zoo.card import Card
from zoo.data.sources import beside
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.loading import Located, locate, read_weights, tokenizer_at
from zoo.registry import manifest, names

from .settings import field_names

#: Settings that are of the start's own head, library or files, and not of its backbone.
OF_START = (
    *("architectures", "model_type", "transformers_version", "dtype", "torch_dtype", "auto_map"),
    *("num_labels", "id2label", "label2id", "problem_type", "heads", "head_order"),
)
#: Files of which a folder with a tokenizer has one.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
NUM_SHOWN = 4  # modules that a line names


class Begun(NamedTuple):
    """A model with the weights of another.

    Attributes:
        model: in float32, on the CPU.
        fresh: names of its tensors that are drawn at random.
        left: names of tensors of the start that it has no place for.
    """

    model: Any
    fresh: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class GivenWeights:
    """A model that a training begins with.

    Attributes:
        found: the model, looked up and checked.
        wanted: what the card calls it.
    """

    found: Located
    wanted: str

    @property
    def place(self) -> Path:
        """Its folder."""
        return Path(self.found.place)

    @property
    def files(self) -> list[Path]:
        """The files of its weights."""
        whole = self.place / "model.safetensors"
        return [whole] if whole.is_file() else sorted(self.place.glob("model-*.safetensors"))

    @cached_property
    def record(self) -> dict[str, Any]:
        """What a manifest says of it: id and version, if it has any, and sums of its weights."""
        stated: dict[str, Any] = {}
        if (self.place / manifest.MANIFEST_FILE).is_file():
            own = manifest.read(self.place)
            stated = {"id": own["id"], "version": own["version"]}
        elif names.here(self.wanted) is None:
            stated = {"id": self.wanted}
        return stated | {"files": {file.name: manifest.sha256(file) for file in self.files}}

    def __str__(self) -> str:
        """Its name with its version."""
        return " ".join(filter(None, [self.wanted, self.record.get("version")]))

    def settings(self, card: Card) -> dict[str, Any]:
        """The settings of its configuration that a model with its weights has as well.

        Raises:
            UsageError: [config] of the card states another size.
            IntegrityError: its `config.json` is no configuration of its architecture.
        """
        config_class = catalog.load(self.found.entry.config)
        known = field_names(config_class)
        stated = {
            name: value
            for name, value in self.found.config.items()
            if name in known and name not in OF_START
        }
        try:
            own = config_class(**stated)
        except (StrictDataclassError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise IntegrityError(f"{self.place}: config.json: {reason}; get it again") from error
        for name, value in card.config.items():
            if _is_size(name, value) and (theirs := getattr(own, name, value)) != value:
                raise UsageError(
                    f"{card.path}: [config] {name} is {value}, and the weights of {self.wanted} "
                    f"are of {theirs}; leave it out, or start_from in [train]"
                )
        return stated

    def tokenizer(self) -> Any:
        """Its tokenizer.

        Raises:
            UsageError: it has none.
            IntegrityError: its files are malformed.
        """
        if not any((self.place / name).is_file() for name in TOKENIZER_FILES):
            raise UsageError(
                f"[train] start_from: {self.wanted} has no tokenizer; name one by 'id' in "
                "[tokenizer]"
            )
        return tokenizer_at(self.found.place, self.wanted)

    def load(self, model_class: Any, config: PreTrainedConfig, *, labelled: bool) -> Begun:
        """A model with these weights, and fresh ones of torch's generator where there are none.

        Args:
            model_class: of the model, or the Auto class that finds it.
            config: of the model.
            labelled: whether its head tells labels apart; such a head is that of the start only if
                the start is of the same class and has the same labels.

        Raises:
            UsageError: weights below the head are of another shape.
            IntegrityError: the files do not form a model.
        """
        options = {"config": config, "dtype": "float32"}
        model, report = read_weights(model_class, self.found.place, options)
        entry, inside = self.found.entry, f"{model.base_model_prefix}."
        reshaped = {name: shapes for name, *shapes in report["mismatched_keys"]}
        for name, (theirs, ours) in reshaped.items():
            if name.startswith(inside):
                raise UsageError(
                    f"[train] start_from: {name} of {self.wanted} is of shape {list(theirs)}, and "
                    f"with [config] it is {list(ours)}; leave out of [config] what the start says"
                )
        fresh = {name for name in report["missing_keys"] if not entry.rebuilds(name)} | {*reshaped}
        left = {name for name in report["unexpected_keys"] if not entry.leaves_open(name)}
        left |= {*reshaped}
        if labelled and not self._has_head_of(model):
            head = {n for n, _ in model.named_parameters() if not n.startswith(inside)}
            _draw_anew(model, model_class, config, head - fresh)
            left |= head - fresh
            fresh |= head
        return Begun(model, tuple(sorted(fresh)), tuple(sorted(left)))

    def in_words(self, begun: Begun) -> str:
        """Which weights are its own in a model that begins with them, in a line."""
        parts = [str(self)]
        parts += [f"fresh: {_modules(begun.fresh)}"] if begun.fresh else []
        parts += [f"left out: {_modules(begun.left)}"] if begun.left else []
        return "; ".join(parts)

    def _has_head_of(self, model: Any) -> bool:
        own, config = self.found.config, model.config
        return (
            type(model).__name__ in (own.get("architectures") or ())
            and [*(own.get("id2label") or {}).values()] == [*config.id2label.values()]
            and own.get("heads") == getattr(config, "heads", None)
        )


def given_weights(card: Card) -> GivenWeights | None:
    """The model whose weights a card's training begins with; None for fresh ones.

    Raises:
        NotFoundError: there is none of this name, or it has no weights.
        UsageError: it is of another architecture.
    """
    wanted = card.train.start_from
    if wanted is None:
        return None
    try:
        found = locate(beside(wanted, card.path))
    except (NotFoundError, UsageError) as error:
        raise type(error)(f"{card.path}: [train] start_from: {error}") from error
    if found.entry.name != card.architecture:
        raise UsageError(
            f"{card.path}: [train] start_from: the architecture of {wanted} is "
            f"{found.entry.name}, and the card's is {card.architecture}; make them one"
        )
    given = GivenWeights(found, wanted)
    if not given.files:
        raise NotFoundError(
            f"{card.path}: [train] start_from: {wanted} has no weights to begin with; train it "
            "first, or name another model"
        )
    return given


@torch.no_grad()
def _draw_anew(
    model: Any, model_class: Any, config: PreTrainedConfig, parameters: Iterable[str]
) -> None:
    """Give parameters of a model other random values, as a fresh one has them."""
    make = getattr(model_class, "from_config", model_class)
    drawn = dict(make(config).named_parameters())
    for name in sorted(parameters):
        model.get_parameter(name).copy_(drawn[name])


def _is_size(name: str, value: Any) -> bool:
    """Whether a setting says how large something is, or how many there are."""
    number = isinstance(value, int) and not isinstance(value, bool)
    return number and not name.endswith("_token_id") and name not in OF_START


def _modules(tensors: Sequence[str]) -> str:
    """The modules that tensors are in, the outer ones alone."""
    found: list[str] = []
    for module in sorted({name.rpartition(".")[0] for name in tensors}):
        if not (found and module.startswith(f"{found[-1]}.")):
            found.append(module)
    more = len(found) - NUM_SHOWN
    return ", ".join(found[:NUM_SHOWN]) + (f" and {more} more" if more > 0 else "")
