"""The way out of a folder of layers: to a whole model that Keras loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.backward.layer_names import renamed
from convert.backward.layer_weights import Stored
from convert.layers.form import INPUT, Architecture
from convert.layers.graph import Network
from convert.layers.kinds import KINDS
from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.placing import WRAPPERS
from convert.layers.settings import MODEL_TYPE, settings
from convert.layers.text import Source
from convert.layers.weights import module_names
from convert.layers.writing import SINGLE, JsonWriter
from convert.plan import SHOWN
from convert.weights.ops import shape_after
from convert.weights.steps import Plan, Step, as_table, parameters
from convert.writers import Outgoing
from zoo.errors import IntegrityError, UsageError
from zoo.hints import literal, python

if TYPE_CHECKING:
    from convert.readers.base import Checkpoint

Advance = Callable[[int], None]
Written = tuple[list[Step], list[Outgoing], Callable[[Path, str, Advance], None]]

DOUBLE = "float64"
STRANGE = {2: {"SpectralNormalization"}, 3: set[str]()}  # to be named where a file is loaded


@dataclass(frozen=True)
class KerasTarget:
    """A form of whole models.

    Attributes:
        file: its name in the new folder.
        keras: the version that loads it.
        prepare: steps and tensors, and what writes them with the JSON of the architecture.
    """

    file: str
    keras: int
    prepare: Callable[[Stored], Written]


def _archive(stored: Stored) -> Written:
    from convert.writers import keras_archive

    pairs = stored.folders()
    tensors = [one for _, one in pairs]

    def write(path: Path, model: str, advance: Advance) -> None:
        keras_archive.write(path, model, tensors, advance=advance)

    return [step for step, _ in pairs], tensors, write


def _hdf5(stored: Stored) -> Written:
    from convert.writers import keras_hdf5

    groups = stored.groups()
    pairs = [pair for found in groups.values() for pair in found]
    layers = {name: [one for _, one in found] for name, found in groups.items()}

    def write(path: Path, model: str, advance: Advance) -> None:
        keras_hdf5.write_model(path, model, layers, advance=advance)

    return [step for step, _ in pairs], [one for _, one in pairs], write


KERAS_TARGETS = {
    "keras": KerasTarget("model.keras", 3, _archive),
    "keras-h5": KerasTarget("model.h5", 2, _hdf5),
}


@dataclass
class KerasReport:
    """What became of a folder of layers.

    Attributes:
        source: the folder.
        out: the new folder, or the new file.
        format: a key of `KERAS_TARGETS`.
        file: the model's file.
        keras: the version that loads it.
        model: its class and its name.
        plan: what became of every tensor.
        layers: number of layers that compute something.
        notes: what a person should know.
        files: names in the new folder.
        strange: classes of Keras that it does not find by itself.
    """

    source: Path
    out: Path
    format: str
    file: Path
    keras: int
    model: tuple[str, str]
    plan: Plan
    layers: int
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON has, without places on this machine."""
        return {
            "source": self.source.name,
            "format": self.format,
            "class": self.model[0],
            "name": self.model[1],
            "keras": self.keras,
            "layers": self.layers,
            "parameters": parameters(self.plan.steps),
            "tensors": as_table(self.plan.steps),
            "dropped": self.plan.dropped,
            "notes": self.notes,
        }

    def summary(self) -> str:
        """One line: the file, what it is, how much is in it."""
        kind, name = self.model
        parts = [f"{kind} {name!r} for Keras {self.keras}", f"{self.layers} layers"]
        parts.append(f"{len(self.plan.steps)} weights")
        return f"{self.file}: {', '.join(parts)}"

    def load_command(self) -> str:
        """The command that loads the file, where Keras is."""
        found = ", ".join(f"{literal(name)}: keras.layers.{name}" for name in self.strange)
        given = f", custom_objects={{{found}}}" if found else ""
        load = f"model = keras.models.load_model({literal(self.file)}{given})"
        return python("import keras", load, "model.summary()")


