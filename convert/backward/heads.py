"""Heads of fine-tuning on the way back: the table of kinds, run the other way."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from convert.backward.pairs import TURNED, Pair
from convert.heads.fitting import fit
from convert.heads.kinds import EXACT, KINDS, TWO_MAPS
from convert.heads.units import Unit
from convert.weights.ops import KEEP, TRANSPOSE
from convert.weights.rows import Row
from convert.weights.steps import Step
from zoo.errors import IntegrityError, UsageError
from zoo.heads import is_fine_tuned, tables_of

#: Kinds that are the only head of a class that transformers has as well.
PLAIN = ("classifier", "token_classifier", "span")
#: The end of a row's target -> the weight's name in its Keras layer.
WEIGHTS = {
    "stored_transitions": "trans",
    "left_transitions": "l_trans",
    "right_transitions": "r_trans",
    "norm.bias": "beta",
    "norm.weight": "gamma",
    "condition_bias.weight": "dense/kernel",
    "condition_weight.weight": "dense_1/kernel",
    "bias_dense.weight": "dense_1/kernel",
    "bias_dense.bias": "dense_1/bias",
    "dense.weight": "dense/kernel",
    "dense.bias": "dense/bias",
    "weight": "kernel",
    "bias": "bias",
}
#: Layers that bert4keras's example makes before others that stand before them in the file.
MADE_FIRST = ("dense subject",)
#: What reads the last residual sum stands before the norm behind it.
BEFORE_LAST_NORM = ("layer_normalization norm",)
#: Kind -> the place in Google's checkpoints where run_classifier, run_squad and taggers look.
GOOGLE = {"classifier": "", "token_classifier": "", "span": "cls/squad/"}
#: Kinds whose rows have the names of Google's scripts, which bert4keras has no layers for.
SCRIPTED = ("squad2",)
SCOPE = re.compile(r"[^A-Za-z0-9_.\\/>-]|^[^A-Za-z0-9.]")


@dataclass(frozen=True)
class Layer:
    """A Keras layer of a head.

    Attributes:
        head: the head's name.
        row: what the table calls the layer, its class in front.
        members: each row with the stored name of its tensor, and the tensor's shape.
    """

    head: str
    row: str
    members: tuple[tuple[Row, str, tuple[int, ...]], ...]


@dataclass
class Heads:
    """The heads of a folder.

    Attributes:
        kinds: of each, by name, in the order of the file.
        layers: theirs, in that order.
        tables: settings by name.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    tables: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def stored(self) -> set[str]:
        """Names of their tensors in the folder."""
        return {name for layer in self.layers for _, name, _ in layer.members}

    def pairs(self, naming: str, taken: Collection[str]) -> list[Pair]:
        """What is written in a form.

        Args:
            naming: "tensorflow" or "keras".
            taken: layers of the backbone.

        Raises:
            UsageError: the form has no name for a head.
        """
        if naming == "tensorflow":
            return self._named()
        if scripted := [name for name, kind in self.kinds.items() if kind in SCRIPTED]:
            raise UsageError(
                f"the head {scripted[0]} ({KINDS[self.kinds[scripted[0]]].title}) is of Google's "
                "scripts, and bert4keras has no layers for it: use --to tf-checkpoint"
            )
        names = self._names(taken)
        return [
            _pair(stored, shape, f"{name}/{_weight(row)}:0", name, row.op is TRANSPOSE)
            for layer, name in zip(self.layers, names, strict=True)
            for row, stored, shape in layer.members
        ]

    def order(self, backbone: list[str], taken: Collection[str]) -> list[str]:
        """Layers as Keras lists them, those of the heads among them.

        Args:
            backbone: its layers, in Keras's order.
            taken: the same, as `pairs` has them.
        """
        before: list[str] = []
        behind: list[str] = []
        for layer, name in zip(self.layers, self._names(taken), strict=True):
            (before if layer.row in BEFORE_LAST_NORM else behind).append(name)
        norms = [i for i, layer in enumerate(backbone) if layer.endswith("-Norm")]
        place = norms[-1] if before and norms else len(backbone)
        return [*backbone[:place], *before, *backbone[place:], *behind]

    def notes(self, naming: str) -> list[str]:
        """What a person should know of them.

        Args:
            naming: of the form.
        """
        found = []
        if self.kinds and naming == "keras":
            words = ", ".join(f"{name} ({kind})" for name, kind in self.kinds.items())
            found.append(
                f"heads: {words}; Keras finds layers by their order: build the recipe's model "
                "with them, its outputs in this order, then load model.weights into all of it"
            )
        for name, table in self.tables.items():
            if table.get("lr_multiplier", 1) != 1:
                found.append(f"{name}: give its layer lr_multiplier={table['lr_multiplier']:g}")
        return found

    def _names(self, taken: Collection[str]) -> list[str]:
        """What tf.keras calls the layers: a person's name, or the class with a number."""
        counts: dict[str, int] = {}
        names: dict[int, str] = {}
        first: set[str] = set()
        for i in sorted(
            range(len(self.layers)), key=lambda i: self.layers[i].row not in MADE_FIRST
        ):
            layer = self.layers[i]
            own = "" if layer.head in first else self._own(layer.head, taken)
            first.add(layer.head)
            base = layer.row.partition(" ")[0]
            number = counts.get(base, 0)
            if not own:
                counts[base] = number + 1
            names[i] = own or (f"{base}_{number}" if number else base)
        return [names[i] for i in range(len(self.layers))]

    def _own(self, head: str, taken: Collection[str]) -> str:
        """A head's name, where it is not its kind's or a class of transformers'."""
        usual = KINDS[self.kinds[head]].name
        if head in taken or re.fullmatch(rf"{usual}(_\d+)?", head):
            return ""
        return SCOPE.sub("_", head)

    def _named(self) -> list[Pair]:
        """Google's names, of one head that Google's scripts have."""
        if [*self.kinds.values()] in [[kind] for kind in SCRIPTED]:
            return [
                _pair(stored, shape, str(row.source), "", row.op is TRANSPOSE)
                for layer in self.layers
                for row, stored, shape in layer.members
            ]
        for name, kind in self.kinds.items():
            reads = self.tables[name].get("pooling", "pooler")
            if len(self.kinds) > 1 or kind not in GOOGLE or reads != "pooler":
                raise UsageError(
                    f"the head {name} ({KINDS[kind].title}) has no name in a checkpoint of "
                    "TensorFlow: use --to keras-hdf5"
                )
        return [
            _pair(stored, shape, f"{GOOGLE[kind]}output_{word}", "", False)
            for kind in self.kinds.values()
            for layer in self.layers
            for (_, stored, shape), word in zip(layer.members, ("weights", "bias"), strict=True)
        ]


