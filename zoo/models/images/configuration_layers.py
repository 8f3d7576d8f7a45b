"""Settings of a model that is a list of layers."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .layer_graph import check_graph

GRAPH = ("layers", "nodes", "inputs", "outputs", "parts")  # what `check_graph` takes


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
        encoder: the part that makes codes, where there is one.
        decoder: the part that takes codes, where there is one.
        channels_last: whether images come and go with their channels last, as the original's do;
            false puts them behind the batch in all inputs and outputs of four axes or more.
        original: the architecture in Keras's JSON, with what changes its outputs or its training;
            `genae export` goes by it, nothing is computed from it.
    """

    model_type = "genae_layers"

    layers: dict[str, Any] | None = None
    nodes: list[Any] | None = None
    inputs: list[Any] | None = None
    outputs: list[Any] | None = None
    parts: dict[str, Any] | None = None
    encoder: str | None = None
    decoder: str | None = None
    channels_last: bool = True
    original: dict[str, Any] | None = None

    def validate_layers(self) -> None:
        """Raise `ValueError` unless layers, nodes and tensors fit together."""
        check_graph({key: getattr(self, key) for key in GRAPH})
        for half in ("encoder", "decoder"):
            if (name := getattr(self, half)) is not None and name not in (self.parts or {}):
                raise ValueError(f"{half} is {name!r:.60}, and no part is called so")
