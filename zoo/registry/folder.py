"""A folder of models behind any fsspec address: a shared disk, a bucket, a server.

    ROOT/owner/name/v1.0.0.json            {"schema": 1, "folder": ..., "commit": ...}
    ROOT/owner/name/1.0.0-9f86d081884c/    the model's files, its manifest among them

The folder is named by its content, so two writers of one version never mix their files, and an
interrupted push resumes where it stopped. The small file next to it is made last and made once:
with it the version exists. Nothing is ever renamed, as buckets cannot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import constants

from zoo.errors import (
    FrozenError,
    IntegrityError,
    MissingDependencyError,
    NotFoundError,
    UnreachableError,
)
from zoo.header import inspect
from zoo.registry import manifest, signing
from zoo.registry.cache import Cache
from zoo.registry.deadline import Deadline
from zoo.registry.shown import bare, file_errors, notice
from zoo.registry.types import (
    COMMIT,
    File,
    Progress,
    Published,
    Release,
    Snapshot,
    changed,
    check_commit,
    check_files,
    check_id,
    check_path,
    check_revision,
    expect,
    newest_first,
    version_key,
)

PIECE = 2**20
POINTER_BYTES = 4096
#: Where the files lie without a connection being made.
HERE = ("file", "local", "memory")


class Folder:
    """One folder of models.

    Args:
        url: an fsspec address (`s3://bucket/models`, `file:///srv/models`), or a path.
        cache: where models from far away are kept.
        offline: make no connection; `HF_HUB_OFFLINE` if None.

    Raises:
        UsageError: no such protocol.
        MissingDependencyError: the protocol needs a package that is not installed.
    """

    def __init__(
        self, url: str, *, cache: Cache | None = None, offline: bool | None = None
    ) -> None:
        try:
            with file_errors(url):
                self.fs, root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except ImportError as error:
            reason = " ".join(str(error).split())
            raise MissingDependencyError(f"{bare(url)}: {reason}") from None
        self.root = str(root).rstrip("/")
        self.name = bare(url)
        self.here = isinstance(self.fs, LocalFileSystem)
        protocols = (self.fs.protocol,) if isinstance(self.fs.protocol, str) else self.fs.protocol
        asked = constants.is_offline_mode() if offline is None else offline
        self.offline = asked and protocols[0] not in HERE
        key = hashlib.sha256(bare(url).encode()).hexdigest()[:16]
        self.cache = cache or Cache(Path(constants.HF_HOME) / "genae" / key)

    # -- asking ---------------------------------------------------------------------------------

    def list(self, search: str = "") -> list[str]:
        """Ids of its models, those that contain `search`."""
        found = set()
        with self._talk():
            for path in self.fs.glob(f"{self.root}/*/*/v*.json"):
                owner, name, _ = str(path).rsplit("/", 3)[1:]
                found.add(f"{owner}/{name}")
        return sorted(name for name in found if search.lower() in name.lower())

    def versions(self, name: str) -> dict[str, str]:
        """Tags of a model, newest version first, each with its commit."""
        base = self._base(name)
        with self._talk():
            if not self.fs.exists(base):
                raise NotFoundError(f"{self.name} has no model {name}.")
            self.fs.invalidate_cache(base)
            files = [str(p).rsplit("/", 1)[-1] for p in self.fs.ls(base, detail=False)]
        tags = [f.removesuffix(".json") for f in files if f.endswith(".json")]
        known = {tag: self._pointer(name, tag) for tag in tags if version_key(tag)}
        return newest_first({tag: p["commit"] for tag, p in known.items() if p is not None})

    def cached(self, name: str, revision: str | None = None) -> tuple[Snapshot, Path] | None:
        """Nothing: a folder out of reach says so, and `folder` serves what was fetched from it."""
        return None

    def find(self, name: str, revision: str | None = None) -> Snapshot:
        """What a revision of a model consists of; `main` is the newest version.

        Raises:
            NotFoundError: no such model or revision, or it cannot be reached.
            IntegrityError: what lies there is malformed, or the version was moved.
        """
        tag, pointer = self._lookup(name, revision)
        listed = self._manifest(name, pointer)
        files = [File(e["path"], e["size"], e["sha256"]) for e in listed["files"]]
        own = File(manifest.MANIFEST_FILE, pointer["size"], pointer["sha256"])
        asked = check_revision(revision)
        snapshot = Snapshot(name, asked, pointer["commit"], check_files([*files, own]))
        self.cache.check_unmoved(name, tag, pointer["commit"])
        if listed["version"] != tag.removeprefix("v"):
            raise IntegrityError(
                f"{name}: under {tag} lies version {listed['version']!r}; an older model was put "
                "under a newer name."
            )
        self.cache.check_forward(name, asked, listed["version"])
        return snapshot

    def _lookup(self, name: str, revision: str | None) -> tuple[str, dict[str, Any]]:
        asked = check_revision(revision)
        tags = self.versions(name)
        if not tags:
            raise NotFoundError(f"{self.name} has no published version of {name}.")
        commits = {commit: tag for tag, commit in tags.items()}
        tag = next(iter(tags)) if asked == "main" else commits.get(asked, asked)
        pointer = self._pointer(name, tag) if tag in tags else None
        if pointer is None:
            raise NotFoundError(
                f"{self.name} has no revision {asked!r} of {name}; there is {', '.join(tags)}."
            )
        return tag, pointer

    def _pointer(self, name: str, tag: str) -> dict[str, Any] | None:
        """What a version's small file says; None if it is not there, or was never finished."""
        text = self._small(f"{self._base(name)}/{tag}.json", POINTER_BYTES)
        if not text:
            return None
        try:
            pointer = json.loads(text)
            if pointer["schema"] != 1 or type(pointer["size"]) is not int:
                raise ValueError("not of schema 1")
            check_commit(pointer["commit"])
            if "/" in check_path(pointer["folder"]):
                raise ValueError("a folder elsewhere")
            File("", 0, pointer["sha256"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise IntegrityError(f"{self.name}: {name}/{tag}.json: malformed ({error}).") from None
        return dict(pointer)

    def _manifest(self, name: str, pointer: dict[str, Any]) -> dict[str, Any]:
        path = f"{self._base(name)}/{pointer['folder']}/{manifest.MANIFEST_FILE}"
        text = self._small(path, manifest.MAX_BYTES)
        if text is None or hashlib.sha256(text).hexdigest() != pointer["sha256"]:
            raise IntegrityError(f"{path}: not the manifest that was published.")
        return manifest.parse(text, Path(path))

    def _small(self, path: str, limit: int) -> bytes | None:
        with self._talk():
            try:
                with self.fs.open(path, "rb") as file:
                    text: bytes = file.read(limit + 1)
            except FileNotFoundError:
                return None
        if len(text) > limit:
            raise IntegrityError(f"{path}: larger than {limit} bytes.")
        return text

    # -- fetching -------------------------------------------------------------------------------

    def folder(
        self, name: str, revision: str | None = None, progress: Progress | None = None
    ) -> Path:
        """The model's folder: itself where it lies on this machine, else a hashed copy.

        Raises:
            NotFoundError: no such model or revision, or it cannot be reached.
            IntegrityError: a file is wrong, twice.
            UnsafeError: it contains a pickle, or a name that leaves the folder.
        """
        if self.here:
            snapshot = self.find(name, revision)
            tag, pointer = self._lookup(name, snapshot.commit)
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
            }
        )
        self._create(f"{base}/{release.tag}.json", text.encode(), release)
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

    def _create(self, path: str, text: bytes, release: Release) -> None:
        """Make a file that must not be there yet."""
        taken = FrozenError(f"{release.id} {release.tag} was published by someone else meanwhile.")
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

    # -- names and errors -----------------------------------------------------------------------

    def _base(self, name: str) -> str:
        if "/" not in check_id(name):
            raise NotFoundError(f"{self.name}: models there are named owner/name, not {name!r}.")
        return f"{self.root}/{name}"

    @contextlib.contextmanager
    def _talk(self) -> Iterator[None]:
        """Errors of file systems as genae's; no connection when offline."""
        if self.offline:
            raise UnreachableError(f"{self.name}: not asked, as HF_HUB_OFFLINE is set.")
        with file_errors(self.name):
            yield


def _check(folder: Path) -> str:
    """Compare a fetched folder with its manifest; returns its version."""
    inspect(folder)
    signing.check(folder)
    if problems := manifest.check_hashes(folder):
        raise IntegrityError(f"{folder.name}: {'; '.join(problems)}.")
    return str(manifest.read(folder)["version"])
