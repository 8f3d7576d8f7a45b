"""The layers behind a backbone: what a family's rows leave over, in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.families.settings import MAX_LAYERS
from convert.heads.finding import VALUE, find
from convert.heads.recorded import Recorded
from convert.names.leftovers import why_left_over
from convert.names.naming import Naming, layers_of
from convert.weights.ops import KEEP, TRANSPOSE, Op
from convert.weights.rows import expand

if TYPE_CHECKING:
    from convert.families.base import Family
    from convert.readers import Checkpoint

#: Names that Keras and bert4keras give themselves; others are somebody's.
AUTOMATIC = re.compile(
    r"(dense|conditional_random_field|maximum_entropy_markov_model|(?:efficient_)?global_pointer"
    r"|layer_normalization|embedding)(?:_\d+)?"
)


@dataclass(frozen=True)
class Unit:
    """A layer with weights that no row of the family has.

    Attributes:
        name: of the layer; of TensorFlow's names, the scope.
        tensors: as stored, kernels first.
        shapes: of each, maps as (in, out).
        ops: what makes a tensor so, by its stored name.
        said: settings that the file's architecture tells.
        scripted: whether the names are TensorFlow's, of scripts that have no pointers.
    """

    name: str
    tensors: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    ops: Mapping[str, Op] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    scripted: bool = False

    @property
    def base(self) -> str:
        """The class in snake case, where the name is Keras's own; else empty."""
        match = AUTOMATIC.fullmatch(self.name)
        return match[1] if match else ""

    @property
    def own_name(self) -> str:
        """The name that somebody gave it, as a module can have it; else empty."""
        scopes = {name.removesuffix(VALUE).rpartition("/")[0] for name in self.tensors}
        if (
            self.base
            or "layer_with_weights" in self.name
            or (self.scripted and scopes - {self.name})
        ):
            return ""
        return self.name.rpartition("/")[2]

    def __str__(self) -> str:
        """Its name and shapes."""
        return f"{self.name} {', '.join(map(str, self.shapes))}"


def units(
    family: Family,
    naming: Naming,
    checkpoint: Checkpoint,
    recorded: Recorded | None,
    config: Mapping[str, Any],
) -> list[Unit]:
    """The layers that are left over, in the order of the file.

    Args:
        family: of the checkpoint.
        naming: what its tensors are called.
        checkpoint: the files; shapes are looked at.
        recorded: the architecture that is in the file, if one is.
        config: the legacy configuration.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.items()}
    if naming.kind == "tensorflow":
        return [_of_names(head.tensors, shapes) for head in find(naming, shapes)]
    parts = {part: True for row in family.rows for part in row.part.split("+")}
    layers = config.get("num_hidden_layers")
    rows = expand(family.rows, parts, min(layers, MAX_LAYERS) if type(layers) is int else 0)
    taken = {naming.names.get(row.name_in(naming.kind) or "") for row in rows}
    taken |= {stored for name, stored in naming.names.items() if _dropped(family, name, stored)}
    found = []
    for name, tensors in _split(layers_of(checkpoint), checkpoint):
        kept = tuple(one for one in tensors if not why_left_over(one))
        if kept and taken.isdisjoint(kept):
            sizes = tuple(shapes[one] for one in kept)
            said = {} if recorded is None else recorded.settings(name)
            found.append(Unit(name, kept, sizes, said=said))
    return found


def _split(
    layers: list[tuple[str, list[str]]], checkpoint: Checkpoint
) -> Iterator[tuple[str, list[str]]]:
    """Layers whose names have slashes apart from others in the same group of an HDF5 file."""
    owners = {tensor: group.name for group in checkpoint.groups for tensor in group.tensors}
    for name, tensors in layers:
        several = dict.fromkeys(owners.get(one, name) for one in tensors)
        if len(several) == 1:
            yield name, tensors
            continue
        for owner in several:
            yield owner, [one for one in tensors if owners.get(one, name) == owner]


def _dropped(family: Family, name: str, stored: str) -> bool:
    return any(re.search(words, one) for words, _ in family.dropped for one in (name, stored))


#: Maps that TensorFlow's scripts store as (out, in).
TURNED = re.compile(r"(?:.*/)?output_weights(?::0)?")


def _of_names(tensors: tuple[str, ...], shapes: Mapping[str, tuple[int, ...]]) -> Unit:
    """A head of TensorFlow's names."""
    turned = {name for name in tensors if TURNED.fullmatch(name) and len(shapes[name]) == 2}
    return Unit(
        tensors[0].removesuffix(VALUE).rpartition("/")[0] or tensors[0],
        tensors,
        tuple(shapes[name][::-1] if name in turned else shapes[name] for name in tensors),
        {name: TRANSPOSE if name in turned else KEEP for name in tensors},
        scripted=True,
    )
