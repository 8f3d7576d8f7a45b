"""Settings of a model that is a list of layers."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .layer_kinds import COMPUTATIONS

MAX_AXES = 8


@strict
class LayersConfig(PreTrainedConfig):
    """A graph of layers, as `genae convert` makes it of a Keras model.

    Attributes:
        layers: by the name of the module that has its weights: `name` in the original, `kind` (one
            of the computations of `layer_kinds`), its options, `weights` and `statistics` with
            the shape of each.
        nodes: computations in their order: `layer`, and the numbers of the tensors `inputs`,
            `outputs` and, where one is used, `mask`.
        inputs: what goes in: `name`, `shape` with the batch first and null for any size, and
            `tensor`, its number.
        outputs: numbers of the tensors that come out.
        parts: models in the model, by name: `inputs` and `outputs`, numbers of tensors.
        channels_last: whether images come and go with their channels last, as the original's do;
            false puts them behind the batch in all inputs and outputs of four axes or more.
    """

    model_type = "genae_layers"

    layers: dict[str, Any] | None = None
    nodes: list[Any] | None = None
    inputs: list[Any] | None = None
    outputs: list[Any] | None = None
    parts: dict[str, Any] | None = None
    channels_last: bool = True

    def validate_layers(self) -> None:
        """Raise `ValueError` unless layers, nodes and tensors fit together."""
        layers = self.layers or {}
        for name, record in layers.items():
            if not isinstance(record, dict) or record.get("kind") not in COMPUTATIONS:
                raise ValueError(f"layers.{name} has no kind that there is: {record!r:.80}")
            for shapes in (record.get("weights", {}), record.get("statistics", {})):
                for weight, shape in shapes.items():
                    sizes = all(type(size) is int and size > 0 for size in shape)
                    if not sizes or len(shape) > MAX_AXES or math.prod(shape) > 2**40:
                        raise ValueError(f"layers.{name}.{weight} has the shape {shape!r:.80}")
        made = {one["tensor"] for one in self.inputs or ()}
        for node in self.nodes or ():
            used = [*node["inputs"], *filter(None, [node.get("mask")])]
            if node["layer"] not in layers or not made.issuperset(used):
                raise ValueError(f"a node reads what no node before it makes: {node!r:.80}")
            made |= set(node["outputs"])
        if not made.issuperset(self.outputs or ()):
            raise ValueError(f"outputs {self.outputs!r:.80} are made by no node")
