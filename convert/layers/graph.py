"""A model taken apart: computations in their order, the tensors between them, their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from convert.layers.form import Architecture, Layer
from convert.layers.meanings import Meanings
from convert.layers.placing import Placed
from convert.layers.rows import Shape
from zoo.errors import GenaeError, IntegrityError

MAX_NODES = 5_000  # real models have a thousand; models in models, each twice, have powers of two


@dataclass(frozen=True)
class Node:
    """One computation: tensors, which are numbers, in and out.

    Attributes:
        layer: path of the layer.
        inputs: tensors.
        outputs: tensors.
        mask: of steps, where the layer uses one; several of an attention, None where one lacks.
        problem: why it is not supported.
    """

    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    mask: int | tuple[int | None, ...] | None = None
    problem: GenaeError | None = None

    @property
    def reads(self) -> set[int]:
        """Every tensor that it needs."""
        masks = self.mask if isinstance(self.mask, tuple) else (self.mask,)
        return {*self.inputs, *(one for one in masks if one is not None)}


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
        unused: layers without weights, or not supported, that no output needs; they are left out.
        meanings: what a person said that layers compute.
        masks: of steps: tensor -> the mask that belongs to it.
        made: what comes out of a layer's call, by path and number; of a model's layers in the
            model's first call.
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
    meanings: Meanings = field(default_factory=Meanings)
    masks: dict[int, int] = field(default_factory=dict)
    made: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def tensor(self, shape: Shape | None) -> int:
        """A new tensor."""
        if len(self.shapes) > MAX_NODES:
            raise IntegrityError(
                f"model {self.architecture.name!r} has more than {MAX_NODES} tensors: models in "
                "it contain one another too often"
            )
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def compute(
        self, path: str, layer: Layer, kind: str, options: dict[str, Any],
        inputs: Sequence[int], shape: Shape | None,
    ) -> int:  # fmt: skip
        """A computation that no layer of the file stands for; the tensor that comes out."""
        self.layers[path] = Placed(path, layer, kind, options, mask="")
        made = self.tensor(shape)
        self.nodes.append(Node(path, tuple(inputs), (made,)))
        return made


def reach(nodes: Sequence[Node], wanted: Iterable[int]) -> set[int]:
    """Tensors that some tensors need, themselves among them."""
    needed = set(wanted)
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed |= node.reads
    return needed
