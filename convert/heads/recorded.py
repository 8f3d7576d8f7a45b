"""What the architecture in a Keras file says of heads and of gelu, read as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.layers.text import find

POINTER = {"head_size": "size", "RoPE": "rope", "tril_mask": "triangle"}
#: Class of a layer -> entry of its configuration -> setting of the head.
SAID: dict[str, dict[str, str]] = {
    "Dense": {"activation": "activation"},
    "ConditionalRandomField": {"lr_multiplier": "lr_multiplier"},
    "MaximumEntropyMarkovModel": {"lr_multiplier": "lr_multiplier"},
    "GlobalPointer": POINTER | {"heads": "num_labels"},
    "EfficientGlobalPointer": POINTER,
}
PLAIN = ("Dropout", "SpatialDropout1D", "Activation")
CHAINS = {"ConditionalRandomField": "crf", "MaximumEntropyMarkovModel": "memm"}


@dataclass(frozen=True)
class Recorded:
    """The layers of a functional model, by name.

    Attributes:
        layers: the table of each.
    """

    layers: Mapping[str, Mapping[str, Any]]

    def settings(self, name: str) -> dict[str, Any]:
        """Settings of heads that the file tells of a layer; of dropout what stands before it."""
        layer = self.layers.get(name, {})
        config = layer.get("config", {})
        said = {
            setting: config[key]
            for key, setting in SAID.get(str(layer.get("class_name")), {}).items()
            if isinstance(config.get(key), str | int | float)
        }
        for before in self._before(name):
            kind = self.layers[before].get("class_name")
            if kind == "Dropout":
                said["dropout"] = self.layers[before].get("config", {}).get("rate", 0.0)
            elif kind not in PLAIN:
                if layer.get("class_name") == "Dense":
                    said["reads"] = "pooler" if before.endswith("Pooler-Dense") else str(kind)
                break
        return said

    def kind(self, name: str) -> str:
        """The kind of head that a layer is in this model; empty where that is open."""
        layer = self.layers.get(name, {})
        if layer.get("class_name") != "Dense":
            return ""
        behind = [self.layers[one].get("class_name") for one in self._behind(name)]
        for one in behind:
            if one in CHAINS:
                return CHAINS[str(one)]
        if behind:
            return ""
        reads = self.settings(name).get("reads")
        if reads in ("pooler", "Lambda", "GlobalAveragePooling1D"):
            return "classifier"
        return "token_classifier" if reads == "LayerNormalization" else ""

    def gelu(self) -> str | None:
        """The form of gelu in the blocks, "erf" or "tanh"; None where none is named."""
        for layer in self.layers.values():
            if layer.get("class_name") == "FeedForward":
                for word in _strings(layer.get("config", {}).get("activation")):
                    if word in ("gelu_erf", "gelu_tanh"):
                        return word.removeprefix("gelu_")
        return None

    def _before(self, name: str) -> Iterator[str]:
        """The layers on the straight way to a layer, the nearest first."""
        seen: set[str] = set()
        while name in self.layers and name not in seen:
            seen.add(name)
            inputs = _inputs(self.layers[name])
            if len(inputs) != 1 or inputs[0] not in self.layers:
                return
            name = inputs[0]
            yield name

    def _behind(self, name: str) -> list[str]:
        return [other for other, layer in self.layers.items() if name in _inputs(layer)]


def _inputs(layer: Mapping[str, Any]) -> list[str]:
    """Names of the layers that a layer of Keras 2 reads in its first call."""
    nodes = layer.get("inbound_nodes") or [[]]
    first = nodes[0] if isinstance(nodes, list) else []
    calls = first if isinstance(first, list) else []
    names = [one[0] for one in calls if isinstance(one, list) and one and isinstance(one[0], str)]
    return list(dict.fromkeys(names))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))


def read_recorded(path: Path) -> Recorded | None:
    """The architecture of a whole Keras model; None where the file has none.

    Args:
        path: of the file.
    """
    source = find(path)
    table: Any = None if source is None else source.table
    config = table.get("config") if isinstance(table, Mapping) else None
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if not isinstance(layers, list):
        return None
    found = {}
    for layer in layers:
        inner = layer.get("config") if isinstance(layer, Mapping) else None
        if isinstance(inner, Mapping) and isinstance(name := inner.get("name"), str):
            found[name] = layer
    return Recorded(found)
