"""A whole model: every call in order, models in it taken apart, shapes from end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from convert.layers import masks
from convert.layers.binding import MASKS, bind, find, operands
from convert.layers.form import INPUT, Architecture, Call, Layer, Reference
from convert.layers.graph import Network, Node
from convert.layers.meanings import Meaning, Meanings
from convert.layers.needing import choose_outputs, keep_needed
from convert.layers.placing import Bound, Placed, place
from convert.layers.rows import Kind, Shape
from zoo.errors import GenaeError, IntegrityError, UsageError


def build(
    model: Architecture, meanings: Mapping[str, str] | None = None, outputs: Sequence[object] = ()
) -> Network:
    """Take a model apart.

    Args:
        model: as the file has it.
        meanings: what layers compute whose program is not run: by name or pattern, as
            `meanings.parse` has it.
        outputs: those that are wanted, by number or by the name of a layer; all where empty.

    Raises:
        IntegrityError: it grows beyond all measure.
        UsageError: there is no such meaning, or no such output.
    """
    if outputs:
        model = replace(model, outputs=choose_outputs(model, outputs))
    network = Network(model, meanings=Meanings.read(meanings or {}))
    for one in model.inputs:
        layer = next(layer for layer in model.layers if layer.name == one.layer)
        network.inputs.append(network.tensor(input_shape(layer) or _reader_shape(model, layer)))
        network.input_names.append(layer.name)
    network.outputs = run(network, model, "", network.inputs)
    keep_needed(network, with_inputs=not outputs)
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


def run(network: Network, model: Architecture, inside: str, given: Sequence[int]) -> list[int]:
    """Add a model's calls to a network.

    Args:
        network: which grows.
        model: the whole, or a model in it.
        inside: the path of a model, with a slash behind it.
        given: tensors that go in.

    Returns:
        The tensors that come out.
    """
    return _Run(network, model, inside).of(given)


def _alike(first: Placed, again: Placed) -> bool:
    """Whether options are the same in another call; masks may come with one of them."""
    one, other = ({**each.options, masks.FILL: None} for each in (first, again))
    return one == other


@dataclass
class _Run:
    """One model at its place, as its calls are added one by one."""

    network: Network
    model: Architecture
    inside: str
    values: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)

    def of(self, given: Sequence[int]) -> list[int]:
        self.layers = {layer.name: layer for layer in self.model.layers}
        for one, tensor in zip(self.model.inputs, given, strict=False):
            self.values[self.key(one)] = [tensor]
        for layer, number in self.model.order():
            if (layer.name, number) not in self.values:
                self.values[layer.name, number] = self.call(layer, number)
        for (name, number), made in self.values.items():
            self.network.made.setdefault((f"{self.inside}{name}", number), made)
        return [self.value(one) for one in self.model.outputs]

    def key(self, one: Reference) -> tuple[str, int]:
        return one.layer, one.call - self.layers[one.layer].first

    def value(self, one: Reference) -> int:
        """The tensor that a reference means; of a layer that lacks it, one that nobody makes."""
        found = self.values.setdefault(self.key(one), [])
        if one.output < len(found):
            return found[one.output]
        path = f"{self.inside}{one.layer}"
        placed = self.network.layers.get(path)
        problem = placed.problem if placed is not None else None
        if placed is None or (problem is None and placed.outputs):
            problem = IntegrityError(f"output {one.output} of layer {path!r} is read, which it "
                                     "lacks; save the model again")  # fmt: skip
        return self.lost(path, found[:1], problem)

    def lost(self, path: str, inputs: Sequence[int], problem: GenaeError | None) -> int:
        """A tensor that cannot be computed."""
        made = self.network.tensor(None)
        self.network.nodes.append(Node(path, tuple(inputs), (made,), problem=problem))
        return made

    def call(self, layer: Layer, number: int) -> list[int]:
        """One call of a layer; the tensors that come out."""
        network, path = self.network, f"{self.inside}{layer.name}"
        if not layer.calls:
            input_ = "an input that the model does not name"
            what = input_ if layer.kind == INPUT else "called nowhere"
            problem = IntegrityError(
                f"layer {path!r} ({layer.kind}) is {what}; save the model again"
            )
            return [self.lost(path, (), problem)]
        call = layer.calls[number]
        if layer.model is not None:
            inputs = [self.value(one) for one in call.inputs]
            made = run(network, layer.model, f"{path}/", inputs)
            if path not in network.parts:
                network.parts[path] = (inputs, made)
            return made
        if layer.inside is not None:
            return self.at_every_step(layer, path, call)
        if (found := find(path, layer, network.meanings)) is not None:
            return self.operation(path, layer, call, *found)
        inputs = [self.value(one) for one in operands(layer, call)]
        given = {name: [self.value(one) for one in of] for name, of in call.roles.items()
                 if MASKS.fullmatch(name)}  # fmt: skip
        makers = {self.layers[one.layer].kind for one in call.roles.get("mask", ())}
        if len(inputs) == 1 and makers and makers <= {*masks.MADE}:  # which are worked out anew
            del given["mask"]
        return self.layer(path, layer, inputs, call, given)

    def operation(
        self, path: str, layer: Layer, call: Call, row: Kind, meaning: Meaning | None
    ) -> list[int]:
        """An operation, or what a person said that a layer is."""
        try:
            bound, operands = bind(layer, call, row, meaning)
        except ValueError as error:
            words = f"layer {path!r} ({layer.kind}): {error}"
            self.network.layers.setdefault(path, Placed(path, layer, problem=UsageError(words)))
            return [self.lost(path, (), UsageError(words))]
        inputs = [self.value(one) for one in operands]
        return self.layer(path, layer, inputs, call, {}, Bound(bound, row))

    def layer(
        self, path: str, layer: Layer, inputs: list[int], call: Call,
        given: dict[str, list[int]], bound: Bound | None = None,
    ) -> list[int]:  # fmt: skip
        """A layer or an operation with its tensors."""
        network = self.network
        shapes = [network.shapes[one] for one in inputs]
        placed = place(path, layer, shapes, network.architecture.keras, call, bound)
        first = network.layers.get(path)
        problem = placed.problem
        if first is None or (first.problem is None and not first.outputs):
            network.layers[path] = placed
        elif first.weights != placed.weights or not _alike(first, placed):
            problem = problem or UsageError(
                f"layer {path!r} is called with tensors that its weights or options do not fit"
            )
        outputs = [network.tensor(shape) for shape in placed.outputs] or [network.tensor(None)]
        mask = None
        if problem is None:
            try:
                mask = masks.pass_on(network, placed, inputs, outputs, given)
            except ValueError as error:
                problem = UsageError(f"layer {path!r} ({layer.kind}): {error}")
        network.nodes.append(Node(path, tuple(inputs), tuple(outputs), mask, problem))
        return outputs

    def at_every_step(self, layer: Layer, path: str, call: Call) -> list[int]:
        """A model at every step of a sequence: steps become examples, and examples steps again."""
        network, x = self.network, self.value(call.inputs[0])
        shape = network.shapes[x]
        if len(call.inputs) != 1 or (shape is not None and len(shape) < 3):
            problem = UsageError(f"layer {path!r} ({layer.kind}): {shape} has no steps")
            network.layers[path] = Placed(path, layer, problem=problem)
            return [self.lost(path, (), problem)]
        inner = None if shape is None else (None, *shape[2:])
        folded = network.compute(f"{path}:fold", layer, "fold_steps", {}, [x], inner)
        masks.fold(network, path, layer, x, folded)
        assert layer.inside is not None
        found = []
        for place_, made in enumerate(run(network, layer.inside, f"{path}/", [folded])):
            size = network.shapes[made]
            whole = None if shape is None or size is None else (*shape[:2], *size[1:])
            name = f"{path}:unfold" + f"_{place_}" * bool(place_)
            found.append(network.compute(name, layer, "unfold_steps", {}, [made, x], whole))
            masks.unfold(network, path, layer, x, made, found[-1])
        return found