def _pair(name: str, shape: tuple[int, ...], target: str, layer: str, turned: bool) -> Pair:
    op = replace(TRANSPOSE, name=TURNED) if turned else KEEP
    return Pair(Step((name,), target, shape[::-1] if turned else shape, op), layer)


def _weight(row: Row) -> str:
    """A weight's name in its layer; a plain dense map lies in no layer inside."""
    if row.layer.startswith("dense "):
        return WEIGHTS[row.target.rpartition(".")[2]]
    return next(name for end, name in WEIGHTS.items() if row.target.endswith(end))


def read_heads(
    config: Mapping[str, Any], tensors: Mapping[str, Any], recorded: Mapping[str, Any]
) -> Heads:
    """The heads of a folder; none where its class has none.

    Args:
        config: the folder's `config.json`.
        tensors: of the folder, by name.
        recorded: its `conversion.json`, which knows the order of the file; may be empty, as of a
            model that was saved again, whose `head_order` is the same.

    Raises:
        IntegrityError: a table cannot be read, or tensors are absent or of other shapes.
    """
    named = config.get("architectures")
    word = str(named[0]) if isinstance(named, list) and named else ""
    tables = tables_of(config)
    plain = next((kind for kind in PLAIN if word.endswith(KINDS[kind].ending)), None)
    if plain is None and not is_fine_tuned(word):
        return Heads()
    if not tables and plain:
        tables = {KINDS[plain].name: {"kind": plain}}
    found = Heads()
    for name in sorted(tables, key=_places(recorded)):
        table = tables[name]
        kind = table.get("kind") if isinstance(table, Mapping) else None
        if kind not in KINDS:
            raise IntegrityError(f"heads in config.json: {name} is of no kind that there is")
        found.kinds[name], found.tables[name] = kind, table
        module = EXACT.get(kind, {}).get(str(config.get("model_type")), "classifier")
        found.layers += _layers(name, kind, module if plain else "", tensors, config)
    return found


def _places(recorded: Mapping[str, Any]) -> Any:
    """Where a head's first tensor stands in the file that was converted."""
    rows = recorded.get("tensors")
    targets = [str(row.get("target")) for row in rows or () if isinstance(row, Mapping)]

    def place(name: str) -> int:
        own = (i for i, target in enumerate(targets) if target.startswith(f"heads.{name}."))
        return next(own, len(targets))

    return place


def _layers(
    name: str, kind: str, module: str, tensors: Mapping[str, Any], config: Mapping[str, Any]
) -> list[Layer]:
    """A head's layers: of the variant whose tensors are all there, the one of the most."""
    lacking: list[str] = []
    variants = [rows for rows in KINDS[kind].variants if rows != TWO_MAPS]  # transformers' own
    for rows in sorted(variants, key=len, reverse=True):
        stored = [
            f"{module}.{row.target.rpartition('.')[2]}" if module else f"heads.{name}.{row.target}"
            for row in rows
        ]
        absent = [one for one in stored if one not in tensors]
        if absent:
            lacking = lacking if lacking and len(lacking) < len(absent) else absent
            continue
        members = [
            (row, one, tuple(tensors[one].shape)) for row, one in zip(rows, stored, strict=True)
        ]
        layers = [
            Layer(name, layer, tuple(group))
            for layer, group in groupby(members, key=lambda member: member[0].layer)
        ]
        units = [_unit(layer) for layer in layers]
        hidden = config.get("hidden_size")
        if fit(kind, units, hidden if type(hidden) is int else 0) is None:
            raise IntegrityError(
                f"the head {name}: {'; '.join(map(str, units))} are no sizes of "
                f"{KINDS[kind].title} on a backbone of width {hidden}"
            )
        return layers
    raise IntegrityError(
        f"the head {name} ({KINDS[kind].title}): absent from the folder: {', '.join(lacking)}. "
        "Heads go back that bert4keras or Google's scripts have"
    )


def _unit(layer: Layer) -> Unit:
    shapes = [shape[::-1] if row.op is TRANSPOSE else shape for row, _, shape in layer.members]
    names = tuple(stored for _, stored, _ in layer.members)
    return Unit(layer.row.partition(" ")[0], names, tuple(shapes))
