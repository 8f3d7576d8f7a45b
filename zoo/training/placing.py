"""A card that goes along with a model, to another folder than it was written in."""

import os
import re
from pathlib import Path

from zoo.card import Card
from zoo.card.toml import inline
from zoo.data.identity import WHOLE, fingerprint
from zoo.data.sources import DATASETS, beside, locate
from zoo.errors import NotFoundError, UsageError


def placed(card: Card, folder: Path | None) -> Card:
    """The card with its own data set as it is found from another folder, and with its sum.

    A relative path becomes one from that folder; the sum over the data's files says which data it
    is when it has moved. Names and ids of data sets stay.

    Args:
        card: with [data].
        folder: where the card is going to be; None for another machine, and a path from the root.
    """
    data = card.data
    assert data is not None
    if data.dataset in DATASETS:
        return card
    try:
        place = locate(beside(data.dataset, card.path))
    except NotFoundError:
        return card
    if not isinstance(place, Path):
        return card
    name = data.dataset
    if not os.path.isabs(os.path.expanduser(name)) and Path(beside(name, card.path)).exists():
        name = str(place.resolve())
        if folder is not None:
            name = os.path.relpath(name, folder.resolve()).replace(os.sep, "/")
    changed = {"dataset": name, "sha256": {**data.sha256, WHOLE: fingerprint(place)}}
    table = card.to_dict()
    table["data"] = {**table["data"], **changed}
    text = re.sub(
        r"(?m)^dataset *=[^#\n]*",
        lambda _: f"dataset = {inline(name)}\nsha256 = {inline(changed['sha256'])}",
        card.text,
        count=1,
    )
    try:
        edited = Card.parse(text, card.path)  # its comments kept
    except UsageError:  # the text has sums, or is written otherwise
        return Card.of(table, card.path)
    return edited if edited.to_dict() == table else Card.of(table, card.path)
