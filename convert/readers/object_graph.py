"""Object-graph checkpoints of TensorFlow 2: layers by number, weights by the names of attributes.

Keys are `layer_with_weights-4/q_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE`. The number counts layers
with weights in the order of the model; the order inside a layer is Keras's, which the names of
bert4keras's attributes tell.
"""

from __future__ import annotations

import re

from convert.readers.base import Checkpoint, Layer

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
KEY = re.compile(r"^(?:.*/)?layer_with_weights-(\d+)/(.+)" + re.escape(VALUE) + "$")

#: Attributes in the order in which bert4keras and Keras make them.
ORDER = (
    *("q_dense", "k_dense", "v_dense", "i_dense", "i0_dense", "i1_dense", "i2_dense"),
    *("q_scaleoffset", "k_scaleoffset", "o_dense"),
    *("embeddings", "kernel", "bias", "beta", "gamma"),
    *("hidden_dense", "beta_dense", "gamma_dense"),
)


def is_object_graph(checkpoint: Checkpoint) -> bool:
    """Whether a bundle holds a graph of objects."""
    return GRAPH in checkpoint.unreadable


def rank(path: str) -> list[tuple[int, str]]:
    """Where a weight stands inside its layer."""
    return [(ORDER.index(word) if word in ORDER else len(ORDER), word) for word in path.split("/")]


def add_layers(checkpoint: Checkpoint) -> Checkpoint:
    """Say what the keys of an object graph mean; slots of optimizers are no layers."""
    groups: dict[int, list[tuple[list[tuple[int, str]], str]]] = {}
    for name in checkpoint:
        match = KEY.match(name)
        if match and "/.OPTIMIZER_SLOT/" not in name:
            groups.setdefault(int(match[1]), []).append((rank(match[2]), name))
    checkpoint.format = "tf_object"
    if checkpoint.files[0].name == "variables.index":
        checkpoint.details.append("of a SavedModel")
    checkpoint.layers = [
        Layer(f"layer_with_weights-{number}", "", [name for _, name in sorted(groups[number])])
        for number in sorted(groups)
    ]
    return checkpoint
