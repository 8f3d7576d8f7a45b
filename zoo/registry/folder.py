"""A folder of models behind any fsspec address: a shared disk, a bucket, a server.

What lies there is told in `shelf.py`. The folder of a version is named by its content, so two
writers of one version never mix their files, and an interrupted push resumes where it stopped. The
small file next to it is made last and made once: with it the version exists. Nothing is ever
renamed, as buckets cannot.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import (
    ConflictError,
    FrozenError,
    IntegrityError,
    NotFoundError,
    UnreachableError,
)
from zoo.header import inspect
from zoo.registry import manifest, signing, withdrawal
from zoo.registry.deadline import Deadline
from zoo.registry.shelf import WITHDRAWN, Shelf
from zoo.registry.shown import notice
from zoo.registry.types import (
    COMMIT,
    File,
    Progress,
    Published,
    Release,
    Snapshot,
    Withdrawal,
    changed,
    check_id,
    check_path,
    check_revision,
    expect,
)

PIECE = 2**20
POINTER_BYTES = 4096
#: Where the files lie without a connection being made.
HERE = ("file", "local", "memory")


class Folder(Shelf):
    """One folder of models; arguments and errors are those of `Shelf`."""

    # -- fetching -------------------------------------------------------------------------------

    def folder(
        self, name: str, revision: str | None = None, progress: Progress | None = None
    ) -> Path:
        """The model's folder: itself where it lies on this machine, else a hashed copy.

        Raises:
            WithdrawnError: its owner withdrew it.
            NotFoundError: no such model or revision, or it cannot be reached.
            IntegrityError: a file is wrong, twice.
            UnsafeError: it contains a pickle, or a name that leaves the folder.
        """
        if self.here:
            snapshot = self.find(name, revision)
            tag, pointer = self._lookup(name, snapshot.commit)
            self._refuse_withdrawn(name, tag)
            for seen in {tag, snapshot.revision}:
                self._remember(name, seen, tag, snapshot.commit)
            return Path(self._base(name), pointer["folder"])
        asked = check_revision(revision)
        have = self.cache.known(check_id(name), asked)
        if have is not None and (self.offline or COMMIT.fullmatch(asked)):
            return have
        deadline = Deadline()
        try:
            snapshot = self.find(name, revision)
            self._refuse_withdrawn(name, self._lookup(name, snapshot.commit)[0])
        except UnreachableError as error:
            if have is not None:
                if not self.offline:
                    notice(f"{name}: {error} The version in the cache serves ({have.name[:12]}).")
                return have
            raise
        deadline.allow(snapshot.size)
        expect(progress, snapshot.size)

        def read(snap: Snapshot, file: File, start: int) -> Any:
            return self.read(snap, file, start)

        return self.cache.store(snapshot, read, deadline, progress=progress, check=_check)

    def _remember(self, name: str, revision: str, tag: str, commit: str) -> None:
        """Keep what a revision was, so that one that moves is noticed; nothing is copied."""
        if self.cache.ref(name, revision) != commit:
            entry = {"version": tag.removeprefix("v"), "files": []}
            with contextlib.suppress(OSError):  # a home that cannot be written to
                self.cache.point(name, revision, commit, entry)

    @contextlib.contextmanager
    def read(self, snapshot: Snapshot, file: File, start: int = 0) -> Iterator[Iterator[bytes]]:
        """A file's content from byte `start` on, in pieces."""
        _, pointer = self._lookup(snapshot.id, snapshot.commit)
        path = f"{self._base(snapshot.id)}/{pointer['folder']}/{check_path(file.path)}"
        with self._talk():
            try:
                if (size := self.fs.size(path)) != file.size:
                    raise IntegrityError(
                        f"{path}: {size} bytes where the manifest says {file.size}."
                    )
                opened = self.fs.open(path, "rb")
            except FileNotFoundError:
                raise IntegrityError(f"{path}: missing, though the manifest lists it.") from None
            with opened as source:
                source.seek(start)
                yield iter(lambda: source.read(PIECE), b"")

    # -- publishing -----------------------------------------------------------------------------

    def push(
        self, release: Release, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Published:
        """Publish a version: its files, then the small file that makes it exist.

        Files that an interrupted push left there with their right size are read, not sent, again.

        Raises:
            ConflictError: the version exists.
            NotAllowedError: no right to write there.
            UnreachableError: the place does not answer.
        """
        base = self._base(release.id)
        own = next(f for f in release.files if f.path == manifest.MANIFEST_FILE)
        commit = own.sha256[:40]
        target = f"{base}/{release.version}-{own.sha256[:12]}"
        if self._is_withdrawn(release.id, release.tag):
            raise withdrawal.taken(release.id, release.tag)
        if (pointer := self._pointer(release.id, release.tag)) is not None:
            same = pointer["sha256"] == own.sha256
            raise FrozenError(
                f"{release.id} {release.tag} is published already, with "
                f"{'these very' if same else 'other'} files; a published version never changes."
            )
        sent = []
        expect(progress, release.size)
        for file in release.files:
            if not self._has(f"{target}/{file.path}", file):
                sent.append(file.path)
                if not dry_run:
                    self._send(release.folder, file, f"{target}/{file.path}", progress)
        where = f"{self.name.rstrip('/')}/{release.id}"
        if dry_run:
            return Published(release.id, release.version, "", where, tuple(sent))
        text = json.dumps(
            {
                "schema": 1,
                "folder": target.rsplit("/", 1)[-1],
                "commit": commit,
                "size": own.size,
                "sha256": own.sha256,
                "date": withdrawal.today(),
            }
        )
        taken = FrozenError(f"{release.id} {release.tag} was published by someone else meanwhile.")
        self._create(f"{base}/{release.tag}.json", text.encode(), taken)
        return Published(release.id, release.version, commit, where, tuple(sent))

    def _has(self, path: str, file: File) -> bool:
        with self._talk():
            try:
                self.fs.invalidate_cache()
                if self.fs.size(path) != file.size:
                    return False
                total = hashlib.sha256()
                with self.fs.open(path, "rb") as source:
                    while piece := source.read(PIECE):
                        total.update(piece)
            except FileNotFoundError:
                return False
        return total.hexdigest() == file.sha256

    def _send(self, source: Path, file: File, path: str, progress: Progress | None) -> None:
        total = hashlib.sha256()
        partial = f"{path}.{uuid.uuid4().hex[:8]}" if self.here else path
        with self._talk():
            self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            try:
                with (
                    (source / file.path).open("rb") as content,
                    self.fs.open(partial, "wb") as target,
                ):
                    while piece := content.read(PIECE):
                        target.write(piece)
                        total.update(piece)
                        if progress is not None:
                            progress(len(piece))
                if total.hexdigest() != file.sha256:
                    raise changed(file.path)
                if self.here:  # buckets show a file when it is whole, disks do not
                    os.replace(partial, path)
            finally:
                if self.here:
                    Path(partial).unlink(missing_ok=True)

    def _create(self, path: str, text: bytes, taken: ConflictError) -> None:
        """Make a file that must not be there yet."""
        with self._talk():
            try:
                if self.here:  # whole at once, even if this process is killed
                    partial = f"{path}.{uuid.uuid4().hex[:8]}"
                    try:
                        Path(partial).write_bytes(text)
                        os.link(partial, path)
                    finally:
                        Path(partial).unlink(missing_ok=True)
                else:
                    self.fs.pipe_file(path, text, mode="create")
            except FileExistsError:
                raise taken from None

    # -- withdrawing ----------------------------------------------------------------------------

    def withdraw(self, name: str, tag: str, why: str | None, *, purge: bool = False) -> Withdrawal:
        """Withdraw a version: a small file with the reason; with `purge`, its files are deleted.

        The number stays taken. None in place of a reason takes a withdrawal back, as long as the
        files are there.

        Raises:
            NotFoundError: no such version; or one to have back that was not withdrawn.
            ConflictError: it is withdrawn already, or its files are deleted.
        """
        tag = withdrawal.check_version(name, tag)
        _, pointer = self._lookup(name, tag)
        path = f"{self._base(name)}/{WITHDRAWN}{tag}.json"
        before = self.withdrawn(name).get(tag)
        if why is None and not purge:
            return self._have_back(name, tag, before, path)
        if before is not None and not purge:
            raise withdrawal.again(name, tag, before)
        found = before or Withdrawal(withdrawal.reason(why), withdrawal.today())
        if before is None:
            taken = ConflictError(f"{name} {tag} was withdrawn by someone else meanwhile.")
            self._create(path, withdrawal.dumps(tag, found), taken)
        if purge:
            found = dataclasses.replace(found, purged=True)
            folder = f"{self._base(name)}/{pointer['folder']}"
            with self._talk():
                self.fs.pipe_file(path, withdrawal.dumps(tag, found))
                if self.fs.exists(folder):
                    self.fs.rm(folder, recursive=True)
        return found

    def _have_back(self, name: str, tag: str, before: Withdrawal | None, path: str) -> Withdrawal:
        if before is None:
            raise NotFoundError(f"{name} {tag} is not withdrawn.")
        if before.purged:
            raise ConflictError(
                f"{name} {tag} was deleted when it was withdrawn: push it as the next version."
            )
        with self._talk():
            self.fs.rm_file(path)
        return before

    def _is_withdrawn(self, name: str, tag: str) -> bool:
        with self._talk():
            self.fs.invalidate_cache(self._base(name))
            return bool(self.fs.exists(f"{self._base(name)}/{WITHDRAWN}{tag}.json"))


def _check(folder: Path) -> str:
    """Compare a fetched folder with its manifest; returns its version."""
    inspect(folder)
    signing.check(folder)
    if problems := manifest.check_hashes(folder):
        raise IntegrityError(f"{folder.name}: {'; '.join(problems)}.")
    return str(manifest.read(folder)["version"])
