"""Snapshots that another program fetched, or that were copied from another machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.errors import GenaeError
from zoo.registry.cache import Cache
from zoo.registry.shown import notice
from zoo.registry.snapshots import LackingError, look
from zoo.registry.types import COMMIT


def holds(cache: Cache, name: str, revision: str) -> bool:
    """Whether there is a snapshot that may serve; it may be partial."""
    return bool(_candidates(cache, name, revision))


def expand(cache: Cache, name: str, start: str) -> str:
    """The one commit in the cache that begins with these digits; empty if none or several do."""
    found = [commit for commit in cache.commits(name) if commit.startswith(start)]
    return found[0] if len(found) == 1 else ""


def adopt(cache: Cache, name: str, revision: str, check: Callable[[Path, list[str]], str]) -> Path:
    """Take a snapshot into the cache's record, if it is whole.

    Every file is hashed, without asking anyone: against the sum that names its blob or that was
    kept with it, where there is one.

    Args:
        cache: where it lies.
        name: owner and name.
        revision: a version, branch, tag or commit.
        check: looks at the folder and the paths of the model's files, raises if it is not to be
            used, and returns the model's version, or nothing.

    Returns:
        The snapshot's folder. Where nothing says which commit `main` is, or that one is not
        whole, and one other is there, the other.

    Raises:
        LackingError: there is none, or it is not whole; the message says what it lacks.
        GenaeError: what `check` raises.
    """
    place = cache.place(name)
    lack = LackingError("")
    for commit in _candidates(cache, name, revision):
        folder = place / "snapshots" / commit
        try:
            files = look(folder, place)
        except (LackingError, OSError) as error:
            if not str(lack):
                lack = LackingError(f"the cache has commit {commit[:12]}, but {error}")
            continue
        version = check(folder, [file.path for file in files])
        known = commit in (revision, _reference(cache, name, revision))
        if not known:
            notice(
                f"{name}: in the cache nothing says which commit {revision} is, or that one is "
                f"not whole; commit {commit[:12]} is, and serves."
            )
        entry = {"version": version, "files": [[f.path, f.size, f.sum] for f in files]}
        cache.point(name, revision if known else commit, commit, entry, lenient=True)
        return folder
    raise lack


def instead(have: Path | None, error: GenaeError) -> Path:
    """What the cache has, with a notice that says why; `error` if it has nothing."""
    if have is None:
        raise error
    notice(f"{error} The version in the cache serves ({have.name[:12]}).")
    return have


def not_here(name: str, revision: str, error: GenaeError, lack: str) -> GenaeError:
    """The error where neither the hub nor the cache has a model to give."""
    reason = str(error).removeprefix(f"{name}: ")
    return type(error)(
        f"{name} at {revision} is not in the cache{f' ({lack})' if lack else ''}, and not within "
        f"reach: {reason}"
    )


def _reference(cache: Cache, name: str, revision: str) -> str:
    """The commit that huggingface_hub last saw a revision to be; empty if it never was."""
    try:
        text = (cache.place(name) / "refs" / revision).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
    return text if COMMIT.fullmatch(text) else ""


def _candidates(cache: Cache, name: str, revision: str) -> list[str]:
    """Commits of snapshots that may serve for a revision, the one it is first."""
    commit = revision if COMMIT.fullmatch(revision) else _reference(cache, name, revision)
    try:
        there = sorted(p.name for p in (cache.place(name) / "snapshots").iterdir())
    except OSError:
        return []
    there = [other for other in there if COMMIT.fullmatch(other)]
    first = [commit] if commit in there else []
    rest = [other for other in there if other != commit]
    return first + (rest if revision == "main" and len(rest) == 1 else [])
