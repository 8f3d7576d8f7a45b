"""Commits by their first digits, as people copy them from a page or from git."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zoo.errors import GenaeError, NotFoundError
from zoo.registry import reading
from zoo.registry.base import check_commit
from zoo.registry.shown import says_nothing
from zoo.registry.wire import Guard

if TYPE_CHECKING:
    from zoo.registry.hub import Hub

MOST = 10_000  # commits looked at
SHORT = re.compile(r"[0-9a-f]{7,39}")


def complete(hub: Hub, name: str, start: str, guard: Guard, error: GenaeError) -> str:
    """The one commit of a model that begins with these digits.

    Args:
        hub: what is asked.
        name: owner and name.
        start: the digits, 7 to 39 of them.
        guard: the rules for the requests.
        error: what the hub said of them as a revision.

    Raises:
        NotFoundError: no commit begins so, or several do.
        GenaeError: `error`, with a hint, if the hub does not list its commits.
    """
    path = f"/api/models/{name}/commits/main"
    try:
        refs = hub.refs(name, guard)
        known = {*refs["branches"].values(), *refs["tags"].values()}
        for rows in reading.pages(hub, path, {}, guard, _commits):
            known.update(rows)
            if len(known) > MOST:
                break
    except GenaeError as failure:
        if says_nothing(failure):
            raise
        raise type(error)(f"{error} A commit has 40 digits: give all of them.") from None
    found = [commit for commit in known if commit.startswith(start)]
    if len(found) == 1:
        return found[0]
    what = "several commits begin" if found else "no branch, tag or commit begins"
    raise NotFoundError(f"{what} with {start}: a commit has 40 digits; give all of them.")


def _commits(rows: list[Any]) -> list[str]:
    return [check_commit(row["id"]) for row in rows]
