"""A first card for one's own data, from what the data tells and a shipped recipe."""

from collections.abc import Mapping
from typing import Any

from zoo import catalog
from zoo.card import Card, dumps
from zoo.card.card import LOCAL
from zoo.card.meanings import MEANINGS
from zoo.data.describing import is_planar
from zoo.errors import UsageError
from zoo.loading import locate
from zoo.registry import names

from .drafting_images import of_images, of_points
from .drafting_texts import of_texts
from .explaining import check_steps
from .known import known_settings
from .recipes import build_recipe

UNSTATED = "Not stated."


def new_card(
    name: str,
    data: str,
    architecture: str | None = None,
    task: str | None = None,
    start: str | None = None,
) -> str:
    """The text of a card that trains as it is, with a comment behind every key.

    Args:
        name: the model's id; without an owner it is `local`.
        data: a folder or file, the name of a data set or a Hub id; its `train` split is used.
        architecture: a name of the catalog; None for that of the start.
        task: of a model of texts, a key of `TASKS`; None for the first that fits.
        start: id or folder of the model of texts whose weights the training begins with; None for
            fresh ones.

    Raises:
        UsageError: architecture, start and data do not fit, or the name is no id.
        NotFoundError: there is no such data set or start.
    """
    model_id = names.id_of(name)
    model_id = model_id if "/" in model_id else f"{LOCAL}/{model_id}"
    given = None if start is None else locate(start)
    architecture = architecture or (given.entry.name if given else "")
    entry = catalog.find_learner(architecture)
    if given is not None and given.entry != entry:
        raise UsageError(
            f"--start {start} is a model of the architecture {given.entry.name}, not "
            f"{architecture}; leave --architecture out"
        )
    if given is not None and entry.reads != "texts":
        raise UsageError(
            f"--start is of texts, and {start} is a model of {entry.reads}; leave it out"
        )
    if entry.reads == "images":
        if task is not None:
            raise UsageError(f"--task is of texts, and {architecture} is of images; leave it out")
        draft = of_points(entry, data) if is_planar(data) else of_images(entry, data)
    else:
        draft = of_texts(entry, data, task, given)
    stem = model_id.partition("/")[2]
    table: dict[str, Any] = {
        "schema": 1,
        "id": model_id,
        "version": "0.1.0",
        "architecture": architecture,
        "task": draft.task,
        "status": "recipe",
        "license": "unknown",
        "summary": f"{entry.title[0].upper()}{entry.title[1:]} of {stem}.",
        "papers": [entry.paper] if entry.paper else [],
        "intended_use": UNSTATED,
        "limits": UNSTATED,
        **draft.table,
    }
    card = Card.of(table)
    check_steps(build_recipe(card))
    return dumps(table, _notes(card, draft.notes))


def _notes(card: Card, notes: Mapping[str, str]) -> dict[str, str]:
    """A comment for each key: what the data told, else what the key means."""
    found = dict(MEANINGS[""])
    for section, settings in known_settings(card).items():
        found |= {f"{section}.{name}": known.meaning for name, known in settings.items()}
    before = "Say it before you publish."
    found |= dict.fromkeys(("license", "intended_use", "limits", "data.license"), before)
    return {**found, **notes}
