"""What lies in a folder of models behind any fsspec address: ids, versions, what they consist of.

ROOT/owner/name/v1.0.0.json            {"schema": 1, "folder": ..., "commit": ..., "date": ...}
ROOT/owner/name/withdrawn-v1.0.0.json  only of a version that was withdrawn, with the reason
ROOT/owner/name/1.0.0-9f86d081884c/    the model's files, its manifest among them
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import constants

from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UnreachableError
from zoo.registry import manifest, withdrawal
from zoo.registry.cache import Cache
from zoo.registry.shown import bare, file_errors
from zoo.registry.types import (
    File,
    Snapshot,
    Withdrawal,
    check_commit,
    check_files,
    check_id,
    check_path,
    check_revision,
    newest_first,
    version_key,
)

POINTER_BYTES = 4096
WITHDRAWN = "withdrawn-"
#: Where the files lie without a connection being made.
HERE = ("file", "local", "memory")


class Shelf:
    """One folder of models, as far as it is asked.

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
        """Tags of a model, newest version first, each with its commit; withdrawn ones, too."""
        return self._versions(name, self._tags(name))

    def withdrawn(self, name: str) -> dict[str, Withdrawal]:
        """The versions of a model that were withdrawn, by their tags."""
        gone = [tag for tag in self._tags(name) if tag.startswith(WITHDRAWN)]
        found = {tag.removeprefix(WITHDRAWN): self._withdrawal(name, tag) for tag in gone}
        return {tag: found[tag] for tag in newest_first(dict.fromkeys(found, ""))}

    def path(self, snapshot: Snapshot) -> Path | None:
        """Where its files lie, if this is a folder on this machine."""
        _, pointer = self._lookup(snapshot.id, snapshot.commit)
        return Path(self._base(snapshot.id), pointer["folder"]) if self.here else None

    def date(self, snapshot: Snapshot) -> str | None:
        """When a version was published, as `2026-11-29`."""
        tag, pointer = self._lookup(snapshot.id, snapshot.commit)
        if isinstance(stated := pointer.get("date"), str):
            return stated
        with self._talk(), contextlib.suppress(NotImplementedError):
            return str(self.fs.modified(f"{self._base(snapshot.id)}/{tag}.json").date())
        return None

    def _tags(self, name: str) -> tuple[str, ...]:
        """The names of the small files next to a model's folders."""
        base = self._base(name)
        with self._talk():
            if not self.fs.exists(base):
                raise NotFoundError(f"{self.name} has no model {name}.")
            self.fs.invalidate_cache(base)
            files = [str(p).rsplit("/", 1)[-1] for p in self.fs.ls(base, detail=False)]
        return tuple(file.removesuffix(".json") for file in files if file.endswith(".json"))

    def _versions(self, name: str, tags: Iterable[str]) -> dict[str, str]:
        known = {tag: self._pointer(name, tag) for tag in tags if version_key(tag)}
        return newest_first({tag: p["commit"] for tag, p in known.items() if p is not None})

    def _withdrawal(self, name: str, file: str) -> Withdrawal:
        path = f"{self._base(name)}/{file}.json"
        return withdrawal.loads(self._small(path, withdrawal.MAX_BYTES) or b"", path)

    def cached(self, name: str, revision: str | None = None) -> tuple[Snapshot, Path] | None:
        """Nothing: a folder out of reach says so, and `folder` serves what was fetched from it."""
        return None

    def find(self, name: str, revision: str | None = None) -> Snapshot:
        """What a revision of a model consists of; `main` is the newest that is not withdrawn.

        Raises:
            NotFoundError: no such model or revision, or it cannot be reached.
            WithdrawnError: its content was deleted, or `main` has no version left.
            IntegrityError: what lies there is malformed, or the version was moved.
        """
        tag, pointer = self._lookup(name, revision)
        self._refuse_withdrawn(name, tag, purged=check_revision(revision) != "main")
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
        if f"{WITHDRAWN}v{self.cache.version(name, asked)}" not in self._tags(name):
            self.cache.check_forward(name, asked, listed["version"])
        return snapshot

    def _refuse_withdrawn(self, name: str, tag: str, *, purged: bool = False) -> None:
        """Refuse a version that was withdrawn; with `purged`, only one whose content is gone.

        Raises:
            WithdrawnError: with the reason.
        """
        tags = self._tags(name)
        if f"{WITHDRAWN}{tag}" not in tags:
            return
        found = self._withdrawal(name, f"{WITHDRAWN}{tag}")
        if found.purged or not purged:
            left = [other for other in tags if f"{WITHDRAWN}{other}" not in tags]
            raise withdrawal.refusal(name, tag, found, self._versions(name, left))

    def _lookup(self, name: str, revision: str | None) -> tuple[str, dict[str, Any]]:
        asked = check_revision(revision)
        found = self._tags(name)
        tags = self._versions(name, found)
        if not tags:
            raise NotFoundError(f"{self.name} has no published version of {name}.")
        commits = {commit: tag for tag, commit in tags.items()}
        left = [tag for tag in tags if f"{WITHDRAWN}{tag}" not in found]
        tag = next(iter(left or tags)) if asked == "main" else commits.get(asked, asked)
        pointer = self._pointer(name, tag) if tag in tags else None
        if pointer is None:
            raise NotFoundError(
                f"{self.name} has no revision {asked!r} of {name}; there is "
                f"{', '.join(left or tags)}."
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