def is_of_layers(config: Mapping[str, Any]) -> bool:
    """Whether a folder is of the architecture `layers`, by its `config.json`."""
    return config.get("model_type") == MODEL_TYPE


def export_layers(
    folder: Path,
    out: Path,
    config: Mapping[str, Any],
    *,
    to: str,
    allow_unused: Sequence[str] = (),
    progress: Callable[[int], Any] | None = None,
) -> KerasReport:
    """Write a whole model of Keras; arguments and errors as `export_checkpoint`.

    Args:
        folder: of a `LayersModel`.
        out: the new folder; a name that ends as the file's does is that file alone.
        config: its `config.json`.
        to: a key of `KERAS_TARGETS`.
        allow_unused: patterns of tensors that may be left behind.
        progress: as of `convert_checkpoint`.
    """
    from convert.readers.safetensors import open_safetensors
    from zoo.staging import new_file, new_folder

    target = KERAS_TARGETS[to]
    alone = out.suffix == Path(target.file).suffix
    if not alone and out.suffix in (".keras", ".h5"):
        raise UsageError(f"{out}: --to {to} writes {target.file}; give that ending, or a folder")
    model = _architecture(folder, config)
    network = build(model)
    if network.problems:
        raise network.problems[0]
    _check_graph(folder, config, network)
    model, names = renamed(model, target.keras)
    new = build(model)
    modules = module_names(list(network.layers)).values()
    places = dict(zip(new.layers, modules, strict=True))
    notes = [f"layer {name!r} is {new!r} there: Keras {target.keras} has no such names"
             for name, new in names.items()]  # fmt: skip
    with open_safetensors(folder) as tensors:
        dtype = _dtype(tensors, notes)
        stored = Stored(new, tensors, places, dtype)
        dropped = _check_tensors(folder, config, stored, allow_unused)
        text = json.dumps(_document(new, to, dtype.name), ensure_ascii=False)
        steps, outgoing, write = target.prepare(stored)
        report = KerasReport(
            folder,
            out,
            to,
            out if alone else out / target.file,
            target.keras,
            ("Sequential" if model.chain else "Functional", model.name),
            Plan(tuple(steps), dropped),
            len(new.layers),
            notes,
            strange=sorted(STRANGE[target.keras] & {layer.kind for _, layer in model.walk()}),
        )
        total = sum(one.nbytes for one in outgoing)
        with (new_file if alone else new_folder)(out) as place:
            with progress(total) if progress else nullcontext(lambda written: None) as advance:
                write(place if alone else place / target.file, text, advance)
            report.files = [report.file.name]
            if not alone:
                record = json.dumps(report.to_dict(), indent=2, ensure_ascii=False)
                (place / "conversion.json").write_text(record + "\n", encoding="utf-8")
                report.files.append("conversion.json")
    return report


def _document(network: Network, to: str, dtype: str) -> dict[str, Any]:
    """The JSON of the architecture for a target; Keras 2's says the version, too."""
    from convert.writers.keras_hdf5 import KERAS_OF_MODELS

    def written(target: KerasTarget) -> dict[str, Any]:
        return JsonWriter(network, target.keras, dtype).model(network.architecture)

    try:
        table = written(KERAS_TARGETS[to])
    except UsageError as error:
        (other,) = (name for name in KERAS_TARGETS if name != to)
        try:
            written(KERAS_TARGETS[other])
        except UsageError:
            raise UsageError(f"{error}, so it cannot go back") from None
        raise UsageError(f"{error}; use --to {other}") from None
    if KERAS_TARGETS[to].keras < 3:
        table |= {"keras_version": KERAS_OF_MODELS, "backend": "tensorflow"}
    return table


def _architecture(folder: Path, config: Mapping[str, Any]) -> Architecture:
    original = config.get("original")
    if original is None:
        raise UsageError(
            f"{folder}: config.json has no `original`, the architecture in Keras's words: convert "
            "the Keras file again"
        )
    place = f"{folder / 'config.json'}, original"
    if not isinstance(original, dict):
        raise IntegrityError(f"{place}: a {type(original).__name__}, not an object")
    model = parse(Source(original, "", place))
    for path, layer in model.walk():
        if layer.model is None and layer.kind not in (INPUT, *KINDS, *WRAPPERS):
            raise UsageError(
                f"layer {path!r} ({layer.kind}) is an operation, or was given a meaning: no layer "
                "of Keras computes it, so the model cannot go back"
            )
    return model


