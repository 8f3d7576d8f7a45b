"""HDF5 files of Keras written again as TensorFlow would: a graph of objects, or names alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from convert.layers.form import Architecture
from convert.layers.network import Network, build
from convert.layers.parsing import parse
from convert.layers.text import read
from convert.layers.weights import make_plan
from convert.readers import open_checkpoint
from convert.readers.tensorflow.object_graph import GRAPH, VALUE
from convert.weights.steps import Plan
from convert.writers.table import field
from tests.conversion.bundles import write_bundle

#: What Keras calls the variables of some layers as attributes, where that is not their name.
ATTRIBUTES = {"mean": "adapt_mean", "variance": "adapt_variance"}


def plan_of(network: Network, path: Path) -> dict[str, list[np.ndarray]]:
    """Every weight of the result, as the parts that it is made of are stored."""
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(network, checkpoint)
        return {step.target: [checkpoint[name].numpy() for name in step.sources]
                for step in plan.steps}  # fmt: skip


def stored(path: Path) -> tuple[Network, Plan, dict[str, np.ndarray]]:
    """The network of an HDF5 file, where its tensors belong, and their values."""
    network = build(parse(read(path)))
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(network, checkpoint)
        used = {name for step in plan.steps for name in step.sources} | {*plan.dropped}
        return network, plan, {name: checkpoint[name].numpy() for name in used}


def variable_name(dataset: str) -> str:
    """What TensorFlow calls the variable of a data set: the name without its group."""
    return dataset.removeprefix("model_weights/").partition("/")[2].removesuffix(":0")


def as_names(path: Path, folder: Path, more: Mapping[str, np.ndarray] | None = None) -> Path:
    """What `tf.train.Saver` writes: variables by name, among them those of an optimizer."""
    values = stored(path)[2]
    tensors = {variable_name(name): array for name, array in values.items()}
    slots = {f"{name}/Adam": array for name, array in tensors.items()}
    counters = {"beta1_power": np.float32(0.9), "global_step": np.array(7)}
    write_bundle(folder, {**tensors, **slots, **counters, **(more or {})})
    return folder / "model.ckpt"


class Graph:
    """A graph of objects, put together."""

    def __init__(self) -> None:
        self.objects: list[list[bytes]] = [[]]

    def add(self, parent: int, name: str, key: str = "", full: str = "") -> int:
        """A new object that is an attribute of another; a variable where it has a key."""
        number = len(self.objects)
        self.objects.append([])
        self.link(parent, name, number)
        if key:
            attribute = (b"VARIABLE_VALUE", full.encode(), key.encode())
            parts = b"".join(field(i, part) for i, part in enumerate(attribute, 1))
            self.objects[number].append(field(2, parts))
        return number

    def link(self, parent: int, name: str, number: int) -> None:
        """An object that is an attribute of one more."""
        self.objects[parent].append(field(1, field(1, number) + field(2, name.encode())))

    def serialized(self) -> bytes:
        """The message `TrackableObjectGraph`."""
        return b"".join(field(1, b"".join(parts)) for parts in self.objects)


def as_objects(path: Path, folder: Path, names: tuple[str, ...] = ("",)) -> Path:
    """What `model.save_weights` of TensorFlow 2 writes.

    Args:
        path: the HDF5 file.
        folder: where to.
        names: of the attributes that are the model; the model itself where that is empty.
    """
    network = stored(path)[0]
    with open_checkpoint(path) as checkpoint:
        from convert.layers.weights import _by_groups

        found = _by_groups(network, checkpoint)
        tensors: dict[str, np.ndarray] = {}
        graph = Graph()
        for name in names:
            root = graph.add(0, name) if name else 0
            prefix = f"{name}/" if name else ""
            _add_model(graph, root, prefix, network, network.architecture, "", found, checkpoint,
                       tensors)  # fmt: skip
    tensors[f"save_counter{VALUE}"] = np.array(1)
    write_bundle(folder, tensors, texts={GRAPH: graph.serialized()})
    return folder / "model.ckpt"


def _add_model(
    graph: Graph, parent: int, prefix: str, network: Network, model: Architecture, inside: str,
    found, checkpoint, tensors,
) -> None:  # fmt: skip
    number = 0
    for place, layer in enumerate(model.layers):
        path = f"{inside}{layer.name}"
        weighty = any(
            one.weights
            for name, one in network.layers.items()
            if f"{name}/".startswith(f"{path}/")
        )
        if not weighty:
            graph.add(parent, f"layer-{place}")
            continue
        word = f"layer_with_weights-{number}"
        child = graph.add(parent, word)
        graph.link(parent, f"layer-{place}", child)
        number += 1
        if (inner := layer.model or layer.inside) is not None:
            below = f"{prefix}{word}/"
            if layer.inside is not None:
                child, below = graph.add(child, "layer"), f"{below}layer/"
            _add_model(graph, child, below, network, inner, f"{path}/", found, checkpoint,
                       tensors)  # fmt: skip
            continue
        folders: dict[str, int] = {"": child}
        again = graph.add(child, "variables")
        for count, weight in enumerate(network.layers[path].weights):
            dataset = found[path, weight.name][0]
            last = dataset.rpartition("/")[2].removesuffix(":0")
            if network.layers[path].compute == "normalization":
                last = ATTRIBUTES.get(last, last)
            where = ""
            for part in filter(None, weight.inside.split("/")):
                part = f"_{part}" if part.endswith("_dense") else part
                above, where = where, f"{where}{part}/"
                if where not in folders:
                    folders[where] = graph.add(folders[above], part)
            key = f"{prefix}{word}/{where}{last}{VALUE}"
            variable = graph.add(folders[where], last, key, variable_name(dataset))
            graph.link(again, str(count), variable)
            tensors[key] = checkpoint[dataset].numpy()
