"""What a hub holds: repositories, commits, refs and large objects, in memory."""

import hashlib
import itertools
import re
import threading
from dataclasses import dataclass, field
from functools import cached_property

_NUMBER = itertools.count(1)


def blob_oid(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Entry:
    """A file in a commit."""

    content: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def oid(self) -> str:
        return blob_oid(self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    def row(self, path: str) -> dict:
        """As the tree shows it."""
        size = len(self.content)
        row = {"type": "file", "path": path, "size": size, "oid": self.oid}
        if self.lfs:
            row["lfs"] = {"oid": self.sha256, "size": size, "pointerSize": 134}
        return row


@dataclass
class Commit:
    """One state of a repository."""

    id: str
    files: dict[str, Entry]
    parent: str | None
    message: str


@dataclass
class Repo:
    """One repository."""

    id: str
    private: bool = False
    gated: bool = False
    tags_of_card: tuple[str, ...] = ("genae",)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit_of(self, revision: str) -> Commit | None:
        """What a branch, tag or commit names."""
        name = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(name)


class Storage:
    """All repositories; names are compared without case."""

    def __init__(self, is_lfs) -> None:
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.is_lfs = is_lfs

    def repo(self, name: str) -> Repo | None:
        return self.repos.get(name.lower())

    def create(self, name: str, private: bool = False, gated: bool = False) -> Repo:
        with self.lock:
            repo = Repo(name, private, gated)
            self.repos[name.lower()] = repo
            self._add(repo, "main", {".gitattributes": Entry(b"* text\n", False)}, "first")
            return repo

    def commit(
        self, name: str, files: dict[str, bytes], branch: str = "main", message: str = ""
    ) -> str:
        """A commit that adds or replaces files."""
        with self.lock:
            repo = self.repo(name) or self.create(name)
            head = repo.commits[repo.branches[branch]].files if branch in repo.branches else {}
            new = {p: Entry(c, self.is_lfs(p, len(c))) for p, c in files.items()}
            return self._add(repo, branch, {**head, **new}, message)

    def _add(self, repo: Repo, branch: str, files: dict[str, Entry], message: str) -> str:
        parent = repo.branches.get(branch)
        word = f"{next(_NUMBER)} {repo.id} {parent} {message}"
        made = Commit(hashlib.sha1(word.encode()).hexdigest(), files, parent, message)
        repo.commits[made.id] = made
        repo.branches[branch] = made.id
        for entry in files.values():
            if entry.lfs:
                self.objects[entry.sha256] = entry.content
        return made.id

    def apply(self, repo: Repo, branch: str, operations: list[tuple], parent: str | None, message):
        """Carry out a commit's lines; (status, commit or reason)."""
        with self.lock:
            head = repo.branches.get(branch)
            if head is None:
                return 404, "no such branch"
            if parent is not None and parent != head:
                return 412, "A commit has happened since. Please refresh and try again."
            files = dict(repo.commits[head].files)
            for kind, path, value in operations:
                if not safe(path):
                    return 422, f"bad path {path!r}"
                if kind == "file":
                    files[path] = Entry(value, False)
                elif kind == "lfs":
                    if value not in self.objects:
                        return 400, f"object {value} is not there"
                    files[path] = Entry(self.objects[value], True)
                elif kind == "deletedFile":
                    files.pop(path, None)
                else:
                    files = {p: e for p, e in files.items() if not p.startswith(f"{path}/")}
            return 200, self._add(repo, branch, files, message)

    def tag(self, name: str, tag: str, commit: str | None = None) -> None:
        """Make a tag, or move it."""
        repo = self.repo(name)
        repo.tags[tag] = commit or repo.branches["main"]

    def head(self, name: str, branch: str = "main") -> str | None:
        repo = self.repo(name)
        return repo and repo.branches.get(branch)

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        commit = self.repo(name).commit_of(revision)
        return {p: e.content for p, e in commit.files.items() if p != ".gitattributes"}

    def history(self, name: str, branch: str = "main") -> list[str]:
        """Commits from the newest to the first."""
        repo, found = self.repo(name), []
        commit = repo.branches.get(branch)
        while commit is not None:
            found.append(commit)
            commit = repo.commits[commit].parent
        return found


def safe(path: str) -> bool:
    """Whether a hub takes a file of this name."""
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and not re.match(r"[A-Za-z]:", path)
        and not any(p in ("", ".", "..") or p.lower() == ".git" for p in parts)
        and len(path.encode()) <= 1024
    )
