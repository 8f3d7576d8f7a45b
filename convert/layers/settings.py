"""From a network to the `config.json` of `LayersModel`."""

from __future__ import annotations

from typing import Any

from convert.layers.dialects import ANY
from convert.layers.graph import Network
from convert.layers.halves import halves
from convert.layers.weights import module_names
from convert.layers.writing import JsonWriter
from convert.weights.ops import shape_after

MODEL_TYPE, ARCHITECTURE = "genae_layers", "LayersModel"
GATHERED = ("mean", "variance")  # weights that training gathers, and no gradient reaches


def settings(network: Network) -> dict[str, Any]:
    """The configuration of a model; every layer of it has to be supported."""
    parts = {
        path: {"inputs": inside, "outputs": made} for path, (inside, made) in network.parts.items()
    }
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        **graph(network),
        "parts": parts,
        **halves(network),
        "channels_last": True,
        "original": original(network),
    }


def graph(network: Network) -> dict[str, Any]:
    """Layers, nodes, inputs and outputs of a model, every layer of it supported."""
    names = module_names(list(network.layers))
    used = {node.layer for node in network.nodes}
    layers = {}
    for path, placed in network.layers.items():
        if path not in used:
            continue
        shapes: dict[str, dict[str, list[int]]] = {"weights": {}, "statistics": {}}
        for weight in placed.weights:
            if weight.kept:
                place = "statistics" if weight.name in GATHERED else "weights"
                shapes[place][weight.name] = list(shape_after(weight.op, weight.shape))
        layers[names[path]] = {
            "name": path, **placed.record(), **{key: one for key, one in shapes.items() if one}
        }  # fmt: skip
        if placed.layer.frozen and shapes["statistics"]:
            layers[names[path]]["frozen"] = True
    nodes = [
        {"layer": names[node.layer], "inputs": list(node.inputs), "outputs": list(node.outputs)}
        | ({} if node.mask is None else {"mask": _mask(node.mask)})
        for node in network.nodes
    ]
    inputs = [
        {"name": name, "tensor": tensor, "shape": _listed(network.shapes[tensor])}
        for name, tensor in zip(network.input_names, network.inputs, strict=True)
    ]
    return {
        "layers": layers,
        "nodes": nodes,
        "inputs": inputs,
        "outputs": list(network.outputs),
    }


def original(network: Network) -> dict[str, Any]:
    """The architecture in Keras's own words, as few as it takes to write it again."""
    model = JsonWriter(network, ANY).model(network.architecture)
    return model | {"keras_version": f"{max(2, network.architecture.keras)}.x"}


def _mask(mask: int | tuple[int | None, ...]) -> int | list[int | None]:
    return list(mask) if isinstance(mask, tuple) else mask


def _listed(shape: Any) -> list[int | None] | None:
    return None if shape is None else list(shape)
