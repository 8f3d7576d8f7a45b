"""How Keras 3 names layers and numbers their weights."""

from __future__ import annotations

import re

from convert.readers.base import Layer
from convert.readers.tensorflow.object_graph import rank

#: A layer's data set: the layer, what lies inside it, the number.
VARIABLE = re.compile(
    r"^(?:_layer_checkpoint_dependencies|layers|.*/layers)/([^/]+)/(?:(.+)/)?vars/(\d+)$"
)


NUMBERED = re.compile(r"^(.*?)(?:_(\d+))?$")


def keras3_layers(names: list[str]) -> list[Layer]:
    """Layers in the order of their class's numbers; empty where the names are others."""
    groups: dict[str, list[tuple[list[tuple[int, str]], int, str]]] = {}
    for name in names:
        if match := VARIABLE.match(name):
            inside = rank(match[2]) if match[2] else []
            groups.setdefault(match[1], []).append((inside, int(match[3]), name))
    return [
        Layer(layer, _kind(layer)[0], [name for _, _, name in sorted(groups[layer])])
        for layer in sorted(groups, key=_kind)
    ]


def _kind(layer: str) -> tuple[str, int]:
    """The class and number of `layer_normalization_12`."""
    match = NUMBERED.match(layer)
    assert match
    return match[1], int(match[2] or 0)
