"""Averaged weights next to the raw ones: `kernel/ExponentialMovingAverage`, or a slot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.names.naming import Naming
    from convert.readers import Checkpoint

#: How the averaged form of a variable is called, and what of its name is the variable's.
FORMS = (
    (re.compile(r"(.*)/ExponentialMovingAverage(:0)?"), r"\1\2"),
    (
        re.compile(r"(.*)/\.OPTIMIZER_SLOT/[^/]+/(?:average|ema)(/\.ATTRIBUTES/VARIABLE_VALUE)"),
        r"\1\2",
    ),
)


def averages_of(names: Mapping[str, object]) -> dict[str, str]:
    """The name of a variable -> the name under which its average is stored.

    Args:
        names: as stored.
    """
    return {
        match.expand(form): name
        for name in names
        for pattern, form in FORMS
        if (match := pattern.fullmatch(name))
    }


def in_place(checkpoint: Checkpoint, averages: Mapping[str, str]) -> Checkpoint:
    """The checkpoint as it would be if the averages were the weights.

    Args:
        checkpoint: the files; stays as it is.
        averages: as `averages_of`.
    """
    hidden = set(averages.values())
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in hidden}
    tensors |= {name: checkpoint.tensors[stored] for name, stored in averages.items()}
    return replace(checkpoint, tensors=tensors)


def as_stored(naming: Naming, averages: Mapping[str, str], checkpoint: Checkpoint) -> Naming:
    """A naming of `in_place` with the names under which the averages are stored.

    Args:
        naming: of that checkpoint.
        averages: as `averages_of`.
        checkpoint: the files.
    """
    raw = {
        name: "raw weights: their averages are taken (averaged=true)"
        for name in averages
        if name in checkpoint
    }
    note = "averaged weights are taken" + ("" if raw else ": the file has no others of them")
    return replace(
        naming,
        names={name: averages.get(stored, stored) for name, stored in naming.names.items()},
        dropped={averages.get(name, name): why for name, why in naming.dropped.items()} | raw,
        notes=(*naming.notes, note),
        averaged=frozenset(averages.values() if raw else ()),  # else there is nothing to choose
    )
