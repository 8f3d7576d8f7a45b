"""One layer at its place: its row, its options, its shapes and its weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from convert.layers.form import Layer
from convert.layers.kinds import KINDS
from convert.layers.options import read_options
from convert.layers.parsing import CODE
from convert.layers.rows import Kind, Shape, ShapeError, Weight
from zoo.errors import GenaeError, UnsafeError, UsageError

MERGED = {"concat", "sum", "mul", "ave"}
QUANTISED = re.compile(r"(int4|int8|float8|gptq|awq)(?:[_/].*)?")
UNTRAINED = "vector_u"  # what a spectral normalisation has besides its layer


@dataclass
class Placed:
    """A layer whose inputs are known.

    Attributes:
        path: its name, behind those of the models that it stands in.
        layer: as the file has it.
        compute: what the result calls it; empty where it is not supported.
        options: of the result.
        inputs: shapes that go in.
        outputs: shapes that come out; nothing where that is not known.
        weights: in the order of the layer's own.
        mask: what becomes of a mask of steps.
        problem: why it is not supported.
    """

    path: str
    layer: Layer
    compute: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    inputs: list[Shape] = field(default_factory=list)
    outputs: list[Shape] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    mask: str = "pass"
    problem: GenaeError | None = None

    @property
    def parameters(self) -> int:
        """Number of values in its weights."""
        return sum(weight.size for weight in self.weights)

    def record(self) -> dict[str, Any]:
        """What the result says of it: computation and options."""
        return {"kind": self.compute, **self.options}


def place(path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int) -> Placed:
    """A layer that these tensors go into.

    Args:
        path: its name.
        layer: of no model.
        shapes: of inputs and then of tensors given by name; None where it is not known.
        keras: the version.

    Returns:
        The layer; with its `problem` where it is not supported.
    """
    try:
        _check_not_quantised(path, layer)
        if layer.kind in WRAPPERS:
            return WRAPPERS[layer.kind](path, layer, shapes, keras)
        return _of_row(path, layer, shapes, keras)
    except GenaeError as error:
        return Placed(path, layer, problem=error)
    except ValueError as error:
        return Placed(path, layer, problem=UsageError(f"layer {path!r} ({layer.kind}): {error}"))


def _check_not_quantised(path: str, layer: Layer) -> None:
    """Raise where Keras computes in integers, which no model of floats does."""
    policy = layer.options.get("dtype")
    if isinstance(policy, str) and (match := QUANTISED.fullmatch(policy)):
        raise UsageError(
            f"layer {path!r} ({layer.kind}) is quantised ({match[1]}): what goes into "
            "it is rounded, too. Convert the model as it was before quantize()"
        )


def _of_row(path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int) -> Placed:
    row = KINDS.get(layer.kind)
    if row is None:
        raise _stranger(path, layer)
    options = read_options(row.keys, layer.options, keras)
    shown = {
        key.name or name: options[key.name or name]
        for name, key in row.keys.items()
        if not key.hidden
    }
    found = Placed(path, layer, row.compute, shown, mask=row.mask)
    inputs = [shape for shape in shapes if shape is not None]
    if len(inputs) < len(shapes):
        return found
    _check_inputs(row, inputs)
    found.inputs, found.outputs = inputs, row.shape(options, inputs)
    found.weights = row.weights(options, inputs)
    found.options |= row.settings(options, inputs)
    if layer.frozen:
        found.weights = [replace(weight, trainable=False) for weight in found.weights]
    return found


def _check_inputs(row: Kind, shapes: Sequence[Shape]) -> None:
    low, high = row.inputs
    if not low <= len(shapes) <= high:
        raise ShapeError(f"{len(shapes)} tensors go in, not {low}" + f" to {high}" * (high > low))
    if row.rank and len(shapes[0]) not in row.rank:
        raise ShapeError(f"what goes in has the shape {shapes[0]}, of {len(shapes[0])} axes")


def _stranger(path: str, layer: Layer) -> GenaeError:
    """The error for a class that is not in the table."""
    if layer.kind == CODE:
        named = f", the function {layer.options['function']}" if layer.options else ""
        return UnsafeError(
            f"layer {path!r} is a Lambda{named}: program code, which is never run. Save the model "
            "without it, or the part before it"
        )
    near = difflib.get_close_matches(layer.kind, KINDS, 2)
    operation = layer.kind.startswith(("tf.", "ops."))
    kind = "an operation," if operation else "a layer of the class"
    hint = f" Is it {' or '.join(near)}?" if near else ""
    return UsageError(
        f"layer {path!r} is {kind} {layer.kind}, which is not known and never looked up.{hint} "
        "Save the model without it, or the part before it"
    )


def _inner(path: str, layer: Layer, name: str = "layer") -> Layer:
    if name not in layer.inner:
        raise ShapeError("the layer that it is around is missing")
    inner = layer.inner[name]
    if inner.model is not None:
        raise ShapeError("around a model it is not supported")
    return inner


def _within(weights: Sequence[Weight], folder: str, before: str = "") -> list[Weight]:
    """The weights of a layer inside of another."""
    return [
        replace(one, name=f"{before}{one.name}", inside=f"{folder}/{one.inside}".rstrip("/"))
        for one in weights
    ]


def _time_distributed(
    path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int
) -> Placed:
    """A layer at every step."""
    shape = shapes[0]
    if shape is not None and len(shape) < 3:
        raise ShapeError(f"what goes in has the shape {shape}, and no steps")
    each = None if shape is None else (None, *shape[2:])
    inner = _of_row(path, _inner(path, layer), [each], keras)
    return Placed(
        path,
        layer,
        "time_distributed",
        {"layer": inner.record()},
        [shape] if shape else [],
        [(*shape[:2], *one[1:]) for one in inner.outputs] if shape else [],
        _within(inner.weights, "layer"),
    )


def _bidirectional(path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int) -> Placed:
    """A recurrent layer in both directions."""
    forward = _inner(path, layer)
    turned = {**forward.options, "go_backwards": not forward.options.get("go_backwards", False)}
    backward = layer.inner.get("backward_layer") or replace(forward, options=turned)
    placed = [_of_row(path, one, shapes, keras) for one in (forward, backward)]
    if any("return_sequences" not in one.options for one in placed):
        raise ShapeError("what it is around is no recurrent layer")
    mode = layer.options.get("merge_mode", "concat")
    if mode is not None and mode not in MERGED:
        raise ShapeError(f"option merge_mode is {mode!r:.60}, not {', '.join(sorted(MERGED))}")
    one, other = placed
    outputs = [*one.outputs[:1], *other.outputs[:1]]
    if outputs and mode is not None:
        widths = [shape[-1] or 0 for shape in outputs]
        outputs = [(*outputs[0][:-1], sum(widths) if mode == "concat" else widths[0])]
    return Placed(
        path,
        layer,
        "bidirectional",
        {"forward": one.record(), "backward": other.record(), "merge_mode": mode},
        one.inputs,
        [*outputs, *one.outputs[1:], *other.outputs[1:]],
        [
            *_within(one.weights, "forward_layer", "forward_"),
            *_within(other.weights, "backward_layer", "backward_"),
        ],
        mask="use",
    )


def _spectral(path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int) -> Placed:
    """A layer whose stored kernel is normalised already."""
    inner = _of_row(path, _inner(path, layer), shapes, keras)
    inner.layer, inner.weights = layer, _within(inner.weights, "layer")
    if inner.weights:
        width = inner.weights[0].shape[-1]
        inner.weights.append(Weight(UNTRAINED, (1, width), trainable=False, kept=False))
    return inner


WRAPPERS = {
    "TimeDistributed": _time_distributed,
    "Bidirectional": _bidirectional,
    "SpectralNormalization": _spectral,
}
