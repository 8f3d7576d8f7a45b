"""What a model is called whose settings or data are not its card's: never as its original."""

import os
import re
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.card.card import local_id
from zoo.card.toml import inline
from zoo.data.sources import beside

from .resuming import ABSENT, Change, changes
from .settings import is_neutral

MAX_CHANGES = 6  # that a summary names
UNSTATED = "Not stated."
RECIPE = re.compile(r'(?m)^status *= *"recipe"')  # the status of a card without weights
#: Keys of [data] that are of one data set: its place, its columns.
OF_DATA = ("dataset", "config", "name", "train_split", "validation_split", "license", "sha256",
           "columns", "label", "labels")  # fmt: skip
#: Keys of [train] that need a validation split.
OF_VALIDATION = (
    *("metric_for_best_model", "greater_is_better", "load_best_model_at_end", "eval_strategy"),
    *("eval_steps", "early_stopping_patience"),
)
#: What a card says of its own weights, and of no others.
OF_WEIGHTS = ("results", "published", "replaced_by", "reason")


def as_local(card: Card, table: dict[str, Any], name: str, said: str) -> dict[str, Any]:
    """The tables of a card under an identity of their own, with none of the original's claims.

    Args:
        card: the original.
        table: of the new card.
        name: the last part of the new id.
        said: the end of the summary, such as "with seed = 3".
    """
    table = {key: value for key, value in table.items() if key not in OF_WEIGHTS}
    table["train"] = {k: v for k, v in table.get("train", {}).items() if k != "budget"}
    title = catalog.find(card.architecture).title
    start, base = f"{title[0].upper()}{title[1:]} by the recipe of {card.id}", card.id
    if card.is_local and card.base_model:  # a variant's variant: nobody else knows the first
        start, base = card.summary.rstrip("."), card.base_model
    return table | {
        "id": local_id(name),
        "version": "0.1.0",
        "status": "experimental",
        "summary": f"{start}, {said}.",
        "base_model": base,
        "intended_use": UNSTATED,
        "limits": UNSTATED,
    }


def card_of_weights(card: Card, original: Card, output: Path) -> Card:
    """The card that goes with weights: the original's, or a variant's.

    Args:
        card: with the settings that were trained.
        original: before the settings.
        output: the folder of the weights, which gives a variant its name.

    Returns:
        `card`, where it makes the model of the original, experimental if it was a recipe; else
        one with the id `local/NAME`, version 0.1.0, the original as its base model and the
        changes in its summary.
    """
    name = output.absolute().name
    changed = [each for each in changes(original, card) if not is_neutral(each.key)]
    if changed:
        said = f"with {_listed(changed)}"
        return Card.of(as_local(original, card.to_dict(), name, said), card.path)
    if card.is_local and card.base_model and card.id != local_id(name):
        return Card.of(card.to_dict() | {"id": local_id(name)}, card.path)
    if card.status != "recipe":
        return card
    return Card.parse(RECIPE.sub('status = "experimental"', card.text, count=1), card.path)


def _listed(changed: list[Change]) -> str:
    """The new settings in words."""
    shown = [_said(each) for each in changed[:MAX_CHANGES]]
    rest = len(changed) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _said(change: Change) -> str:
    name = change.key.partition(".")[2] or change.key
    return f"no {name}" if change.now is ABSENT else f"{name} = {inline(change.now)}"


def with_data(card: Card, data: str) -> Card:
    """A card's recipe for a user's own images or texts: a variant, named after the data.

    Args:
        card: with [data] and [train].
        data: a folder of images, a file or folder of texts, or the name or Hub id of a data set;
            its `train` split is used.

    Returns:
        A card without results, its id `local/NAME` with the last part of the data's name.
    """
    if beside(data, card.path) != data and Path(data).exists():
        data = os.path.abspath(data)  # and not what lies beside the card under this name
    stem = Path(data).expanduser()
    stem = stem.with_suffix("") if stem.is_file() else stem
    name = local_id(stem.name).partition("/")[2]
    table = card.to_dict()
    kept = {key: value for key, value in table.get("data", {}).items() if key not in OF_DATA}
    made = as_local(card, table, name, f"trained on {name}")
    made["data"] = {"dataset": data, "train_split": "train", "license": "unknown", **kept}
    made["train"] = {k: v for k, v in made["train"].items() if k not in OF_VALIDATION}
    return Card.of(made | {"license": "unknown", "tags": []}, card.path)
