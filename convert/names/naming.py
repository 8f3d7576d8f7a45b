"""What tensors are called: TensorFlow's names, or Keras's layers and places within them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.names.layer_weights import by_name
from convert.names.leftovers import why_left_over
from convert.weights.ops import KEEP, Op, shape_after
from convert.weights.rows import CONDITION_LAYER

if TYPE_CHECKING:
    from convert.families.base import Settings
    from convert.readers import Checkpoint
    from convert.readers.base import Layer

Shapes = Mapping[str, tuple[int, ...]]

#: Layers that bert4keras names, in its releases before 0.5.2 (`Encoder-1-`) as keras-bert does.
LAYER = re.compile(
    r"^((Encoder-|Decoder-)?(Embedding|Transformer|Output)-|MLM-|NSP-|Pooler-|Discriminator-"
    r"|Encoder-\d+-|NSP$)"
)
#: What bert4keras called a layer in other releases (0.1 to 0.6) -> its name since.
RENAMED = {"MLM-Proba": "MLM-Bias"}
MODEL = re.compile(r"(.*/)?(model|functional|sequential)(_\d+)?$")  # as Keras names one itself
TABLE = "Embedding-Token"  # the layer that every backbone has
MAX_DEPTH = 3  # scopes that a wrapper may put before every name


@dataclass(frozen=True)
class Naming:
    """How a checkpoint calls its tensors.

    Attributes:
        kind: "tensorflow", where names mean something; "keras", where a layer's name and the
            place among its weights do (`MLM-Norm#0`); "order", where only the order does.
        names: the name that rows use -> the name as stored.
        layers: of "order": each layer's tensors, as stored.
        notes: how names were found out, where they do not say it themselves.
        ops: of a dialect: the name that rows use -> what happens before the row's operation.
        dropped: of a dialect: names as stored that it leaves out, and why.
        config: of a dialect: what it changes in the legacy configuration, see `Dialect.config`.
        averaged: where averages are taken in place of the weights: all of them, as stored.
        heads: of a dialect: how many attention heads there are, where the tensors tell.
        result: of a dialect: what it changes in the result's, see `Dialect.result`.
        family: of a dialect: the family that the configuration says, see `Dialect.family`.
        dialect: its name; empty where names are the original's or bert4keras's.
    """

    kind: str
    names: dict[str, str]
    layers: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    ops: Mapping[str, Op] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    config: Callable[[Mapping[str, Any], Shapes], dict[str, Any]] | None = None
    averaged: frozenset[str] = frozenset()
    result: Callable[[dict[str, Any], Settings], dict[str, Any]] | None = None
    heads: int | None = None
    family: Callable[[Mapping[str, Any]], str | None] | None = None
    dialect: str = ""

    def op(self, name: str) -> Op:
        """What happens to the tensor that rows call so, before the row's own operation."""
        return self.ops.get(name, KEEP)

    def shapes(self, tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """The shapes that rows find, by the names that they use.

        Args:
            tensors: by stored name; their `shape` is looked at.
        """
        return {
            name: shape_after(self.op(name), tuple(tensors[stored].shape))
            if name in self.ops
            else tuple(tensors[stored].shape)
            for name, stored in self.names.items()
        }


def layers_of(checkpoint: Checkpoint) -> list[tuple[str, list[str]]]:
    """Keras's layers, each with its weights in the order of places; empty where there are none."""
    layers = [part for layer in checkpoint.layers for part in _unnested(layer)]
    if not layers:  # written by another script, under Keras's names
        layers = list(_layers_of_names(list(checkpoint)))
    prefix = prefix_of(name for name, _ in layers)
    bare = ((name.removeprefix(prefix), tensors) for name, tensors in layers)
    return [(RENAMED.get(name, name), by_name(tensors)) for name, tensors in bare]


def prefix_of(layers: Iterable[str]) -> str:
    """What bert4keras's `prefix=` put before every name of a backbone; mostly nothing."""
    tables = (name for name in layers if name.endswith(TABLE) and not LAYER.match(name))
    return next(tables, TABLE).removesuffix(TABLE)


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
    found = _with_conditions(found, checkpoint)
    return Naming("keras", found | {name: name for name in checkpoint if name in rest})


def _with_conditions(found: dict[str, str], checkpoint: Checkpoint) -> dict[str, str]:
    """The same names, and one for a table of conditions, which has whatever name it was given.

    It is the only layer of somebody's own that is one matrix as wide as the first map of the
    condition of a normalisation.
    """
    maps = (name for name in found if name.endswith("-Norm#2") and LAYER.match(name))
    width = next((checkpoint[found[name]].shape[:1] for name in maps), None)
    own = {name: one for name, one in found.items() if not LAYER.match(name)}
    tables = [
        name
        for name, one in own.items()
        if name.endswith("#0")
        and name.removesuffix("0") + "1" not in own
        and len(checkpoint[one].shape) == 2
        and tuple(checkpoint[one].shape[1:]) == width
    ]
    if len(tables) != 1:
        return found
    return {
        f"{CONDITION_LAYER}#0" if name == tables[0] else name: one for name, one in found.items()
    }


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
        for depth in range(1, min(len(parts), MAX_DEPTH + 1)):
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
