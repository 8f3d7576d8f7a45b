"""A card's recipe for a user's own images or texts: other data and name, no stated results."""

import re
from pathlib import Path

from zoo import catalog
from zoo.card import Card

OWNER = "local"  # of unpublished models
#: Keys of [data] that are of one data set: its place, its columns.
OWN = ("dataset", "config", "name", "train_split", "validation_split", "license", "sha256",
       "columns", "label")  # fmt: skip


def with_data(card: Card, data: str) -> Card:
    """The card with another data set, and named after it.

    Args:
        card: with [data] and [train].
        data: a folder of images, a file or folder of texts, or the name or Hub id of a data set;
            its `train` split is used.

    Returns:
        A card without results, its id `local/NAME` with the last part of the data's name.
    """
    table = card.to_dict()
    stem = Path(data).expanduser()
    stem = stem.with_suffix("") if stem.is_file() else stem
    name = re.sub(r"[^A-Za-z0-9]+", "-", stem.name).strip("-").lower() or "own"
    for key in ("results", "published", "replaced_by", "reason"):
        table.pop(key, None)
    title = catalog.find(card.architecture).title
    kept = {key: value for key, value in table.get("data", {}).items() if key not in OWN}
    table |= {
        "id": f"{OWNER}/{name}",
        "version": "0.1.0",
        "status": "recipe",
        "license": "unknown",
        "summary": f"{title.capitalize()} of {name}, by the recipe of {card.id}.",
        "intended_use": "Not stated.",
        "limits": "Not stated.",
        "tags": [],
        "data": {"dataset": data, "train_split": "train", "license": "unknown", **kept},
    }
    return Card.of(table, card.path)
