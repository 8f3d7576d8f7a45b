"""Small Keras models as JSON, and what they compute."""

from typing import Any

import numpy as np
import torch

from convert.layers.graph import Network
from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.settings import settings
from convert.layers.text import Source
from zoo.models.images.configuration_layers import LayersConfig
from zoo.models.images.modeling_layers import LayersModel

VERSIONS = {2: "2.15.0", 3: "3.5.0"}


def given(name: str, *shape: int | None) -> dict:
    """An input layer."""
    config = {"name": name, "batch_input_shape": [None, *shape]}
    return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}


def layer(kind: str, name: str, nodes: list, /, **config: Any) -> dict:
    """A layer as Keras 2 writes it."""
    return {"class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": nodes}  # fmt: skip


def node(*names: str, **arguments: Any) -> list:
    """A call of a layer, with arguments at its first tensor."""
    return [[[name, 0, 0, arguments if place == 0 else {}] for place, name in enumerate(names)]]


def operation(function: str, first: list, **arguments: Any) -> dict:
    """An operation of tf.keras on a tensor, on a list of them or behind a constant."""
    many = bool(first) and isinstance(first[0], list)
    inbound = [[*one, arguments] for one in first] if many else [*first, arguments]
    return layer("TFOpLambda", "op", [inbound], function=function)


def tensor(name: str, *shape: int | None) -> dict:
    """A tensor as Keras 3 writes it."""
    return {"class_name": "__keras_tensor__",
            "config": {"shape": [None, *shape], "keras_history": [name, 0, 0]}}  # fmt: skip


def model(*layers: dict, outputs: tuple[str, ...] = ("op",), name: str = "net") -> dict:
    """A graph; its inputs are its input layers."""
    inputs = [one["name"] for one in layers if one["class_name"] == "InputLayer"]
    config = {
        "name": name,
        "layers": list(layers),
        "input_layers": [[one, 0, 0] for one in inputs],
        "output_layers": [[one, 0, 0] for one in outputs],
    }
    return {"class_name": "Functional", "name": name, "config": config}


def network(table: dict, keras: int = 2, **more: Any) -> Network:
    """A graph taken apart."""
    return build(parse(Source(table, VERSIONS[keras], "a file")), **more)


def computed(net: Network) -> LayersModel:
    """The model of a network that is supported, in float64, with random weights."""
    assert not net.problems, net.problems[0]
    torch.manual_seed(0)
    found = LayersModel(LayersConfig(**settings(net))).eval().double()
    for one in found.parameters():
        torch.nn.init.normal_(one)
    return found


def run(net: Network, *arrays: np.ndarray) -> list[np.ndarray]:
    """What it makes of arrays; the shapes are those that were foretold."""
    with torch.no_grad():
        outputs = computed(net)(*map(torch.from_numpy, arrays)).outputs
    for made, one in zip(outputs, net.outputs, strict=True):
        told = net.shapes[one]
        assert told is not None
        assert len(told) == made.ndim
        assert all(size in (None, real) for size, real in zip(told, made.shape, strict=True))
    return [one.numpy() for one in outputs]
