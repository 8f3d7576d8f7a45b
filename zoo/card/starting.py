"""The first card of weights that no card describes yet: converted, or saved by another program."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo import catalog
from zoo.card.card import local_id
from zoo.card.toml import dumps

#: What nobody has looked up yet; a push asks for it.
UNKNOWN = "unknown"
HEADER = """\
# Written by genae. Edit it as you like; `genae card` then brings README and manifest up to it.
# Before `genae push` somebody has to say which license holds.
"""


def first_card(
    name: str,
    entry: catalog.Entry,
    architecture: str,
    summary: str,
    source: Mapping[str, Any],
    *,
    papers: Sequence[str] = (),
    tags: Sequence[str] = (),
    limits: Sequence[str] = (),
) -> str:
    """The text of a card, its license unknown.

    Args:
        name: of the model's folder; its id is `local/` and this in plain letters.
        entry: the row of its architecture.
        architecture: the model's class, as `config.json` names it.
        summary: what it is.
        source: the card's `[source]` without its license.
        papers: where it was described.
        tags: for the Hub.
        limits: what a user should know, a line each.
    """
    table = {
        "schema": 1,
        "id": local_id(name),
        "version": "0.1.0",
        "architecture": entry.name,
        "task": _task(architecture, entry),
        "status": "experimental",
        "license": UNKNOWN,
        "summary": line(summary),
        "papers": list(papers),
        "tags": list(tags),
        "intended_use": "What the original is meant for.",
        "limits": "\n".join(f"- {line(one)}" for one in limits) or "Not stated.",
        "source": {"license": UNKNOWN, **source},
    }
    return HEADER + dumps(table)


def _task(architecture: str, entry: catalog.Entry) -> str:
    """The Hub's pipeline tag of a model class."""
    if entry.reads != "texts":
        return entry.task
    found = (tag for head, (_, tag, _) in catalog.HEADS.items() if architecture.endswith(head))
    return next(found, entry.task)


def line(text: str) -> str:
    """One line that any terminal may be shown."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split())) or "-"
