"""The normal form of a Keras model's architecture: nouns alone, of every version's JSON."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: What a model's own class is called, in whatever version.
MODELS = ("Sequential", "Functional", "Model")
INPUT = "InputLayer"


@dataclass(frozen=True)
class Reference:
    """A tensor: which output of which call of which layer.

    Attributes:
        layer: its name, in the model that it stands in.
        call: which time the layer is applied, from 0.
        output: which of its outputs, from 0.
    """

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True)
class Call:
    """A layer applied once.

    Attributes:
        inputs: in the order of the layer's arguments.
        roles: tensors given by name, such as the initial state of a recurrent layer.
        arguments: what else is given by name, or of an operation by place ("0", "1" ...).
    """

    inputs: tuple[Reference, ...]
    roles: dict[str, tuple[Reference, ...]] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def all(self) -> list[Reference]:
        """Every tensor that is read."""
        return [*self.inputs, *(one for role in self.roles.values() for one in role)]


@dataclass
class Layer:
    """One layer of a model.

    Attributes:
        name: unique in its model.
        kind: the class, by the name that Keras 2 gave it.
        options: as the file has them, under Keras 2's names.
        calls: each time it is applied; none of an input.
        first: the number of the first call in references: 1 of a model, where the file counts its
            making as a call.
        model: where the layer is a model itself.
        inner: the layers that a wrapper has, by the option that names them.
        frozen: whether `trainable` is off; its weights then count as not trainable.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    model: Architecture | None = None
    inner: dict[str, Layer] = field(default_factory=dict)
    first: int = 0
    frozen: bool = False

    @property
    def inside(self) -> Architecture | None:
        """The model that a layer at every step is around."""
        inner = self.inner.get("layer")
        return inner.model if inner is not None and self.kind == "TimeDistributed" else None


@dataclass
class Architecture:
    """A model: layers in the order of the file, which is that of its weights.

    Attributes:
        name: of the model.
        layers: each with its calls.
        inputs: the order of what goes in.
        outputs: the order of what comes out.
        keras: 1, 2 or 3: in which some layers compute otherwise.
        chain: whether the file has it as a Sequential.
    """

    name: str
    layers: list[Layer]
    inputs: list[Reference]
    outputs: list[Reference]
    keras: int = 2
    chain: bool = False

    def order(self) -> list[tuple[Layer, int]]:
        """Calls in an order in which each has its inputs; those that wait in a circle are absent.

        Of those that have them the first in the file comes next, which is Keras's own order.
        Inputs are call 0 of layers that have none.
        """
        places = {layer.name: place for place, layer in enumerate(self.layers)}
        layers = {layer.name: layer for layer in self.layers}
        waiting = {
            (layer.name, place): {(one.layer, one.call - layers[one.layer].first)
                                  for one in call.all}
            for layer in self.layers
            for place, call in enumerate(layer.calls)
        }  # fmt: skip
        readers: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for reader, needed in waiting.items():
            for one in needed:
                readers.setdefault(one, []).append(reader)
        first = [(layer.name, 0) for layer in self.layers if not layer.calls]
        first += [reader for reader, needed in waiting.items() if not needed]
        ready = [(places[name], number) for name, number in first]
        heapq.heapify(ready)
        found: list[tuple[Layer, int]] = []
        while ready:
            place, number = heapq.heappop(ready)
            layer = self.layers[place]
            found.append((layer, number))
            for reader in readers.get((layer.name, number), ()):
                waiting[reader].discard((layer.name, number))
                if not waiting[reader]:
                    heapq.heappush(ready, (places[reader[0]], reader[1]))
        return found

    def walk(self, inside: str = "") -> Iterator[tuple[str, Layer]]:
        """Every layer by its path, those of models in it too."""
        for layer in self.layers:
            path = f"{inside}{layer.name}"
            yield path, layer
            if (model := layer.model or layer.inside) is not None:
                yield from model.walk(f"{path}/")
