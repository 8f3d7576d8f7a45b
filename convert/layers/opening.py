"""A Keras model that a path means: its architecture, and its weights where they are there."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.layers.graph import Network
from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.text import CONFIG, Source, find
from convert.layers.weights import make_plan
from convert.readers import open_checkpoint
from convert.readers.keras.archive3 import WEIGHTS, is_keras_zip, is_zip
from convert.readers.keras.hdf5 import is_hdf5
from convert.readers.keras.shards import is_table
from zoo.errors import GenaeError, NotFoundError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from convert.readers import Checkpoint
    from convert.weights.steps import Plan

JSON = ".json"
SHOWN = 5  # names in a message
LAMBDA, OUTPUTS = "lambda", "outputs"  # options that say what of a model is wanted, and how
BESIDE = ("model.json", "architecture.json", CONFIG)  # next to weights alone


@dataclass
class KerasModel:
    """A model, as far as it can be read.

    Attributes:
        path: what was given.
        place: where the architecture stands, in words.
        network: the model taken apart; nothing where it cannot be read.
        checkpoint: its weights; nothing where there is an architecture alone.
        plan: which tensor becomes which weight; nothing where they do not fit.
        problems: what stops a conversion.
        notes: what else a person should know.
    """

    path: Path
    place: str
    network: Network | None = None
    checkpoint: Checkpoint | None = None
    plan: Plan | None = None
    problems: list[GenaeError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def supported(self) -> bool:
        """Whether every layer that the outputs need is in the table."""
        return self.network is not None and not self.network.problems

    def meant(self, options: Mapping[str, Any] | None) -> bool:
        """Whether it is to be converted layer by layer: it can be, or options say so."""
        return self.supported or bool((options or {}).keys() & {LAMBDA, OUTPUTS})

    def require(self) -> tuple[Network, Checkpoint, Plan]:
        """What a conversion goes by.

        Raises:
            GenaeError: the first of the problems.
        """
        if self.problems:
            raise self.problems[0]
        assert self.network is not None
        assert self.checkpoint is not None
        assert self.plan is not None
        return self.network, self.checkpoint, self.plan

    def __enter__(self) -> KerasModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.checkpoint is not None:
            self.checkpoint.close()


def open_model(
    source: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    allow_unused: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> KerasModel | None:
    """The model that a path means; nothing where no architecture of Keras is there.

    Args:
        source: a whole model (HDF5, a `.keras` archive or its folder, a SavedModel), weights of
            any form with the JSON next to them, or JSON alone.
        config: the JSON of `model.to_json()`, a file or its content, where the source has weights
            alone.
        allow_unused: patterns of tensors that may be left over.
        options: `lambda`, what layers compute whose program is not run, by name or pattern, as
            `meanings.parse` has it; `outputs`, numbers of those that are wanted, or names of
            layers, a list or text with commas.

    Returns:
        The model, with what stops its conversion; to be closed, or used in a `with`.
    """
    path = Path(os.path.expanduser(source))
    try:
        found = find_architecture(path, config)
    except GenaeError as error:
        return KerasModel(path, f"{path}", problems=[error])
    if found is None:
        return None
    model = KerasModel(path, found.place)
    given = options or {}
    try:
        chosen = _outputs(given.get(OUTPUTS))
        model.network = build(parse(found), _meanings(given.get(LAMBDA)), chosen)
        model.problems += model.network.problems
        model.notes += _told(model.network)
    except GenaeError as error:
        model.problems.append(error)
    try:
        model.checkpoint = _weights(path)
        if not model.problems and model.network is not None:
            gone = _left_out(model.network, model.checkpoint)
            model.plan = make_plan(model.network, model.checkpoint, [*allow_unused, *gone])
    except GenaeError as error:
        model.problems.append(error)
    return model


def _left_out(network: Network, checkpoint: Checkpoint) -> list[str]:
    """Patterns of the tensors of layers that are left out, where the file has layers by name."""
    gone = set(network.unused)
    return [
        glob.escape(name)
        for group in checkpoint.groups
        if group.name in gone
        for name in group.tensors
    ]


def check_meant(
    source: str | os.PathLike[str], options: Mapping[str, Any] | None, model: KerasModel | None
) -> None:
    """Raise `UsageError` where options are those of models of layers, and this is none."""
    words = {LAMBDA: "--lambda", OUTPUTS: f"--option {OUTPUTS}"}
    given = [word for name, word in words.items() if name in (options or {})]
    if given and model is None:
        raise UsageError(
            f"{given[0]} is for Keras models of any layers, and no architecture of one is in "
            f"{source} or next to it; give the JSON of model.to_json() with --config FILE"
        )


def _meanings(value: Any) -> Mapping[str, str]:
    """What layers are, each in words."""
    table = {} if value is None else value
    if not isinstance(table, Mapping) or not all(isinstance(one, str) for one in table.values()):
        raise UsageError(f"{LAMBDA} is a table of names and meanings, not {value!r:.60}")
    return table


def _outputs(value: Any) -> list[Any]:
    """Numbers and names from one, a list, or text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [int(one) if isinstance(one, str) and one.isdecimal() else one for one in values]


def _told(network: Network) -> list[str]:
    """What a person said of layers, and what is left out."""
    told = [
        f"layer {path!r} is taken for {meaning.text}, as --lambda says"
        for meaning in network.meanings.given.values()
        for path in meaning.layers
    ]
    if left := network.unused:
        names = ", ".join(map(repr, left[:SHOWN])) + " ..." * (len(left) > SHOWN)
        told.append(f"left out, as no output needs them: {names} (layers: {len(left)})")
    return told


def find_architecture(path: Path, config: Any, *, beside: bool = True) -> Source | None:
    """Where the architecture is: given, in the file, or next to it if that is asked for.

    Raises:
        GenaeError: as `text.find`.
    """
    if isinstance(config, Mapping):
        return _keras(Source(dict(config), "", "config"))
    if config is not None:
        return _keras(_find(Path(os.path.expanduser(config))))
    if (found := _keras(_find(path))) is not None:
        return found
    for place in _beside(path) if beside else ():
        if place.is_file() and (found := _keras(_find(place))) is not None:
            return found
    return None


def _beside(path: Path) -> list[Path]:
    """Where the JSON of weights alone may lie: by their name, or in their folder."""
    if path.is_dir():
        return [path / name for name in BESIDE]
    if path.is_file() and path.suffix == JSON and not is_table(path):
        return []
    return [path.with_suffix(JSON), *(path.with_name(name) for name in BESIDE)]


def _find(path: Path) -> Source | None:
    known = path.is_dir() or (
        path.is_file() and (path.suffix == JSON or is_hdf5(path) or is_zip(path))
    )
    return find(path) if known else None


def _keras(source: Source | None) -> Source | None:
    """A source that is a model of Keras; other JSON files are other configurations."""
    if source is None or not source.table.keys() & {"class_name", "model_config"}:
        return None
    return source


def _weights(path: Path) -> Checkpoint:
    if path.is_file() and path.suffix == JSON and not is_table(path):
        raise NotFoundError(
            f"{path}: an architecture without weights; give the weights, and this file with "
            "--config"
        )
    if is_zip(path) and not is_keras_zip(path):
        raise NotFoundError(
            f"{path}: an architecture without weights, as {WEIGHTS} is not in the archive; give "
            "the weights, and this file with --config"
        )
    return open_checkpoint(path)
