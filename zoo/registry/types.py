"""What every registry offers, and the checks of what one says. Standard library only.

A registry is a place where models live: what came with genae (`embedded`), a folder behind any
fsspec address (`folder`), the Hub or a server that speaks its protocol (`hub`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import IntegrityError, UnsafeError, UsageError

MAX_FILES = 10_000
MAX_PATH_BYTES = 1024
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")
#: A segment of an id: what the Hub allows of an owner and of a model.
SEGMENT = r"(?!.*(?:--|\.\.))[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?<!\.)(?<!\.git)(?<!\.ipynb)"
ID = re.compile(rf"(?:{SEGMENT}/)?{SEGMENT}")
REVISION = re.compile(r"(?!.*(?:\.\.|//|@\{))[A-Za-z0-9][A-Za-z0-9._/-]{0,199}(?<![./])")

#: Called with the number of bytes that have just been transferred; if it has a method `expect`,
#: that is called first, with their total.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class File:
    r"""One file of a model in a registry.

    Attributes:
        path: relative, with `/`.
        size: in bytes.
        sha256: 64 hex digits; empty where the registry only knows git's own sum.
        oid: git's SHA-1 of `blob <size>\0<content>`, 40 hex digits; empty where unknown.
    """

    path: str
    size: int
    sha256: str = ""
    oid: str = ""

    @property
    def sum(self) -> str:
        """The sum that names the content: its SHA-256, or git's."""
        return self.sha256 or self.oid


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a model as a registry describes it, before any file is fetched.

    Attributes:
        id: as it was asked for.
        revision: likewise; `main` where none was given.
        commit: 40 hex digits that name the content for good.
        files: every file of it, checked by `check_files`.
    """

    id: str
    revision: str
    commit: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def file(self, path: str) -> File | None:
        """The file of this path, None if there is none."""
        return next((file for file in self.files if file.path == path), None)


@dataclass(frozen=True, slots=True)
class Release:
    """A model's folder made ready to be pushed: checked, counted, hashed.

    Attributes:
        id: owner and name.
        version: such as `1.0.0`; its tag is `v1.0.0`.
        folder: contains exactly `files`.
        files: with size and SHA-256.
        private: make the repository private if it has to be made.
    """

    id: str
    version: str
    folder: Path
    files: tuple[File, ...]
    private: bool = False

    @property
    def tag(self) -> str:
        """The name under which this version is frozen."""
        return f"v{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Published:
    """What a push left behind, or would leave.

    Attributes:
        id: owner and name.
        version: without the tag's `v`.
        commit: 40 hex digits; empty after a dry run.
        where: an address people can open.
        sent: paths whose content was, or would be, transferred.
    """

    id: str
    version: str
    commit: str
    where: str
    sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Why a version is no longer to be used.

    Attributes:
        why: the owner's reason, one line.
        date: of the withdrawal, as `2026-11-29`.
        purged: whether its content was deleted.
        commit: where a hub keeps the content; empty elsewhere.
    """

    why: str
    date: str
    purged: bool = False
    commit: str = ""


class Registry(Protocol):
    """One place where models live.

    Attributes:
        name: the place as the search order writes it.
    """

    name: str

    def list(self, search: str = "") -> list[str]:
        """Ids of its models, those that contain `search`."""

    def versions(self, name: str) -> dict[str, str]:
        """Tags of a model, newest version first, each with its commit; withdrawn ones, too."""

    def folder(
        self, name: str, revision: str | None = None, progress: Progress | None = None
    ) -> Path:
        """A local folder with a model's files, every one hashed when it arrived.

        Raises:
            NotFoundError: this registry has no such model or revision.
            WithdrawnError: its owner withdrew it.
        """


