"""A whole model: every call in order, models in it taken apart, shapes from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from convert.layers.form import INPUT, Architecture, Call, Layer
from convert.layers.placing import Placed, place
from convert.layers.rows import Shape
from zoo.errors import GenaeError, IntegrityError, UsageError

MASK = "mask"  # which is worked out anew
MAX_NODES = 5_000  # real models have a thousand; models in models, each twice, have powers of two

#: Layers that make a mask of steps: what computes it, and which of their options it takes.
MADE = ("ops.NotEqual", "ops.Any")
MASKS = {"embedding": ("mask_of_ids", ()), "masking": ("mask_of_steps", ("mask_value",))}


@dataclass(frozen=True)
class Node:
    """One computation: tensors, which are numbers, in and out.

    Attributes:
        layer: path of the layer.
        inputs: tensors.
        outputs: tensors.
        mask: of steps, where the layer uses one.
    """

    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    mask: int | None = None


@dataclass
class Network:
    """A model taken apart.

    Attributes:
        architecture: as the file has it.
        layers: those that compute something, by path, in the order of their first call.
        nodes: in the order of the computation.
        inputs: tensors that go in.
        outputs: tensors that come out.
        input_names: of the layers that take them in.
        shapes: of tensors; None where that is not known.
        parts: models in the model: name -> tensors in and out of their first call.
        problems: what is not supported, of the layers that the outputs need.
        unused: layers that no output needs and that are not supported; they are left out.
    """

    architecture: Architecture
    layers: dict[str, Placed] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    shapes: list[Shape | None] = field(default_factory=list)
    parts: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    problems: list[GenaeError] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    masks: dict[int, int] = field(default_factory=dict)

    def tensor(self, shape: Shape | None) -> int:
        """A new tensor."""
        if len(self.shapes) > MAX_NODES:
            raise IntegrityError(
                f"model {self.architecture.name!r} has more than {MAX_NODES} tensors: models in "
                "it contain one another too often"
            )
        self.shapes.append(shape)
        return len(self.shapes) - 1


def build(model: Architecture) -> Network:
    """Take a model apart.

    Raises:
        IntegrityError: it grows beyond all measure.
    """
    network = Network(model)
    given = []
    for one in model.inputs:
        layer = next(layer for layer in model.layers if layer.name == one.layer)
        shape = input_shape(layer)
        if shape is None and (first := _reader_shape(model, layer)):
            shape = first
        given.append(network.tensor(shape))
        network.input_names.append(layer.name)
    network.inputs = given
    network.outputs = _run(network, model, "", given)
    return network


def input_shape(layer: Layer) -> Shape | None:
    """The shape that an input layer takes, where it says one."""
    shape = layer.options.get("batch_input_shape")
    if not isinstance(shape, list) or len(shape) > 8:
        return None
    if any(one is not None and (type(one) is not int or one < 1) for one in shape):
        return None
    return (None, *shape[1:])


def _reader_shape(model: Architecture, layer: Layer) -> Shape | None:
    """Of an input without a shape, that of the model that reads from it."""
    for reader in model.layers:
        for call in reader.calls:
            if [one.layer for one in call.inputs] == [layer.name] and reader.model is not None:
                first = reader.model.inputs[:1]
                inner = next(
                    (one for one in reader.model.layers if first and one.name == first[0].layer),
                    None,
                )
                return input_shape(inner) if inner is not None else None
    return None


def _run(network: Network, model: Architecture, inside: str, given: Sequence[int]) -> list[int]:
    """Compute a model's calls; the tensors that come out."""
    layers = {layer.name: layer for layer in model.layers}
    values: dict[tuple[str, int], list[int]] = {}
    for one, tensor in zip(model.inputs, given, strict=False):
        values[one.layer, one.call - layers[one.layer].first] = [tensor]
    needed = _needed(model, layers)
    for layer, number in model.order():
        if (layer.name, number) in values:
            continue
        path = f"{inside}{layer.name}"
        if not layer.calls:
            _without_input(network, path, layer, (layer.name, number) in needed)
            values[layer.name, number] = [network.tensor(None)]
            continue
        call = layer.calls[number]
        inputs = [_value(network, values, layers, one) for one in call.inputs]
        if layer.model is not None:
            made = _run(network, layer.model, f"{path}/", inputs)
            if path not in network.parts:
                network.parts[path] = (inputs, made)
        else:
            roles = [
                _value(network, values, layers, one)
                for name in _roles(layer, call)
                for one in call.roles[name]
            ]
            is_needed = (layer.name, number) in needed
            made = _compute(network, path, layer, [*inputs, *roles], is_needed)
            _check_mask(network, path, layers, call)
        values[layer.name, number] = made
    return [_value(network, values, layers, one) for one in model.outputs]


