"""Object-graph checkpoints of TensorFlow 2: layers by number, weights by the names of attributes.

Keys are `layer_with_weights-4/q_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE`. The number counts layers
with weights in the order of the model; the order inside a layer is Keras's, which the names of
bert4keras's attributes tell. The graph itself, stored as a string, remembers what variables were
called when they were made, and with it their layers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from convert.readers.base import Checkpoint, Layer
from convert.wire.protobuf import WireError, fields, part_of

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
LAYER = re.compile(r"layer_with_weights-(\d+)/")
KEY = re.compile(
    r"(?:.*/)?(?P<layers>(?:layer_with_weights-\d+/)+)(?P<weight>.+)" + re.escape(VALUE)
)

MAX_OBJECTS = 200_000  # of a graph; a large model with its optimizer has tens of thousands

#: Attributes in the order in which bert4keras and Keras make them.
ORDER = (
    *("q_dense", "k_dense", "v_dense", "i_dense", "i0_dense", "i1_dense", "i2_dense"),
    *("q_scaleoffset", "k_scaleoffset", "o_dense"),
    *("embeddings", "kernel", "bias", "beta", "gamma"),
    *("hidden_dense", "beta_dense", "gamma_dense"),
)


def is_object_graph(checkpoint: Checkpoint) -> bool:
    """Whether a bundle contains a graph of objects."""
    return GRAPH in checkpoint.unreadable


@dataclass
class Node:
    """One object of a graph.

    Attributes:
        children: the attributes that are objects: name -> number.
        key: of the checkpoint, where the object is a variable; else empty.
    """

    children: dict[str, int] = field(default_factory=dict)
    key: str = ""


def objects_of(graph: bytes) -> list[Node]:
    """The objects of a graph; number 0 is what was saved.

    Args:
        graph: a serialised `TrackableObjectGraph`: nodes (1), their children (1), of these number
            (1) and name (2); attributes (2), of these the key (3).

    Raises:
        WireError: it is damaged.
    """
    nodes: list[Node] = []
    links = 0
    for number, stored in fields(graph):
        if number != 1:
            continue
        node = Node()
        for inner, part in fields(part_of(stored, "an object")):
            if inner not in (1, 2):
                continue
            values = dict(fields(part_of(part, "a part of an object")))
            if inner == 1:
                child, name = values.get(1, 0), values.get(2)
                if isinstance(child, int) and isinstance(name, bytes):
                    node.children[name.decode("utf-8", "replace")] = child
            elif isinstance(key := values.get(3), bytes):
                node.key = key.decode("utf-8", "replace")
        links += 1 + len(node.children)
        if links > MAX_OBJECTS:
            raise WireError(f"its graph has more than {MAX_OBJECTS} objects and attributes")
        nodes.append(node)
    return nodes


def names_of(graph: bytes) -> dict[str, str]:
    """What variables were called when they were made: key of the checkpoint -> name.

    Args:
        graph: a serialised `TrackableObjectGraph`: nodes (1), their attributes (2), of these the
            full name (2) and the key (3). What is no such message gives no names.
    """
    found: dict[str, str] = {}
    try:
        for number, node in fields(graph):
            if number != 1:
                continue
            for inner, attribute in fields(part_of(node, "a node")):
                if inner == 2:
                    values = dict(fields(part_of(attribute, "an attribute")))
                    name, key = values.get(2), values.get(3)
                    if isinstance(name, bytes) and isinstance(key, bytes) and name and key:
                        found[key.decode("utf-8")] = name.decode("utf-8")
    except (WireError, UnicodeDecodeError):
        return {}
    return found


def _layer_name(members: list[str], full_names: dict[str, str]) -> str | None:
    """What a layer was called: the first scope of its variables, where they share it."""
    scopes = {full_names.get(name, "").partition("/")[0] for name in members}
    return scopes.pop() or None if len(scopes) == 1 else None


def rank(path: str) -> list[tuple[int, str]]:
    """Where a weight stands inside its layer."""
    return [(ORDER.index(word) if word in ORDER else len(ORDER), word) for word in path.split("/")]


def add_layers(checkpoint: Checkpoint) -> Checkpoint:
    """Say what the keys of an object graph mean; slots of optimizers are no layers."""
    groups: dict[tuple[int, ...], list[tuple[list[tuple[int, str]], str]]] = {}
    for name in checkpoint:
        match = KEY.fullmatch(name)
        if match and "/.OPTIMIZER_SLOT/" not in name:
            place = tuple(int(number) for number in LAYER.findall(match["layers"]))
            groups.setdefault(place, []).append((rank(match["weight"]), name))
    checkpoint.format = "tf_object"
    if checkpoint.files[0].name == "variables.index":
        checkpoint.details.append("of a SavedModel")
    layers = {number: [name for _, name in sorted(groups[number])] for number in sorted(groups)}
    called = {
        number: _layer_name(names, checkpoint.full_names) for number, names in layers.items()
    }
    unique = len({*called.values()}) == len(layers)
    checkpoint.layers = [
        Layer(
            (unique and called[number]) or "/".join(f"layer_with_weights-{one}" for one in number),
            "",
            names,
        )
        for number, names in layers.items()
    ]
    return checkpoint
