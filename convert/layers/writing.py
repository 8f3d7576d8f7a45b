"""From the normal form to the JSON of a version of Keras: what `parsing` reads, written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convert.layers.binding import MASKS, operands, roles_of
from convert.layers.dialects import ANY, as_object
from convert.layers.form import INPUT, Architecture, Call, Layer, Reference
from convert.layers.graph import Network
from convert.layers.kinds import KINDS
from convert.layers.masks import MADE
from convert.layers.network import input_shape
from convert.layers.options import REQUIRED, read_options
from convert.layers.placing import WRAPPERS
from convert.layers.rows import Kind
from zoo.errors import UsageError

SINGLE = "float32"
MAX_CARRIED = 8  # items of a list that is carried along

#: Options of layers around others that the way back has again.
AROUND = {"Bidirectional": ("merge_mode",), "SpectralNormalization": ("power_iterations",)}


@dataclass(frozen=True)
class JsonWriter:
    """Writes the architecture of a network.

    Attributes:
        network: all of it supported.
        keras: the version that is to read it; `ANY` writes what `config.json` keeps, Keras 2's
            form in the fewest words.
        dtype: in which its layers are to compute.
    """

    network: Network
    keras: int
    dtype: str = SINGLE

    def model(self, model: Architecture, inside: str = "", name: str = "") -> dict[str, Any]:
        """A model and all models in it.

        Raises:
            UsageError: the version lacks a class, an option or a function.
        """
        inputs = model.inputs
        if not inside:  # of which those that no output needs may be gone
            inputs = [one for one in inputs if one.layer in self.network.input_names]
        wanted = needed(model) | {one.layer for one in inputs}
        layers = [layer for layer in model.layers if layer.name in wanted]
        places = {layer.name: layer for layer in layers}
        table: dict[str, Any] = {"name": name or model.name}
        table["layers"] = [self._layer(one, inside, places, model.chain) for one in layers]
        if model.chain:
            return as_object("Sequential", table, self.keras)
        for key, found in (("input_layers", inputs), ("output_layers", model.outputs)):
            triples = [self._triple(one, places, outside=True) for one in found]
            table[key] = triples[0] if len(triples) == 1 else triples
        return as_object("Functional", table, self.keras)

    def _layer(
        self, layer: Layer, inside: str, places: Mapping[str, Layer], chain: bool
    ) -> dict[str, Any]:
        path = f"{inside}{layer.name}"
        if layer.model is not None:
            table = self.model(layer.model, f"{path}/", layer.name)
            if layer.frozen:
                table["config"]["trainable"] = False
        elif not layer.calls:  # an input, whatever its class
            table = as_object(INPUT, self._input(layer, path), self.keras)
        else:
            table = self._object(layer, path)
        if chain:
            return table
        nodes = [self._node(layer, call, places, inside) for call in layer.calls]
        named = {} if self.keras == ANY else {"name": layer.name}
        return {**table, **named, "inbound_nodes": nodes}

    def _input(self, layer: Layer, path: str) -> dict[str, Any]:
        shape = input_shape(layer) or self.network.shapes[self.network.made[path, 0][0]]
        kind = layer.options.get("dtype")
        options: dict[str, Any] = {"name": layer.name}
        if shape is not None:
            options["batch_input_shape"] = list(shape)
        if self.keras != ANY or kind not in (SINGLE, None):
            options["dtype"] = kind if isinstance(kind, str) else SINGLE
        return options

    def _object(self, layer: Layer, path: str, inside: bool = False) -> dict[str, Any]:
        """A layer that computes, with the layers that it has inside; one of those, too."""
        options: dict[str, Any] = {"name": layer.name}
        if self.keras != ANY:
            options["dtype"] = self.dtype
        if layer.frozen:
            options["trainable"] = False
        if layer.kind in WRAPPERS:
            around = AROUND.get(layer.kind, ())
            options |= {key: layer.options[key] for key in around if key in layer.options}
            for key, one in layer.inner.items():
                options[key] = (
                    self._object(one, path, True)
                    if one.model is None
                    else self.model(one.model, f"{path}/", one.name)
                )
        else:
            try:
                options |= self._options(layer, path)
            except ValueError as error:
                raise UsageError(f"layer {path!r} ({layer.kind}): {error}") from None
        return as_object(layer.kind, options, self.keras, value=inside)

    def _options(self, layer: Layer, path: str) -> dict[str, Any]:
        row = KINDS.get(layer.kind)
        if row is None and self.keras == ANY:
            return {}
        if row is None:
            raise ValueError("no class of Keras")
        if self.keras not in (ANY, *row.versions):
            raise ValueError(f"Keras {self.keras} has no such class")
        read = self.network.architecture.keras
        values = read_options(row.keys, layer.options, read)
        found = {}
        for name, key in row.keys.items():
            value = values[key.name or name]
            default = key.default is not REQUIRED and value == key.read(key.default, read)
            if default and (self.keras == ANY or key.since > self.keras):
                continue
            if self.keras != ANY and key.since > self.keras:
                raise ValueError(f"Keras {self.keras} has no option {name}")
            found[name] = key.write(value, self.keras)
        if self.keras == 2:
            found |= self._shapes(row, path)
        return found | {
            name: layer.options[name] for name in row.carried if _plain(layer.options.get(name))
        }

    def _shapes(self, row: Kind, path: str) -> dict[str, Any]:
        placed = self.network.layers[path]
        inputs: list[Any] = [list(shape) for shape in placed.inputs] or [None]
        return {name: [*inputs, inputs[-1]][min(place, len(inputs))]
                for place, name in enumerate(row.shapes)}  # fmt: skip

    def _node(self, layer: Layer, call: Call, places: Mapping[str, Layer], inside: str) -> Any:
        """A call, in the form of the version."""
        tensors, roles = operands(layer, call), roles_of(layer)
        more = self._more(layer, call, places, inside)
        triples = [self._triple(one, places) for one in tensors]
        if self.keras == 3:
            made: list[Any] = [
                self._tensor(one, triple, places, inside)
                for one, triple in zip(tensors, triples, strict=True)
            ]
            if not roles:
                return {"args": [made] if _takes_list(layer, made) else made, "kwargs": more}
            rest = [made[1:]] if len(roles) == 1 else made[1:]
            named = dict(zip(roles, filter(None, rest), strict=False))
            return {"args": made[:1], "kwargs": named | more}
        if len(roles) > 1:
            return [[*triples[0], dict(zip(roles, triples[1:], strict=False)) | more]]
        return [
            triple if self.keras == ANY and not more else [*triple, more] for triple in triples
        ]

    def _more(
        self, layer: Layer, call: Call, places: Mapping[str, Layer], inside: str
    ) -> dict[str, Any]:
        """Masks that somebody gave by name, and what else a call asks for."""
        row = KINDS.get(layer.kind)
        asked = {name: value for name, value in call.arguments.items()
                 if row is not None and name in row.arguments and value}  # fmt: skip
        masks = {name: of[0] for name, of in call.roles.items() if _given(name, of, places)}
        for name, one in masks.items():
            triple = self._triple(one, places)
            asked[name] = self._tensor(one, triple, places, inside) if self.keras == 3 else triple
        return asked

    def _triple(
        self, one: Reference, places: Mapping[str, Layer], outside: bool = False
    ) -> list[Any]:
        """A reference; the calls of models count from 1, in Keras 3 those of its outputs alone."""
        layer = places[one.layer]
        version = self.keras or self.network.architecture.keras
        graph = layer.model is not None and not layer.model.chain
        later = layer.model is not None if version < 3 else graph and outside
        return [one.layer, one.call - layer.first + later, one.output]

    def _tensor(
        self, one: Reference, triple: list[Any], places: Mapping[str, Layer], inside: str
    ) -> dict[str, Any]:
        """The object that stands for a tensor in Keras 3."""
        layer = places[one.layer]
        number = self.network.made[f"{inside}{one.layer}", one.call - layer.first][one.output]
        shape = self.network.shapes[number]
        kind = SINGLE if layer.calls else self._input(layer, f"{inside}{one.layer}")["dtype"]
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": list(shape or ()), "dtype": kind, "keras_history": triple},
        }


def needed(model: Architecture) -> set[str]:
    """Names of the layers that some output of a model needs."""
    layers = {layer.name: layer for layer in model.layers}
    left = [one.layer for one in model.outputs]
    found = set(left)
    while left:
        for call in layers[left.pop()].calls:
            masks = [of[0] for name, of in call.roles.items() if _given(name, of, layers)]
            tensors = [*call.inputs, *masks]
            for name, of in call.roles.items():
                tensors += [] if MASKS.fullmatch(name) else of
            new = {one.layer for one in tensors} - found
            found |= new
            left += new
    return found


def _given(name: str, of: Sequence[Reference], layers: Mapping[str, Layer]) -> bool:
    """Whether a tensor given by name is a mask that Keras does not work out by itself."""
    others = [one for one in of if one.layer in layers and layers[one.layer].kind not in MADE]
    return MASKS.fullmatch(name) is not None and bool(others)


def _takes_list(layer: Layer, tensors: list[Any]) -> bool:
    """Whether tensors are one argument, a list, even where it is one tensor."""
    row = KINDS.get(layer.kind)
    return len(tensors) > 1 or (row is not None and row.inputs[1] > 1)


def _plain(value: Any) -> bool:
    """Whether an option that was not read is a word, a number, or a short list of them."""
    if isinstance(value, list):
        return len(value) <= MAX_CARRIED and all(
            one is None or isinstance(one, bool | int | float | str) for one in value
        )
    return isinstance(value, bool | int | float | str)
