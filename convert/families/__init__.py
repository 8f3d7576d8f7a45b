"""The families of checkpoints that are understood; a new one is one module and one line here."""

from collections.abc import Collection
from typing import Any

from convert.families import (
    albert,
    bert,
    electra,
    gau_alpha,
    gpt,
    nezha,
    roformer,
    synthesizer,
    t5,
)
from convert.families.base import Family, Settings
from convert.families.settings import resolve_settings
from convert.images.families import FAMILIES as SCRIPTS
from zoo.errors import UsageError
from zoo.hints import did_you_mean

__all__ = [
    "FAMILIES",
    "Family",
    "Settings",
    "find",
    "fitting",
    "meant_by",
    "resolve_settings",
    "telltales",
    "twins",
]

FAMILIES = (
    bert.FAMILY,
    albert.FAMILY,
    albert.UNSHARED,
    nezha.FAMILY,
    roformer.FAMILY,
    roformer.V2,
    gau_alpha.FAMILY,
    electra.FAMILY,
    gpt.FAMILY,
    gpt.GPT2,
    gpt.ML,
    *t5.FAMILIES,
    *synthesizer.FAMILIES,
)

#: Families that compute the same from files that fit both; the first that fits is taken.
SAME = (
    ("bert", "albert_unshared"),
    ("albert", "albert_unshared"),
    ("bert", "electra"),  # its encoder
    ("albert_unshared", "electra"),
    ("t5.1.1", "mt5.1.1"),  # Keras's names are the same
)


def find(name: str) -> Family:
    """The family of one of bert4keras's `model=` strings.

    Raises:
        UsageError: no family has this name; the message has the nearest.
    """
    known = {word: family for family in FAMILIES for word in (family.name, *family.aliases)}
    if name not in known:
        raise UsageError(f"no family named {name!r}. {did_you_mean(name, [*known, *SCRIPTS])}")
    return known[name]


def meant_by(name: str | None) -> dict[str, Any]:
    """The options that a `model=` string stands for (`t5.1.1_encoder`: one stack)."""
    if name is None:
        return {}
    family = find(name)
    return dict(family.aliases.get(name, {}))


def fitting(names: Collection[str]) -> list[Family]:
    """Every family that a checkpoint with these names could be of, one of those that are equal."""
    found = [family for family in FAMILIES if family.fits(names)]
    later = twins([family.name for family in found])
    return [family for family in found if family.name not in later]


def telltales() -> set[str]:
    """Every name whose presence tells a family."""
    return {
        word
        for family in FAMILIES
        for telltale in family.telltales
        for word in telltale
        if not word.startswith("!")
    }


def twins(names: Collection[str]) -> set[str]:
    """Those of some families that compute the same as one before them."""
    return {later for first, later in SAME if first in names and later in names}