def _check_graph(folder: Path, config: Mapping[str, Any], network: Network) -> None:
    """Raise unless what Keras is to compute is what the folder computes."""
    try:
        same = _graph(json.loads(json.dumps(settings(network)))) == _graph(config)
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        raise IntegrityError(
            f"{folder / 'config.json'}: no graph of layers ({error!r}); convert the file again"
        ) from None
    if not same:
        raise IntegrityError(
            f"{folder / 'config.json'}: `layers` and `nodes` compute something else than "
            "`original` says; undo what was changed, or convert the Keras file again"
        )


def _graph(table: Mapping[str, Any]) -> Any:
    """A graph with its tensors numbered anew, of the nodes that the outputs need."""
    needed, nodes = set(table["outputs"]), []
    for node in reversed(table["nodes"]):
        if needed.intersection(node["outputs"]):
            nodes.append(node)
            needed |= {*node["inputs"], *_masks(node)}
    numbers: dict[int, int] = {}

    def number(tensor: int | None) -> int:
        return -1 if tensor is None else numbers.setdefault(tensor, len(numbers))

    inputs = [(one["name"], one["shape"], number(one["tensor"])) for one in table["inputs"]]
    calls = [
        (
            node["layer"],
            table["layers"][node["layer"]],
            [*map(number, node["inputs"])],
            [*map(number, _masks(node))],
            [*map(number, node["outputs"])],
        )
        for node in reversed(nodes)
    ]
    return inputs, calls, [*map(number, table["outputs"])]


def _masks(node: Mapping[str, Any]) -> list[int | None]:
    """Tensors that a node reads as masks: none, one, or those of an attention."""
    mask = node.get("mask")
    return mask if isinstance(mask, list) else [] if mask is None else [mask]


def _dtype(tensors: Checkpoint, notes: list[str]) -> Any:
    """In which the new file stores its numbers: single precision, or double where one is."""
    import numpy as np

    kinds = {str(tensor.dtype) for tensor in tensors.values()}
    if kinds & {"float16", "bfloat16"}:
        half = " and ".join(sorted(kinds & {"float16", "bfloat16"}))
        notes.append(f"weights in {half} are written as float32, of the same values")
    return np.dtype(DOUBLE if DOUBLE in kinds else SINGLE)


def _check_tensors(
    folder: Path, config: Mapping[str, Any], stored: Stored, allow_unused: Sequence[str]
) -> dict[str, str]:
    """Raise unless every weight has its tensor; what is left behind, with the reason."""
    import fnmatch

    problems, used = [], set()
    for path, placed in stored.network.layers.items():
        for weight in (one for one in placed.weights if one.kept):
            name = stored.source(path, weight)
            shape = shape_after(weight.op, weight.shape)
            used.add(name)
            if name not in stored.tensors:
                problems.append(f"{name} is not in the folder")
            elif tuple(stored.tensors[name].shape) != shape:
                problems.append(f"{name} is {tuple(stored.tensors[name].shape)}, not {shape}")
    dropped = {}
    without = {*config["layers"]} - {*stored.places.values()}
    for name in (one for one in stored.tensors if one not in used):
        allowed = next((one for one in allow_unused if fnmatch.fnmatchcase(name, one)), None)
        if without & {*name.split(".")[1:2]}:
            dropped[name] = "no output needs it"
        elif allowed is None:
            problems.append(f"{name} belongs to no layer")
        else:
            dropped[name] = f"allowed by {allowed}"
    if problems:
        more = len(problems) - SHOWN
        lines = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        raise IntegrityError(
            f"{folder}: weights and config.json disagree:{lines}"
            + (f"\n  and {more} more" if more > 0 else "")
            + "\nWhat is to be left behind on purpose: --allow-unused PATTERN."
        )
    return dropped
