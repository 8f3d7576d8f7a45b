"""The families of checkpoints that are understood; a new one is one module and one line here."""

from collections.abc import Collection

from convert.families import bert
from convert.families.base import Family, Settings, settle
from zoo.errors import UsageError
from zoo.hints import did_you_mean

__all__ = ["FAMILIES", "Family", "Settings", "choose", "find", "fitting", "settle"]

FAMILIES = (bert.FAMILY,)


def find(name: str) -> Family:
    """The family of one of bert4keras's `model=` strings.

    Raises:
        UsageError: no family has this name; the message has the nearest.
    """
    known = {word: family for family in FAMILIES for word in (family.name, *family.aliases)}
    if name not in known:
        raise UsageError(f"no family named {name!r}. {did_you_mean(name, known)}")
    return known[name]


def fitting(names: Collection[str]) -> list[Family]:
    """Every family that a checkpoint with these names could be of."""
    return [family for family in FAMILIES if family.fits(names)]


def choose(name: str | None, names: Collection[str]) -> Family:
    """The family that was named, or the only one that fits.

    Raises:
        UsageError: none fits, or several do and nothing decides; the message names them.
    """
    if name is not None:
        return find(name)
    found = fitting(names)
    if len(found) == 1:
        return found[0]
    if not found:
        some = ", ".join(list(names)[:3])
        known = ", ".join(family.name for family in FAMILIES)
        raise UsageError(
            f"these tensors are of no family that is known ({known}); the first are {some}. "
            "If they are of one all the same, name it: --family NAME"
        )
    candidates = " or ".join(f"--family {family.name}" for family in found)
    raise UsageError(f"the files fit several families and do not decide: give {candidates}")
