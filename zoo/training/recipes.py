"""From a card to its recipe."""

from pathlib import Path

from zoo import catalog
from zoo.card import Card
from zoo.errors import UsageError

from .images import image_recipe
from .recipe import Recipe
from .texts import text_recipe


def build_recipe(card: Card, output_dir: str | Path = "checkpoints") -> Recipe:
    """Check a card by building all that its training needs before the data is read.

    Args:
        card: with [data] and [train].
        output_dir: where the Trainer will keep its checkpoints; nothing is written yet.

    Raises:
        UsageError: with the card, the table and the key.
    """
    if card.data is None:
        raise UsageError(f"{card.path}: has no [data] to train on; a converted model has none")
    catalog.find_learner(card.architecture)
    make = image_recipe if card.data.task is None else text_recipe
    return make(card, output_dir)
