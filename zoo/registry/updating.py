"""A pulled folder that another version may take the place of: proved untouched, or refused."""

import os
from pathlib import Path

from zoo.errors import ConflictError, GenaeError, UsageError
from zoo.hints import command
from zoo.registry import embedded, manifest, order
from zoo.registry.signing import SIGNATURE
from zoo.registry.snapshots import digest
from zoo.registry.types import File
from zoo.staging import check_new_folder, free_folder

SHOWN = 5  # changes named in a message


def check(target: Path, name: str, source: str | None, *, asked: bool) -> None:
    """Refuse to replace a folder, unless it is an untouched version of this model.

    Args:
        target: a folder that is not empty.
        name: the model's id.
        source: the only registry to ask; None is the search order.
        asked: whether replacing it was asked for.

    Raises:
        ConflictError: it is something else, was changed, or replacing it was not asked for.
        UsageError: it is the current folder, or contains it.
    """
    if target.is_symlink() or not (target / manifest.MANIFEST_FILE).is_file():
        check_new_folder(target)
    try:
        listed = manifest.read(target)
    except GenaeError:
        check_new_folder(target)
        raise
    place = ["--from", source] if source else []
    pull = ["genae", "pull", name, *place, "--to"]
    another = command(*pull, free_folder(target))
    if listed["id"] != name:
        raise ConflictError(
            f"{target} contains {listed['id']}, not {name}: choose another folder: `{another}`."
        )
    if changes := touched(target, source):
        more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        raise ConflictError(
            f"{target} was changed since it was pulled: {'; '.join(changes[:SHOWN])}{more}. "
            f"Nothing was replaced: move what is yours, or choose another folder: `{another}`."
        )
    if not asked:
        raise ConflictError(
            f"{target} contains {name} v{listed['version']}: to replace it by the newest version, "
            f"`{command(*pull, target, '--update')}`."
        )
    if Path.cwd().is_relative_to(target.resolve()):
        raise UsageError(f"{target} is the current folder: replace it from outside.")


def touched(folder: Path, source: str | None = None) -> list[str]:
    """What was changed in a pulled folder, a line each; empty if nothing was.

    Files are compared with the manifest, and the manifest with the one that was published under
    this version, where a registry can be asked.
    """
    listed = manifest.read(folder)
    changes = list(map(str, manifest.check_hashes(folder)))
    known = {entry["path"] for entry in listed["files"]} | {manifest.MANIFEST_FILE, SIGNATURE}
    for directory, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        paths = [(Path(directory) / name).relative_to(folder).as_posix() for name in files]
        changes += [f"{path}: not in the manifest" for path in sorted(paths) if path not in known]
    published = _published(listed["id"], f"v{listed['version']}", source)
    if published and digest(folder / manifest.MANIFEST_FILE, published) != published.sum:
        changes.append(f"{manifest.MANIFEST_FILE}: not the one that was published")
    return changes


def _published(name: str, tag: str, source: str | None) -> File | None:
    """The manifest of a version as its registry describes it; None where none can say."""
    for place in [source] if source else order.order():
        try:
            if place != "embedded":
                if file := order.open_remote(place).find(name, tag).file(manifest.MANIFEST_FILE):
                    return file
            elif embedded.owns(name) and tag in embedded.Embedded().versions(name):
                path = embedded.folder(name) / manifest.MANIFEST_FILE
                return File(path.name, path.stat().st_size, manifest.sha256(path))
        except GenaeError:
            continue
    return None