class Remote(Registry, Protocol):
    """A registry whose files have to be fetched, and which takes new ones."""

    def find(self, name: str, revision: str | None = None) -> Snapshot:
        """What a revision of a model consists of, withdrawn or not; `main` never is withdrawn."""

    def withdrawn(self, name: str) -> dict[str, Withdrawal]:
        """The versions of a model that were withdrawn, by their tags."""

    def path(self, snapshot: Snapshot) -> Path | None:
        """Where its files lie on this machine without being fetched, None if elsewhere."""

    def date(self, snapshot: Snapshot) -> str | None:
        """When a version was published, as `2026-11-29`; None if the place does not know."""

    def withdraw(self, name: str, tag: str, why: str | None, *, purge: bool = False) -> Withdrawal:
        """Withdraw a version, with `purge` for good; None in place of a reason takes it back.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: it is withdrawn already, or cannot be had back.
            UsageError: the place has no such thing.
        """

    def cached(self, name: str, revision: str | None = None) -> tuple[Snapshot, Path] | None:
        """What is on this machine of a model, complete, and where; makes no connection."""

    def read(
        self, snapshot: Snapshot, file: File, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """The file's content from byte `start` on, in pieces."""

    def push(
        self, release: Release, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Published:
        """Publish a version as a whole or not at all.

        Raises:
            ConflictError: this version exists.
            NotAllowedError: the right to write is missing.
        """


@dataclass(slots=True)
class Report:
    """What `verify` found.

    Attributes:
        folder: the folder looked at.
        files: paths whose size and SHA-256 agree with the manifest.
        problems: one line per difference; empty when all agrees.
        id: the model's id as the manifest states it; empty without a manifest.
        remedy: which command mends a folder of one's own, a sentence; empty where none does.
    """

    folder: Path
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    id: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.problems


def expect(progress: Progress | None, size: int) -> None:
    """Announce the number of bytes to a progress that has a method `expect`."""
    announce = getattr(progress, "expect", None)
    if announce is not None:
        announce(size)


def changed(path: str) -> IntegrityError:
    """The error of a file that was written to between its check and its transfer."""
    return IntegrityError(f"{path}: changed while it was being pushed; push again.")


def check_id(name: str) -> str:
    """The id, if it is one: `owner/name`, or a bare name that the Hub forwards.

    Raises:
        UsageError: it is not.
    """
    if not ID.fullmatch(name):
        raise UsageError(
            f"{_short(name)} is no id: owner/name of letters, digits, '.', '_' and '-', each "
            "beginning with a letter or digit."
        )
    return name


def check_revision(revision: str | None) -> str:
    """The revision to ask for: `main` for None, and a version by its tag.

    Raises:
        UsageError: it could not be a branch, a tag or a commit.
    """
    if revision is None:
        return "main"
    if COMMIT.fullmatch(revision.lower()):
        return revision.lower()
    if not REVISION.fullmatch(revision) or revision.endswith(".lock"):
        raise UsageError(
            f"revision {_short(revision)} is no version, branch, tag or commit: try 'main' or "
            "'v1.0.0'."
        )
    return f"v{revision}" if VERSION.fullmatch(revision) and revision[0] != "v" else revision


def version_key(tag: str) -> tuple[int, int, int] | None:
    """`v1.10.0` -> (1, 10, 0), so that versions sort; None for other tags."""
    match = VERSION.fullmatch(tag)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def next_version(version: str) -> str:
    """`1.0.9` -> `1.0.10`, the smallest change."""
    head, _, patch = version.rpartition(".")
    return f"{head}.{int(patch) + 1}"


def newest_first(tags: Mapping[str, str]) -> dict[str, str]:
    """Versions in falling order, other tags behind them by name."""

    def order(tag: str) -> tuple[bool, tuple[int, ...], str]:
        key = version_key(tag)
        return key is None, tuple(-part for part in key or ()), tag

    return {tag: tags[tag] for tag in sorted(tags, key=order)}


def check_path(path: Any) -> str:
    """A file name that a registry stated, if it stays inside its folder on every system.

    Raises:
        UnsafeError: it leaves the folder, reaches git's own files or cannot be printed.
        IntegrityError: it is not text.
    """
    if not isinstance(path, str):
        raise IntegrityError(f"a file's name is {_short(path)}, not text.")
    parts = path.split("/")
    if (
        not path.isprintable()
        or set(path) & set('\\:*?"<>|')
        or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
        or any(part.endswith((".", " ")) for part in parts)
        or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES
    ):
        raise UnsafeError(f"{_short(path)} is not a plain path inside the model's folder.")
    return path


def check_files(files: Iterable[File]) -> tuple[File, ...]:
    """A registry's list of files, if each is well described and no two are one.

    Raises:
        UnsafeError: a name leaves the folder.
        IntegrityError: too many files, a malformed size or sum, a name that occurs twice or is a
            folder as well.
    """
    checked: list[File] = []
    seen: set[str] = set()
    for file in files:
        check_path(file.path)
        if type(file.size) is not int or not 0 <= file.size < 2**53:
            raise IntegrityError(f"{file.path}: its size is {_short(file.size)}.")
        sums = ((file.sha256, SHA256), (file.oid, COMMIT))
        for value, form in sums:
            if not isinstance(value, str) or (value and not form.fullmatch(value)):
                raise IntegrityError(f"{file.path}: its checksum is {_short(value)}.")
        if not file.sum:
            raise IntegrityError(f"{file.path}: it has no checksum.")
        seen.add(file.path.lower())
        checked.append(file)
        if len(checked) > MAX_FILES:
            raise IntegrityError(f"more than {MAX_FILES} files, too many for a model.")
    folders = {path[:i] for path in seen for i, sign in enumerate(path) if sign == "/"}
    if len(seen) != len(checked) or seen & folders:
        raise IntegrityError("two files have one name.")
    return tuple(checked)


def check_commit(commit: Any) -> str:
    """A commit that a registry stated.

    Raises:
        IntegrityError: it is not 40 hex digits.
    """
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise IntegrityError(f"commit {_short(commit)} is not 40 hex digits.")
    return commit


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
