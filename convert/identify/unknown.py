"""What a checkpoint of no known family is, what was nearest, and why not."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from convert import families
from convert.families.base import PART_OPTIONS, Family
from convert.names.naming import Naming, layers_of, naming_of, scopes_of
from convert.weights.rows import numbered

if TYPE_CHECKING:
    from convert.readers import Checkpoint

#: What layers of Keras are for, by their kinds.
USES = (
    (r"conv\d?d|conv_\d|_conv|conv\d", "a network for images or signals (convolutions)"),
    (r"lstm|gru|rnn", "a recurrent network"),
)
NUMBER = re.compile(r"_\d+$")
MAX_KINDS, MAX_NAMES = 5, 3


def what_it_is(checkpoint: Checkpoint) -> str:
    """A checkpoint in words: its form, its size, its kinds of layers, and what they are for."""
    words = f"{checkpoint.form}, {len(checkpoint)} tensors"
    kinds = _kinds(checkpoint)
    if kinds:
        shown = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(MAX_KINDS))
        words += f"; its layers: {shown}{', ...' if len(kinds) > MAX_KINDS else ''}"
    for pattern, use in USES:
        if any(re.search(pattern, kind) for kind in kinds):
            return f"{words}; it looks like {use}"
    return words


def nearest(checkpoint: Checkpoint) -> str:
    """Which family's names come nearest, how many are there, and which are not; empty for none."""
    naming = naming_of(checkpoint)
    if naming.kind == "order":
        return ""
    best: tuple[float, str] = (0.0, "")
    known = {name for family in families.FAMILIES for name in _names(family, naming)}
    for one in (naming, *scopes_of(naming, known)):
        for family in families.FAMILIES:
            wanted = _names(family, one)
            absent = [name for name in wanted if name not in one.names]
            share = 1 - len(absent) / len(wanted) if wanted else 0.0
            if share > best[0]:
                some = ", ".join(absent[:MAX_NAMES])
                more = f" and {len(absent) - MAX_NAMES} more" if len(absent) > MAX_NAMES else ""
                best = (
                    share,
                    f"the nearest is {family.name}: {len(wanted) - len(absent)} of the "
                    f"{len(wanted)} names that its first layer and tables have are there"
                    + (f", absent are {some}{more}" if absent else ", others tell them apart"),
                )
    return best[1]


def has_no_tokens(checkpoint: Checkpoint, naming: Naming) -> bool:
    """Whether a file whose names mean nothing has no layer that could be a table of tokens."""
    return naming.kind == "order" and not any(
        len(members) == 1 and len(checkpoint[members[0]].shape) == 2 for members in naming.layers
    )


def _names(family: Family, naming: Naming) -> list[str]:
    """The names that every model of a family has, with the number of its first layer."""
    heads = {*PART_OPTIONS, "condition", "hidden_condition", "segments", "mapping"}
    return [
        numbered(name, 0)
        for row in family.rows
        if not heads & set(row.part.split("+")) and (name := row.name_in(naming.kind))
    ]


def _kinds(checkpoint: Checkpoint) -> Counter[str]:
    """Kinds of Keras layers with weights: the stored kind, else a name without its number."""
    stored = {layer.name: layer.kind for layer in checkpoint.layers}
    return Counter(
        stored.get(name) or NUMBER.sub("", name.rpartition("/")[2])
        for name, _ in layers_of(checkpoint)
    )
