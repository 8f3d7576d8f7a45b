"""A Keras model as a table, the way `model.summary()` prints it, and what is not supported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.layers.form import INPUT, Layer
from convert.layers.graph import Network
from convert.layers.network import input_shape
from convert.layers.opening import KerasModel
from convert.layers.rows import Shape
from convert.layers.text import parse_json
from zoo.errors import IntegrityError

FAMILY = "layers"
CONVERSION = "conversion.json"  # what a conversion writes down of itself


@dataclass(frozen=True)
class Line:
    """One layer.

    Attributes:
        name: behind those of the models that it stands in.
        kind: its class.
        shapes: of what comes out; empty where that is not known.
        parameters: values in its weights.
        inputs: names of the layers that it reads from.
        problem: why it is not supported.
    """

    name: str
    kind: str
    shapes: list[Shape]
    parameters: int
    inputs: list[str]
    problem: str = ""


@dataclass
class Summary:
    """What a Keras model is, read from its architecture and the index of its weights.

    Attributes:
        source: what was looked at.
        form: what kind of file it is, in words.
        format: the same as a word.
        name: of the model.
        keras: the version of Keras: 1, 2 or 3.
        lines: a layer each.
        parameters: of all layers.
        untrained: those of them that are no trained weights.
        parts: models in the model.
        notes: what else a person should know.
        missing: what stops a conversion, a line each.
        exit_code: of the conversion, as far as it is known.
        converted: whether it is the result of a conversion.
        families: those that it is taken for.
    """

    source: Path
    form: str
    format: str
    name: str = ""
    keras: int = 0
    lines: list[Line] = field(default_factory=list)
    parameters: int = 0
    untrained: int = 0
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    exit_code: int = 0
    converted: bool = False
    families: list[str] = field(default_factory=lambda: [FAMILY])

    def to_dict(self) -> dict[str, Any]:
        """The facts in types that JSON has, without places on this machine."""
        return {
            "format": self.format,
            "form": self.form,
            "families": self.families,
            "model": self.name,
            "keras": self.keras,
            "layers": [
                {
                    "name": line.name,
                    "class": line.kind,
                    "output_shapes": [list(shape) for shape in line.shapes],
                    "parameters": line.parameters,
                    "inputs": line.inputs,
                    "problem": line.problem,
                }
                for line in self.lines
            ],
            "parameters": self.parameters,
            "not_trained": self.untrained,
            "parts": self.parts,
            "notes": self.notes,
            "missing": self.missing,
        }


def summarize_result(folder: Path) -> Summary | None:
    """What a folder was converted from; nothing where no model of layers was converted into it.

    Raises:
        IntegrityError: its `conversion.json` is damaged.
    """
    path = folder / CONVERSION
    if not path.is_file():
        return None
    told = parse_json(path.read_bytes(), f"{path}")
    if told.get("family") != FAMILY or "model" not in told:
        return None
    try:
        model = told["model"]
        lines = [
            Line(
                str(one["name"]),
                str(one["class"]),
                [tuple(shape) for shape in one["output_shapes"]],
                int(one["parameters"]),
                [str(name) for name in one["inputs"]],
            )
            for one in model["layers"]
        ]
        return Summary(
            folder,
            f"converted from {told['source']} ({model['form']})",
            "safetensors",
            name=str(model["model"]),
            keras=int(model["keras"]),
            lines=lines,
            parameters=int(model["parameters"]),
            untrained=int(model["not_trained"]),
            parts=[str(name) for name in model["parts"]],
            notes=[str(note) for note in told["notes"]],
            converted=True,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{path}: says nothing of the original's layers that can be read ({error!r}); convert "
            "the file again"
        ) from None


def summarize(model: KerasModel) -> Summary:
    """Put down what is known of a model."""
    checkpoint, network = model.checkpoint, model.network
    summary = Summary(
        model.path,
        "architecture without weights" if checkpoint is None else checkpoint.form,
        "keras_json" if checkpoint is None else checkpoint.format,
        notes=[*model.notes, *(checkpoint.notes if checkpoint is not None else ())],
        missing=[str(problem) for problem in model.problems],
        exit_code=model.problems[0].exit_code if model.problems else 0,
    )
    if network is not None:
        summary.name, summary.keras = network.architecture.name, network.architecture.keras
        summary.lines = list(_lines(network))
        summary.parts = list(network.parts)
        weights = [one for placed in network.layers.values() for one in placed.weights]
        summary.parameters = sum(one.size for one in weights)
        summary.untrained = sum(one.size for one in weights if not one.trainable)
    return summary


def _lines(network: Network) -> Iterator[Line]:
    inputs = dict(zip(network.input_names, network.inputs, strict=True))
    for path, layer in network.architecture.walk():
        placed = network.layers.get(path)
        problem = str(placed.problem) if placed is not None and placed.problem else ""
        if layer.model is not None or layer.inside is not None:
            unfolded = network.layers.get(f"{path}:unfold")
            made = [node.outputs[0] for node in network.nodes if node.layer == f"{path}:unfold"]
            tensors = made[:1] if unfolded else network.parts.get(path, ([], []))[1]
            shapes = [shape for one in tensors if (shape := network.shapes[one]) is not None]
            count = sum(
                one.parameters
                for name, one in network.layers.items()
                if name.startswith(f"{path}/")
            )
        elif layer.kind == INPUT:
            shape = network.shapes[inputs[path]] if path in inputs else input_shape(layer)
            shapes, count = [] if shape is None else [shape], 0
        else:
            shapes = placed.outputs if placed is not None else []
            count = placed.parameters if placed is not None else 0
        yield Line(path, layer.kind, shapes, count, _sources(layer), problem)


def _sources(layer: Layer) -> list[str]:
    """Names of what a layer reads from, in all its calls."""
    return list(dict.fromkeys(one.layer for call in layer.calls for one in call.all))
