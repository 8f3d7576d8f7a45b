"""Fetched models on this machine, in the layout of the Hub's cache, complete or not there.

    models--owner--name/blobs/<sum>              content, named by the sum it was checked against
    models--owner--name/snapshots/<commit>/...   links to the blobs
    models--owner--name/refs/<revision>          the newest complete commit, for transformers
    models--owner--name/genae.json               what is complete, and which versions were seen

A revision points to a commit only once all its files are there, so that a partly fetched newer
version never hides an older one.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from zoo.errors import (
    ConflictError,
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    UnreachableError,
    UnsafeError,
)
from zoo.hints import command
from zoo.registry.atomic import link, write
from zoo.registry.deadline import Deadline
from zoo.registry.receiving import Read, receive, size_of
from zoo.registry.snapshots import described, digest
from zoo.registry.types import (
    COMMIT,
    File,
    Progress,
    Snapshot,
    check_commit,
    check_files,
    check_path,
    version_key,
)

RECORD = "genae.json"
#: In the record of a snapshot: where it was put here from, if not by a fetch of this hub's.
ORIGIN = "from"
#: Variables that say where the cache is, the nearest first.
PLACES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
#: Records of caches that cannot be written to, by the model's place.
_UNWRITTEN: dict[Path, dict[str, Any]] = {}


class Cache:
    """A folder of fetched models; safe to share between processes.

    Args:
        root: such as huggingface_hub's own cache folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def place(self, name: str) -> Path:
        """The folder of one model."""
        return self.root / f"models--{name.replace('/', '--')}"

    def check_place(self) -> None:
        """Refuse a place where no folder can be.

        Raises:
            NotAllowedError: a file is in its way.
        """
        there = next(p for p in (self.root, *self.root.absolute().parents) if p.exists())
        if not there.is_dir():
            name = next((n for n in PLACES if os.environ.get(n)), "")
            raise NotAllowedError(
                f"{self.root}: cannot be written to, as {there} is a file; set HF_HUB_CACHE to a "
                f"folder of yours{f' ({name} is set)' if name else ''}."
            )

    def known(self, name: str, revision: str) -> Path | None:
        """The complete snapshot that a revision pointed to when it was last asked for."""
        record = self._record(name)
        commit = revision if COMMIT.fullmatch(revision) else record["refs"].get(revision)
        if commit not in record["snapshots"]:
            return None
        folder = self.place(name) / "snapshots" / commit
        sizes = record["snapshots"][commit]["files"]
        complete = all(size_of(folder / path) == size for path, size, _ in sizes)
        return folder if complete and sizes else None

    def files(self, name: str, commit: str) -> list[File]:
        """What a complete snapshot consists of, as the registry said when it was fetched."""
        entry = self._record(name)["snapshots"].get(commit, {"files": []})
        return [described(path, size, total) for path, size, total in entry["files"]]

    def check_unmoved(self, name: str, revision: str, commit: str) -> None:
        """Refuse a version that pointed elsewhere when it was seen before.

        Raises:
            IntegrityError: its tag was moved.
        """
        before = self._record(name)["refs"].get(revision)
        if before is not None and before != commit and version_key(revision) is not None:
            raise IntegrityError(
                f"{name}: {revision} pointed to {before[:12]} and now points to {commit[:12]}; a "
                "published version never changes. If its owner can explain it, remove "
                f"{self.place(name)}."
            )

    def check_forward(self, name: str, revision: str, version: str) -> None:
        """Refuse a branch that went back to an older version than was seen on it.

        Raises:
            IntegrityError: it did.
        """
        last, given = version_key(self.version(name, revision)), version_key(version)
        if version_key(revision) is None and last is not None and (given or last) < last:
            raise IntegrityError(
                f"{name}: {revision} went back from version {'.'.join(map(str, last))} to "
                f"{version}. If its owner can explain it, ask for v{version} by name."
            )

    def store(
        self,
        snapshot: Snapshot,
        read: Read,
        deadline: Deadline,
        *,
        progress: Progress | None = None,
        check: Callable[[Path], str] = lambda folder: "",
        origin: str = "",
    ) -> Path:
        """Fetch what is missing of a snapshot, hash all of it, and only then point to it.

        Args:
            snapshot: what to fetch.
            read: opens a file in the registry.
            deadline: for all of it; waiting for another process counts.
            progress: called with the number of bytes as they arrive.
            check: looks at the complete folder, raises if it is not to be used, and returns the
                model's version, or nothing.
            origin: the place that it was put here from, where that is not the hub of this cache.

        Returns:
            The snapshot's folder.

        Raises:
            ConflictError: with an origin: the revision is the hub's already, see `check_put`.
            IntegrityError: a file is wrong, also when fetched once more; what this call fetched
                is removed.
            UnreachableError: the registry stopped answering; what arrived is kept for next time.
            MissingDependencyError: the disk is full; likewise.
            NotAllowedError: the cache cannot be written to.
        """
        place = self.place(snapshot.id)
        fetched: list[Path] = []
        folder = place / "snapshots" / snapshot.commit
        existed = folder.exists()
        try:
            with self._writing():
                for file in snapshot.files:
                    self._fetch(snapshot, file, read, deadline, progress, fetched)
                for file in snapshot.files:
                    link(place / "blobs" / file.sum, folder / check_path(file.path))
            version = check(folder)
        except (IntegrityError, UnsafeError):
            for blob in fetched:
                blob.unlink(missing_ok=True)
            if not existed:
                shutil.rmtree(folder, ignore_errors=True)
            self._sweep(place)
            raise
        files = [[file.path, file.size, file.sum] for file in snapshot.files]
        entry: dict[str, Any] = {"version": version, "files": files}
        entry |= {ORIGIN: origin} if origin else {}
        with self._writing():
            self.point(snapshot.id, snapshot.revision, snapshot.commit, entry)
        return folder

    def _fetch(
        self,
        snapshot: Snapshot,
        file: File,
        read: Read,
        deadline: Deadline,
        progress: Progress | None,
        fetched: list[Path],
    ) -> None:
        """One file's blob: there and right already, or fetched by this process alone."""
        blob = self.place(snapshot.id) / "blobs" / file.sum
        plain = self.place(snapshot.id) / "snapshots" / snapshot.commit / file.path
        with self._lock(snapshot.id, file.sum, deadline):
            if blob.exists():
                if blob.stat().st_size == file.size and digest(blob, file) == file.sum:
                    return
                blob.unlink()
            blob.parent.mkdir(parents=True, exist_ok=True)
            partial = blob.with_name(f"{blob.name}.genae-partial")
            if size_of(plain) == file.size and digest(plain, file) == file.sum:  # not a link
                shutil.copyfile(plain, partial)
                os.replace(partial, blob)
                return
            fetched.append(partial)
            for last in (False, True):
                try:
                    receive(snapshot, file, partial, read, deadline, progress)
                    if digest(partial, file) != file.sum:
                        raise IntegrityError(
                            f"{snapshot.id}: the content of {file.path} differs from its "
                            f"checksum {file.sum[:12]}...; it was fetched twice and nothing kept."
                        )
                    os.replace(partial, blob)
                    fetched[-1] = blob
                    return
                except IntegrityError:
                    partial.unlink(missing_ok=True)
                    if last:
                        raise

    def point(
        self,
        name: str,
        revision: str,
        commit: str,
        entry: dict[str, Any] | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        """Let a revision point to a complete snapshot; `entry` describes a new one.

        With `lenient`, a cache that cannot be written to is remembered by this process alone. Of
        what was put here from another place, only transformers is told: the hub's versions are
        others.
        """
        place = self.place(name)

        def pointed() -> dict[str, Any]:
            record = self._record(name)
            if entry is not None:
                record["snapshots"][commit] = record["snapshots"].get(commit, {}) | entry
            if ORIGIN not in record["snapshots"].get(commit, {}):
                record["refs"][revision] = commit
            return record

        try:
            with self._lock(name, "genae", Deadline()):
                if ORIGIN in (entry or {}):
                    self.check_put(name, revision, commit)
                record = pointed()
                write(place / RECORD, json.dumps(record, indent=1))
                if not COMMIT.fullmatch(revision):
                    write(place / "refs" / revision, commit)
        except OSError:
            if not lenient:
                raise
            _UNWRITTEN[place] = pointed()

    def check_put(self, name: str, revision: str, commit: str) -> None:
        """Refuse to let a revision point to what is put here, where it is the hub's already.

        Raises:
            ConflictError: it points to another commit, which was not put here.
        """
        try:
            there = (self.place(name) / "refs" / revision).read_text("utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:
            there = f"({error})"
        if there != commit and ORIGIN not in self._record(name)["snapshots"].get(there, {}):
            copied = command("genae", "pull", name, "--to", "FOLDER")
            raise ConflictError(
                f"{self.place(name)}: {revision} is the model {there[:12]} of another place "
                f"already, and is left as it is; remove that folder, or `{copied}`."
            )

    def commits(self, name: str) -> set[str]:
        """Every commit that was seen of a model, or has a folder here."""
        record = self._record(name)
        known = {*record["snapshots"], *record["refs"].values()}
        with contextlib.suppress(OSError):
            known |= {p.name for p in (self.place(name) / "snapshots").iterdir()}
        return {commit for commit in known if COMMIT.fullmatch(commit)}

    def ref(self, name: str, revision: str) -> str:
        """The commit that a revision was last seen to be; empty if it never was."""
        return str(self._record(name)["refs"].get(revision, ""))

    def version(self, name: str, revision: str) -> str:
        """The model's version that a revision was last seen to have; empty if unknown."""
        record = self._record(name)
        entry = record["snapshots"].get(record["refs"].get(revision), {})
        return str(entry.get("version", ""))

    def _record(self, name: str) -> dict[str, Any]:
        """What was seen of a model; a record that is damaged counts as none."""
        empty: dict[str, Any] = {"refs": {}, "snapshots": {}}
        if (unwritten := _UNWRITTEN.get(self.place(name))) is not None:
            return copy.deepcopy(unwritten)
        try:
            record = json.loads((self.place(name) / RECORD).read_bytes())
            for commit in (*record["snapshots"], *record["refs"].values()):
                check_commit(commit)
            for entry in record["snapshots"].values():
                check_files(described(*row) for row in entry["files"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, GenaeError):
            return empty
        return {"refs": record["refs"], "snapshots": record["snapshots"]}

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Say of a cache that cannot be written to how to use another."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise MissingDependencyError(
                    f"no space left in {self.root}: free some, or set HF_HUB_CACHE elsewhere; "
                    "what arrived is kept."
                ) from None
            raise NotAllowedError(
                f"{self.root}: cannot be written to ({error.strerror or error}); set HF_HUB_CACHE "
                "to a folder of yours."
            ) from None

    @contextlib.contextmanager
    def _lock(self, name: str, key: str, deadline: Deadline) -> Iterator[None]:
        """Exclude other processes; the system frees the lock of one that was killed."""
        path = self.root / ".locks" / self.place(name).name / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                # Group-writable, as huggingface_hub's: people share caches.
                stack.enter_context(FileLock(path, mode=0o664).acquire(timeout=deadline.left))
            except TimeoutError:
                raise UnreachableError(
                    f"another process has locked {path}; run it again when that has ended."
                ) from None
            yield

    def _sweep(self, place: Path) -> None:
        """Remove the folders that a failed fetch left empty."""
        for folder in (place / "snapshots", place / "blobs", place):
            with contextlib.suppress(OSError):
                folder.rmdir()
