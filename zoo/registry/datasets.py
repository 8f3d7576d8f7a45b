"""What a data set is called where the path to it leads nowhere, as in a registry."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.card import Card
from zoo.hints import command


def bare_name(dataset: str, folder: str | os.PathLike[str] = ".") -> str:
    """The last part of a path that leaves a card's folder; any other name or id as it is.

    Args:
        dataset: as a card names it.
        folder: the card's.

    Example:
        >>> bare_name("/home/me/images"), bare_name("mnist")
        ('images', 'mnist')
    """
    path = os.path.expanduser(dataset)
    if not path.startswith(".") and not os.path.isabs(path):
        return dataset
    return os.path.basename(os.path.abspath(Path(folder, path))) or dataset


def bare_names(card: Card, folder: Path) -> dict[str, str]:
    """Those data sets of a card that are called otherwise elsewhere; none if two were one then."""
    named = {result.dataset for result in card.results} | (
        {card.data.dataset} if card.data else set()
    )
    bare = {name: bare_name(name, folder) for name in named}
    changed = {name: other for name, other in bare.items() if name != other}
    return changed if len({*bare.values()}) == len(bare) else {}


def renamed(result: Mapping[str, Any], bare: Mapping[str, str]) -> dict[str, Any]:
    """A result whose data set, and the command that measures it, are called otherwise."""
    own = str(result.get("dataset"))
    if own not in bare:
        return dict(result)
    words = shlex.split(str(result.get("protocol", "")))
    protocol = command(*(bare[own] if word == own else word for word in words))
    return {**result, "dataset": bare[own], "protocol": protocol}
