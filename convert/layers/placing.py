"""One layer at its place: its row, its options, its shapes and its weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from convert.layers.form import Call, Layer
from convert.layers.kinds import KINDS
from convert.layers.kinds.operations import OPERATIONS
from convert.layers.options import read_options
from convert.layers.parsing import CODE
from convert.layers.rows import Kind, Shape, ShapeError, Weight
from convert.layers.shapes import CONSTANTS
from zoo.errors import GenaeError, UnsafeError, UsageError
from zoo.hints import quote

MERGED = {"concat", "sum", "mul", "ave"}
QUANTISED = re.compile(r"(int4|int8|float8|gptq|awq)(?:[_/].*)?")
SAY = "Say what it computes (sampling, l2_normalize, mean:axis=1 ...): --lambda {}"
ALIKE = 0.85  # how much of the letters two classes share whose names are near
CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose")
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
        inner_mask: the same of the layer that it is around.
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
    inner_mask: str = ""

    @property
    def parameters(self) -> int:
        """Number of values in its weights."""
        return sum(weight.size for weight in self.weights)

    def record(self) -> dict[str, Any]:
        """What the result says of it: computation and options."""
        return {"kind": self.compute, **self.options}


@dataclass(frozen=True)
class Bound:
    """An operation, under the names of its row.

    Attributes:
        layer: with its options.
        row: of the table of operations.
    """

    layer: Layer
    row: Kind


def place(
    path: str,
    layer: Layer,
    shapes: Sequence[Shape | None],
    keras: int,
    call: Call | None = None,
    bound: Bound | None = None,
) -> Placed:
    """A layer that these tensors go into.

    Args:
        path: its name.
        layer: of no model.
        shapes: of inputs and then of tensors given by name; None where it is not known.
        keras: the version.
        call: what else it is given.
        bound: what it is, where it is an operation.

    Returns:
        The layer; with its `problem` where it is not supported.
    """
    try:
        _check_not_quantised(path, layer)
        _check_order_of_kernels(path, layer, keras)
        if bound is not None:
            found = _read(path, bound.layer, bound.row, shapes, keras)
            found.layer = layer
            return found
        return _of_class(path, layer, shapes, keras, call or Call(()))
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


def _check_order_of_kernels(path: str, layer: Layer, keras: int) -> None:
    """Raise where no file says how kernels lie: of Keras 1, whose images had channels first."""
    inner = layer.inner.get("layer", layer)
    first = inner.options.get("data_format") == "channels_first"
    if keras == 1 and first and inner.kind in CONVOLUTIONS:
        raise UsageError(
            f"layer {path!r} ({inner.kind}) is of Keras 1, with channels first (dim_ordering th): "
            "its kernels may be turned, and no file says so. Load the model in Keras 2, save it "
            "there and convert that"
        )


def _of_class(
    path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int, call: Call
) -> Placed:
    """A layer by its class: a row of the table, or around others."""
    if layer.kind in WRAPPERS:
        return WRAPPERS[layer.kind](path, layer, shapes, keras, call)
    row = KINDS.get(layer.kind)
    if row is None:
        raise _stranger(path, layer)
    for name, value in call.arguments.items():
        if name not in row.arguments and value not in (None, False):
            raise ValueError(f"is called with {name}={value!r:.60}, which is not supported")
    return _read(path, layer, row, shapes, keras, call)


def _read(
    path: str,
    layer: Layer,
    row: Kind,
    shapes: Sequence[Shape | None],
    keras: int,
    call: Call | None = None,
) -> Placed:
    """Options, shapes and weights by a row."""
    options = read_options(row.keys, layer.options, keras)
    options |= read_options(row.arguments, call.arguments if call else {}, keras)
    shown = {
        key.name or name: options[key.name or name]
        for name, key in (*row.keys.items(), *row.arguments.items())
        if not key.hidden
    }
    found = Placed(path, layer, row.compute, shown, mask=row.mask)
    inputs = [shape for shape in shapes if shape is not None]
    if len(inputs) < len(shapes):
        return found
    _check_inputs(row, inputs, sum(one is not None for one in options.get(CONSTANTS) or ()))
    found.inputs, found.outputs = inputs, row.shape(options, inputs)
    found.weights = row.weights(options, inputs)
    found.options |= row.settings(options, inputs)
    if layer.frozen:
        found.weights = [replace(weight, trainable=False) for weight in found.weights]
    return found


def _check_inputs(row: Kind, shapes: Sequence[Shape], constants: int) -> None:
    low, high = row.inputs
    if not low <= len(shapes) + constants <= high or not shapes:
        raise ShapeError(f"{len(shapes)} tensors go in, not {low}" + f" to {high}" * (high > low))
    if row.mask != "stop" and not all(shapes):
        raise ShapeError("what goes in has no axis of examples")
    if row.rank and len(shapes[0]) not in row.rank:
        raise ShapeError(f"what goes in has the shape {shapes[0]}, of {len(shapes[0])} axes")


def _stranger(path: str, layer: Layer) -> GenaeError:
    """The error for a class that is not in the table."""
    if layer.kind == CODE:
        function = layer.options.get("function")
        named = f", the function {function}" if function else ""
        return UnsafeError(
            f"layer {path!r} is a Lambda{named}: program code, which is never run. "
            f"{SAY.format(_meaning(layer, str(function)))}"
        )
    near = difflib.get_close_matches(layer.kind, KINDS, 2, ALIKE)
    operation = layer.kind.startswith(("tf.", "ops.", "op."))
    kind = "an operation," if operation else "a layer of the class"
    hint = f" Is it {' or '.join(near)}?" if near else ""
    return UsageError(
        f"layer {path!r} is {kind} {layer.kind}, which is not known and never looked up.{hint} "
        f"{SAY.format(_meaning(layer, layer.kind))}"
    )


def _meaning(layer: Layer, word: str) -> str:
    """What `--lambda` takes: the operation that is called like a class or a function, if any."""
    named = re.split(r"[>.:]", word)[-1].lower()
    return quote(f"{layer.name}={named if named in OPERATIONS else 'MEANING'}")


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
    path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int, call: Call
) -> Placed:
    """A layer at every step."""
    shape = shapes[0]
    if shape is not None and len(shape) < 3:
        raise ShapeError(f"what goes in has the shape {shape}, and no steps")
    each = None if shape is None else (None, *shape[2:])
    inner = _of_class(path, _inner(path, layer), [each], keras, Call(()))
    return Placed(
        path,
        layer,
        "time_distributed",
        {"layer": inner.record()},
        [shape] if shape else [],
        [(*shape[:2], *one[1:]) for one in inner.outputs] if shape else [],
        _within(inner.weights, "layer"),
        mask="distribute",
        inner_mask=inner.mask,
    )


def _bidirectional(
    path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int, call: Call
) -> Placed:
    """A recurrent layer in both directions."""
    forward = _inner(path, layer)
    turned = {**forward.options, "go_backwards": not forward.options.get("go_backwards", False)}
    backward = layer.inner.get("backward_layer") or replace(forward, options=turned)
    half = 1 + (len(shapes) - 1) // 2
    own = [shapes[:half], [*shapes[:1], *shapes[half:]]]
    placed = [_of_class(path, one, of, keras, call)
              for one, of in zip((forward, backward), own, strict=True)]  # fmt: skip
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


def _spectral(
    path: str, layer: Layer, shapes: Sequence[Shape | None], keras: int, call: Call
) -> Placed:
    """A layer whose stored kernel is normalised already."""
    inner = _of_class(path, _inner(path, layer), shapes, keras, call)
    inner.layer, inner.weights = layer, _within(inner.weights, "layer")
    if inner.weights:
        width = inner.weights[0].shape[-1]
        inner.weights[0] = replace(inner.weights[0], copied=True)
        inner.weights.append(
            Weight(UNTRAINED, (1, width), trainable=False, kept=False, filler=1.0)
        )
    return inner


WRAPPERS = {
    "TimeDistributed": _time_distributed,
    "Bidirectional": _bidirectional,
    "SpectralNormalization": _spectral,
}
