"""Every model of one place: what it is, and whether its files are what they should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.card import CARD_FILE, Card
from zoo.errors import GenaeError, NotFoundError, UnreachableError
from zoo.registry import embedded, manifest, order
from zoo.registry.peek import describe, facts_of
from zoo.registry.shown import notice
from zoo.registry.types import File, Remote, Snapshot
from zoo.registry.verification import examine

#: Models of a hub in one list: each takes some requests.
MAX_MODELS = 100
#: What a row knows of a model before its files are read.
OWN = {"version", "versions", "withdrawn"}


def list_place(place: str, search: str = "") -> list[dict[str, Any]]:
    """Describe every model of one place by its newest version; only small files are read.

    Args:
        place: `embedded`, `hub`, the address of a hub, or a folder. Of a hub, the models that
            genae pushed, at most 100 at once.
        search: what their ids contain.

    Returns:
        For each model, by id: the fields of `registry.describe`, with `date` of the version
        (`2026-11-29`, None if the place does not know), `versions` (newest first), `withdrawn`
        (tags with their reasons) and `problem` (what is wrong with it, or None).

    Raises:
        NotFoundError: there is no such folder.
        UnreachableError: the place does not answer.
        UsageError: there can be no such place.
    """
    registry = order.open_registry(place)
    if isinstance(registry, embedded.Embedded):
        names = registry.list(search)
        return [_shipped(Card.load(embedded.folder(name))) for name in names]
    remote = order.open_remote(place)
    return [_row(remote, name) for name in _names(remote, search)]


def _names(registry: Remote, search: str) -> list[str]:
    """The ids of a place, as many of a hub as are asked for one by one."""
    names = registry.list(search)
    fs, root = getattr(registry, "fs", None), getattr(registry, "root", None)
    if not names and fs is not None and not fs.exists(root):
        raise NotFoundError(f"there is no folder {registry.name}; a push --to it makes it.")
    if hasattr(registry, "endpoint") and len(names) > MAX_MODELS:
        notice(
            f"{registry.name} has {len(names)} models of genae's{' like this' if search else ''}; "
            f"these are the first {MAX_MODELS}. Give a part of the id to see others."
        )
        return names[:MAX_MODELS]
    return names


def _shipped(card: Card) -> dict[str, Any]:
    more: dict[str, Any] = {
        "date": None,
        "versions": [f"v{card.version}"],
        "withdrawn": {},
        "problem": None,
    }
    return describe(card) | more


def _row(registry: Remote, name: str) -> dict[str, Any]:
    """One model; what is wrong with it does not hide the others."""
    row: dict[str, Any] = dict.fromkeys(("id", "version", "status", "architecture", "task"))
    row |= dict.fromkeys(("parameters", "bytes", "license", "summary", "date", "problem"))
    row |= {"id": name, "versions": [], "withdrawn": {}}
    try:
        row["versions"] = list(registry.versions(name))
        row["withdrawn"] = {tag: gone.why for tag, gone in registry.withdrawn(name).items()}
        left = [tag for tag in row["versions"] if tag not in row["withdrawn"]]
        row["version"] = (left or row["versions"] or ["v"])[0].removeprefix("v") or None
        if row["versions"] and not left:
            return row | {"status": "withdrawn"}
        snapshot = registry.find(name)
        facts, _ = facts_of(registry, snapshot)
        row |= {key: facts[key] for key in row.keys() & facts.keys() - OWN}
        row["date"] = registry.date(snapshot)
    except UnreachableError:
        raise
    except GenaeError as error:
        row["problem"] = str(error)
    return row


@dataclass(slots=True)
class Audit:
    """What the check of one version found.

    Attributes:
        id: of the model.
        version: its tag.
        files: paths of what agrees with the manifest.
        problems: one line per difference; empty when all agrees.
        withdrawn: the reason, if it is; empty otherwise.
    """

    id: str
    version: str
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    withdrawn: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.problems


def audit(place: str, search: str = "") -> Iterator[Audit]:
    """Hash every file of every version at a place, withdrawn ones as well.

    What lies on this machine is looked at as `verify` looks; from elsewhere every file is read
    once, and nothing is kept.

    Args:
        place: as of `list_place`; of the embedded models, those that ship.
        search: what their ids contain.

    Yields:
        One audit a version, by id and newest first; an error of one does not hide the others.

    Raises:
        NotFoundError: there is no such folder.
        UnreachableError: the place does not answer.
        UsageError: there can be no such place.
    """
    registry = order.open_registry(place)
    if isinstance(registry, embedded.Embedded):
        for name in registry.list(search):
            folder = embedded.folder(name)
            if embedded.ships(folder):
                report = examine(folder)
                tag = next(iter(registry.versions(name)))
                yield Audit(name, tag, report.files, report.problems)
        return
    remote = order.open_remote(place)
    for name in _names(remote, search):
        yield from _audit_model(remote, name)


def _audit_model(registry: Remote, name: str) -> Iterator[Audit]:
    try:
        tags, gone = registry.versions(name), registry.withdrawn(name)
    except UnreachableError:
        raise
    except GenaeError as error:
        yield Audit(name, "", problems=[str(error)])
        return
    for tag in tags:
        found = Audit(name, tag, withdrawn=gone[tag].why if tag in gone else "")
        if tag not in gone or not gone[tag].purged:
            try:
                snapshot = registry.find(name, tag)
                here = registry.path(snapshot)
                if here is None:
                    _read(registry, snapshot, found)
                else:
                    report = examine(here)
                    found.files, found.problems = report.files, report.problems
            except UnreachableError:
                raise
            except GenaeError as error:
                found.problems.append(str(error))
        yield found


def _read(registry: Remote, snapshot: Snapshot, found: Audit) -> None:
    """Hash what a registry gives, and compare it with what it states and with the manifest."""
    sums, small = {}, {}
    for file in snapshot.files:
        content: list[bytes] | None = [] if file.size <= manifest.MAX_BYTES else None
        sums[file.path] = _hash(registry, snapshot, file, content)
        if content is not None:
            small[file.path] = b"".join(content)
        if sums[file.path][bool(file.sha256)] != file.sum:
            found.problems.append(f"{file.path}: its content differs from its checksum")
    listed = small.get(manifest.MANIFEST_FILE)
    if listed is not None:
        stated = manifest.parse(listed, Path(manifest.MANIFEST_FILE))
        for entry in stated["files"]:
            if entry["path"] not in sums:
                found.problems.append(f"{entry['path']}: missing")
            elif sums[entry["path"]][True] != entry["sha256"]:
                found.problems.append(f"{entry['path']}: its SHA-256 differs from the manifest's")
        if CARD_FILE in small:
            card = Card.parse(small[CARD_FILE].decode("utf-8", "replace"))
            if (card.id, card.version) != (stated["id"], stated["version"]):
                found.problems.append(f"{CARD_FILE}: of {card.id} {card.version}")
    wrong = {problem.partition(":")[0] for problem in found.problems}
    found.files = [path for path in sums if path not in wrong]


def _hash(
    registry: Remote, snapshot: Snapshot, file: File, content: list[bytes] | None
) -> tuple[str, str]:
    """Git's sum of a file's content and its SHA-256; small content is kept."""
    git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    total = hashlib.sha256()
    with registry.read(snapshot, file) as pieces:
        for piece in pieces:
            git.update(piece)
            total.update(piece)
            if content is not None:
                content.append(piece)
    return git.hexdigest(), total.hexdigest()