def _roles(layer: Layer, call: Call) -> list[str]:
    """Names of tensors given by name, in the order in which a layer takes them."""
    from convert.layers.kinds import KINDS

    row = KINDS.get(layer.kind)
    first = [name for name in (row.roles if row else ()) if name in call.roles]
    return first + [name for name in call.roles if name not in (*first, MASK)]


def _value(network: Network, values: Any, layers: Any, one: Any) -> int:
    """The tensor that a reference means; one that nothing is known of where there is none."""
    found = values.get((one.layer, one.call - layers[one.layer].first), ())
    if one.output < len(found):
        return int(found[one.output])
    placed = [placed for placed in network.layers.values() if placed.layer is layers[one.layer]]
    if not any(each.problem or not each.outputs for each in placed):
        network.problems.append(
            IntegrityError(f"output {one.output} of layer {one.layer!r} is read, which it lacks")
        )
    return network.tensor(None)


def _check_mask(network: Network, path: str, layers: Any, call: Call) -> None:
    """Keras 3 writes masks down; one that no embedding or masking layer gave is not supported."""
    kinds = [layers[one.layer].kind for one in call.roles.get(MASK, ())]
    if strange := [kind for kind in kinds if kind not in MADE]:
        network.problems.append(
            UsageError(f"layer {path!r} takes a mask made by {strange[0]}, which is not supported")
        )


def _without_input(network: Network, path: str, layer: Layer, needed: bool) -> None:
    if not needed:
        return
    what = "an input that the model does not name" if layer.kind == INPUT else "called nowhere"
    network.problems.append(IntegrityError(f"layer {path!r} ({layer.kind}) is {what}"))


def _needed(model: Architecture, layers: dict[str, Layer]) -> set[tuple[str, int]]:
    """Calls that some output needs."""
    left = [(one.layer, one.call - layers[one.layer].first) for one in model.outputs]
    found = set(left)
    while left:
        name, number = left.pop()
        calls = layers[name].calls
        call = calls[number] if number < len(calls) else Call(())
        masks = call.roles.get(MASK, ())
        for one in (one for one in call.all if one not in masks):
            before = (one.layer, one.call - layers[one.layer].first)
            if before not in found:
                found.add(before)
                left.append(before)
    return found


def _compute(
    network: Network, path: str, layer: Layer, inputs: list[int], needed: bool
) -> list[int]:
    """One call of a layer; the tensors that come out."""
    shapes = [network.shapes[one] for one in inputs]
    placed = place(path, layer, shapes, network.architecture.keras)
    first = network.layers.get(path)
    if first is None or (first.problem is None and not first.outputs):
        network.layers[path] = placed
        if placed.problem is not None:
            if needed:
                network.problems.append(placed.problem)
            else:
                network.unused.append(path)
    elif first.weights != placed.weights:
        network.problems.append(
            UsageError(f"layer {path!r} is called with tensors that its weights do not fit")
        )
    outputs = [network.tensor(shape) for shape in placed.outputs] or [network.tensor(None)]
    if placed.problem is None:
        mask = _masked(network, path, placed, inputs, outputs, needed)
        network.nodes.append(Node(path, tuple(inputs), tuple(outputs), mask))
    return outputs


def _masked(
    network: Network,
    path: str,
    placed: Placed,
    inputs: list[int],
    outputs: list[int],
    needed: bool,
) -> int | None:
    """Pass a mask of steps on; the one that the layer uses."""
    if placed.mask == "make":
        if placed.compute == "embedding" and not placed.layer.options.get("mask_zero"):
            return None
        kind, names = MASKS[placed.compute]
        options = {name: placed.options[name] for name in names}
        made, shape = f"{path}/mask", network.shapes[inputs[0]]
        network.layers[made] = Placed(made, placed.layer, kind, options, mask="")
        network.masks[outputs[0]] = network.tensor(shape)
        network.nodes.append(Node(made, (inputs[0],), (network.masks[outputs[0]],)))
        return None
    masks = {network.masks.get(one) for one in inputs}
    mask = masks.pop() if len(masks) == 1 else None
    if placed.mask == "stop" or (mask is None and not masks):
        return None
    if mask is None or placed.mask == "refuse":
        if needed:
            what = "masks of steps that meet there are not supported"
            problem = UsageError(f"layer {path!r} ({placed.layer.kind}): {what}")
            network.problems.append(problem)
        return None
    if placed.mask == "pass" or placed.options.get("return_sequences"):
        network.masks |= dict.fromkeys(outputs[:1], mask)
    return mask if placed.mask == "use" else None
