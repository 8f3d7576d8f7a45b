"""A model of any registry put into the Hub's own cache, where every library finds it by its id."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants

from zoo.errors import IntegrityError, NotFoundError
from zoo.header import inspect
from zoo.registry import manifest, signing
from zoo.registry.cache import ORIGIN, Cache
from zoo.registry.deadline import Deadline
from zoo.registry.receiving import Read
from zoo.registry.remedies import remedy
from zoo.registry.snapshots import in_cache
from zoo.registry.types import File, Snapshot, check_id, check_revision

PIECE = 2**20


def keep(found: Path, name: str, revision: str | None = None) -> Path:
    """Put a model that was found into the cache, hashed, and let the revision point to it.

    What comes from no hub is named by the first 40 digits of its manifest's SHA-256. Its version
    points to it as well. What the cache has of the hub under the same id stays as it is.

    Args:
        found: its folder, in whichever registry or cache.
        name: the id under which libraries are to find it.
        revision: as it was asked for; None is `main`.

    Returns:
        Its folder in the cache.

    Raises:
        ConflictError: the revision is a model that the hub gave.
        IntegrityError: a file differs from the manifest.
        NotFoundError: nothing says what its files should be.
        NotAllowedError: the cache cannot be written to.
        MissingDependencyError: the disk is full.
    """
    cache = Cache(constants.HF_HUB_CACHE)
    cache.check_place()
    asked = check_revision(revision)
    if found.parent == cache.place(check_id(name)) / "snapshots":
        if cache.ref(name, asked) != found.name:
            cache.point(name, asked, found.name, lenient=True)
        return found
    listed = (found / manifest.MANIFEST_FILE).is_file()
    version = str(manifest.read(found)["version"]) if listed else ""
    files = _listed(found) if listed else _stated(found)
    commit = (
        found.name if in_cache(found) else manifest.sha256(found / manifest.MANIFEST_FILE)[:40]
    )
    tags = dict.fromkeys([asked, *([check_revision(version)] if version else [])])
    for tag in tags:
        cache.check_put(name, tag, commit)

    def check(folder: Path) -> str:
        inspect(folder, [file.path for file in files])
        signing.check(folder)
        if listed and (problems := manifest.check_hashes(folder)):
            raise IntegrityError(f"{folder}: {'; '.join(problems)}.")
        return version

    snapshot, deadline, origin = Snapshot(name, asked, commit, files), Deadline(), str(found)
    deadline.allow(snapshot.size)
    place = cache.store(snapshot, _opener(found), deadline, check=check, origin=origin)
    for tag in tags:
        cache.point(name, tag, commit, {ORIGIN: origin})
    return place


def _listed(found: Path) -> tuple[File, ...]:
    """What a manifest lists, it and its signature as well."""
    listed = [File(e["path"], e["size"], e["sha256"]) for e in manifest.read(found)["files"]]
    more = [
        File(path.name, path.stat().st_size, manifest.sha256(path))
        for path in (found / manifest.MANIFEST_FILE, found / signing.SIGNATURE)
        if path.is_file()
    ]
    return (*listed, *more)


def _stated(found: Path) -> tuple[File, ...]:
    """What another cache vouches for, where there is no manifest."""
    place = found.parents[1]
    name = place.name.removeprefix("models--").replace("--", "/", 1)
    files = Cache(place.parent).files(name, found.name) if in_cache(found) else []
    if not files:
        raise NotFoundError(f"{manifest.absent(found)} {remedy(found, ['no manifest'])}")
    return tuple(files)


def _opener(found: Path) -> Read:
    """What opens the files of a folder as those of a registry are opened."""

    @contextlib.contextmanager
    def read(snapshot: Snapshot, file: File, start: int) -> Iterator[Iterator[bytes]]:
        try:
            content = (found / file.path).open("rb")
        except FileNotFoundError:
            lack = manifest.differs(file.path, "missing, though the manifest lists it")
            raise IntegrityError(f"{found}: {lack}. {remedy(found, [lack])}") from None
        with content:
            content.seek(start)
            yield iter(lambda: content.read(PIECE), b"")

    return read
