"""Commits by their first digits, as people copy them from a page or from git."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from huggingface_hub import HfApi

from zoo.errors import GenaeError, NotFoundError
from zoo.registry.hub import reading
from zoo.registry.hub.guard import Guard
from zoo.registry.shown import says_nothing
from zoo.registry.types import check_commit

MAX_COMMITS = 10_000
SHORT = re.compile(r"[0-9a-f]{7,39}")


def complete(
    api: HfApi,
    refs: Callable[[str, Guard], dict[str, dict[str, str]]],
    name: str,
    start: str,
    guard: Guard,
    error: GenaeError,
) -> str:
    """The one commit of a model that begins with these digits.

    Args:
        api: what is asked.
        refs: gives branches and tags with their commits.
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
        listed = refs(name, guard)
        known = {*listed["branches"].values(), *listed["tags"].values()}
        for rows in reading.pages(api, path, {}, guard, _commits):
            known.update(rows)
            if len(known) > MAX_COMMITS:
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


def date(api: HfApi, name: str, commit: str, guard: Guard) -> str | None:
    """The day of a commit, as `2026-11-29`; None if the hub does not say."""
    path = f"/api/models/{name}/commits/{commit}"
    for rows in reading.pages(api, path, {}, guard, _dates):
        return rows[0] if rows else None
    return None


def _dates(rows: list[Any]) -> list[str]:
    return [datetime.datetime.fromisoformat(row["date"]).date().isoformat() for row in rows[:1]]


def _commits(rows: list[Any]) -> list[str]:
    return [check_commit(row["id"]) for row in rows]
