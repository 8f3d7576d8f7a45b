"""What tensors are called: TensorFlow's names, or Keras's layers and places within them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from convert.identify.layer_weights import by_name
from convert.identify.leftovers import why_left_over
from convert.weights.naming import Naming

if TYPE_CHECKING:
    from convert.readers import Checkpoint
    from convert.readers.base import Layer

#: Layers that bert4keras names, in its releases before 0.5.2 (`Encoder-1-`) as keras-bert does.
LAYER = re.compile(
    r"^((Encoder-|Decoder-)?(Embedding|Transformer|Output)-|MLM-|NSP-|Pooler-|Discriminator-"
    r"|Encoder-\d+-|NSP$)"
)
#: What bert4keras called a layer in other releases (0.1 to 0.6) -> its name since.
RENAMED = {"MLM-Proba": "MLM-Bias"}
MODEL = re.compile(r"(.*/)?(model|functional|sequential)(_\d+)?$")  # as Keras names one itself
DEEPEST = 3  # scopes that a wrapper may put before every name


def layers_of(checkpoint: Checkpoint) -> list[tuple[str, list[str]]]:
    """Keras's layers, each with its weights in the order of places; empty where there are none."""
    layers = [part for layer in checkpoint.layers for part in _unnested(layer)]
    if not layers:  # written by another script, under Keras's names
        layers = list(_layers_of_names(list(checkpoint)))
    return [(RENAMED.get(name, name), by_name(tensors)) for name, tensors in layers]


def naming_of(checkpoint: Checkpoint) -> Naming:
    """How a checkpoint calls its tensors."""
    layers = layers_of(checkpoint)
    if not layers:
        return Naming("tensorflow", {name.removesuffix(":0"): name for name in checkpoint})
    if not any(LAYER.match(name) for name, _ in layers):
        return Naming("order", {}, tuple(tuple(tensors) for _, tensors in layers))
    found = {
        f"{layer}#{slot}": name for layer, tensors in layers for slot, name in enumerate(tensors)
    }
    rest = set(checkpoint) - set(found.values())
    return Naming("keras", found | {name: name for name in checkpoint if name in rest})


def scopes_of(naming: Naming, telltales: Collection[str]) -> Iterator[Naming]:
    """The same names without a scope that a wrapper put before them (`model/bert/...`).

    Args:
        naming: the names as stored.
        telltales: names of which one has to stand behind the scope.
    """
    if naming.kind != "tensorflow":
        return
    scopes: dict[str, None] = {}
    for name in naming.names:
        parts = name.split("/")
        for depth in range(1, min(len(parts), DEEPEST + 1)):
            if "/".join(parts[depth:]) in telltales:
                scopes["/".join(parts[:depth]) + "/"] = None
    for scope in scopes:
        names = {name.removeprefix(scope): stored for name, stored in naming.names.items()}
        if len(names) == len(naming.names):
            note = f"names are read without {scope}, which a wrapper put before them"
            yield Naming(naming.kind, names, notes=(note,))


def _unnested(layer: Layer) -> Iterator[tuple[str, list[str]]]:
    """A layer, or the layers of a model that is a layer of another one.

    Names of weights begin with the layer that made them, however deep it lies.
    """
    groups: dict[str, list[str]] = {}
    for name in layer.tensors:
        inner = name.partition(f"{layer.name}/")[2].partition("/")[0]
        groups.setdefault(inner, []).append(name)
    if MODEL.match(layer.name) or any(map(LAYER.match, groups)):
        yield from groups.items()
    else:
        yield layer.name.rpartition("/")[2], layer.tensors


def _layers_of_names(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Layers of names such as `Transformer-0-FeedForward/dense_9/kernel`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        layer, _, rest = name.partition("/")
        if rest and LAYER.match(layer) and not why_left_over(name):
            groups.setdefault(layer, []).append(name)
    yield from groups.items()
