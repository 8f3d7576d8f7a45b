"""A version withdrawn from a hub, by what every hub has: branches, files, tags.

A branch `withdrawn-v1.0.0` keeps the version with a file that has the reason; `main` steps back to
the newest version that is left; then the tag is deleted, so that the version is gone for every
client, and genae tells the reason to whoever asks for it. Each step is made once, and a run that
was interrupted is run again.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from zoo.errors import ConflictError, GenaeError, NotFoundError
from zoo.registry import withdrawal
from zoo.registry.hub.client import Client, Refs
from zoo.registry.hub.guard import Guard, again, guarded
from zoo.registry.shown import says_nothing
from zoo.registry.types import File, Snapshot, Withdrawal, check_commit, newest_first, version_key

BRANCH = "withdrawn-"
FILE = "withdrawn.json"
GIT_OWN = ".gitattributes"


def versions(refs: Refs) -> dict[str, str]:
    """The tags of a model, withdrawn ones as well, with their commits."""
    gone = {
        branch.removeprefix(BRANCH): commit
        for branch, commit in refs["branches"].items()
        if branch.startswith(BRANCH)
    }
    return newest_first(gone | refs["tags"])


def read(client: Client, name: str, refs: Refs, guard: Guard) -> dict[str, Withdrawal]:
    """What was withdrawn of a model, by tags, newest first."""
    return {
        tag: _read(client, name, commit, client.tree(name, commit, guard), guard)
        for tag, commit in versions(refs).items()
        if f"{BRANCH}{tag}" in refs["branches"] and tag not in refs["tags"]
    }


def _read(
    client: Client, name: str, commit: str, files: tuple[File, ...], guard: Guard
) -> Withdrawal:
    file = next((f for f in files if f.path == FILE and f.size <= withdrawal.MAX_BYTES), None)
    where = f"{name}: {FILE} at {commit[:12]}"
    if file is None:
        return withdrawal.loads(b"", where)
    with client.read(Snapshot(name, "main", commit, files), file, guard=guard) as pieces:
        return withdrawal.loads(b"".join(pieces), where)


def refuse(client: Client, name: str, revision: str, guard: Guard) -> None:
    """Say of a version that a hub does not have why, if it was withdrawn.

    Raises:
        WithdrawnError: it was.
    """
    if version_key(revision) is None:
        return
    try:
        refs = client.refs(name, guard)
    except GenaeError as error:
        if says_nothing(error):
            raise
        return  # what was said first says more
    commit = refs["branches"].get(f"{BRANCH}{revision}")
    if commit is not None and revision not in refs["tags"]:
        files = client.tree(name, commit, guard)
        found = _read(client, name, commit, files, guard)
        raise withdrawal.refusal(name, revision, found, newest_first(refs["tags"]))


def refuse_left(client: Client, snapshot: Snapshot, guard: Guard) -> None:
    """Refuse the snapshot that stands where every version was withdrawn.

    Raises:
        WithdrawnError: it does.
    """
    if snapshot.file(FILE) is not None:
        found = _read(client, snapshot.id, snapshot.commit, snapshot.files, guard)
        raise withdrawal.refusal(snapshot.id, snapshot.revision, found, ())


class Withdrawer:
    """One withdrawal.

    Args:
        client: where.
        name: of the model.
        tag: of the version.
        guard: the rules for all its requests.
    """

    def __init__(self, client: Client, name: str, tag: str, guard: Guard) -> None:
        self.client, self.name, self.tag, self.guard = client, name, tag, guard
        self.branch = f"{BRANCH}{tag}"

    def run(self, why: str) -> Withdrawal:
        """Withdraw the version; see `Hub.withdraw`."""
        refs = self._refs()
        if self.tag not in refs["tags"]:
            if self.branch in refs["branches"]:
                raise withdrawal.again(self.name, self.tag, self._found(refs))
            raise self._missing(refs)
        commit = refs["tags"][self.tag]
        found = Withdrawal(why, withdrawal.today(), commit=commit)
        if self.branch not in refs["branches"]:
            self._again("create_branch", branch=self.branch, revision=commit, exist_ok=True)
        head = self._refs()["branches"].get(self.branch, commit)
        if not any(file.path == FILE for file in self._tree(head)):
            self._commit(self.branch, head, [self._reason(found)], "Withdraw this version")
        else:  # by a run that was interrupted
            found = self._found(self._refs())
        self._step_back(refs, commit, found)
        with contextlib.suppress(NotFoundError):
            self._again("delete_tag", tag=self.tag)
        return found

    def have_back(self) -> Withdrawal:
        """Take the withdrawal back: the tag again, and `main`, where it is the newest version."""
        refs = self._refs()
        if self.branch not in refs["branches"]:
            raise NotFoundError(f"{self.name} {self.tag} is not withdrawn.")
        found = self._found(refs)
        commit = check_commit(found.commit)
        if self.tag not in refs["tags"]:
            self._again("create_tag", tag=self.tag, revision=commit)
        newest = next(iter(newest_first(refs["tags"] | {self.tag: commit})))
        if newest == self.tag:
            self._show(refs["branches"].get("main", ""), commit, f"Take back {self.tag}")
        with contextlib.suppress(NotFoundError):
            self._again("delete_branch", branch=self.branch)
        return found

    def _step_back(self, refs: Refs, commit: str, found: Withdrawal) -> None:
        """Put the newest version that is left on `main`, where the withdrawn one stands."""
        head = refs["branches"].get("main", "")
        if not head or _content(self._tree(head)) != _content(self._tree(commit)):
            return
        left = newest_first({tag: at for tag, at in refs["tags"].items() if tag != self.tag})
        versioned = [at for tag, at in left.items() if version_key(tag)]
        if versioned:
            self._show(head, versioned[0], f"Withdraw {self.tag}")
            return
        gone = [CommitOperationDelete(path) for path in _content(self._tree(head))]
        self._commit("main", head, [*gone, self._reason(found)], f"Withdraw {self.tag}")

    def _show(self, head: str, commit: str, message: str) -> None:
        """Make `main` exactly what a commit contains."""
        there, wanted = _content(self._tree(head)), _content(self._tree(commit))
        copies = [
            CommitOperationCopy(path, path, src_revision=commit)
            for path, total in wanted.items()
            if there.get(path) != total
        ]
        gone = [CommitOperationDelete(path) for path in there if path not in wanted]
        if copies or gone:
            self._commit("main", head, [*copies, *gone], message)

    def _commit(self, branch: str, head: str, operations: list[Any], message: str) -> None:
        """One commit on `head`, which must still be that of the branch.

        Raises:
            ConflictError: it is not.
        """
        try:
            with guarded(self.guard, pushing=True):
                self.client.api.create_commit(
                    self.name,
                    operations,
                    commit_message=message,
                    revision=branch,
                    parent_commit=head or None,
                )
        except ConflictError:
            raise ConflictError(
                f"{self.name}: someone else changed {branch} meanwhile; run it again."
            ) from None

    def _reason(self, found: Withdrawal) -> CommitOperationAdd:
        return CommitOperationAdd(FILE, io.BytesIO(withdrawal.dumps(self.tag, found)))

    def _found(self, refs: Refs) -> Withdrawal:
        commit = refs["branches"][self.branch]
        return _read(self.client, self.name, commit, self._tree(commit), self.guard)

    def _missing(self, refs: Refs) -> NotFoundError:
        known = ", ".join(newest_first(refs["tags"])) or "none"
        return NotFoundError(f"{self.name} has no version {self.tag}; there is {known}.")

    def _refs(self) -> Refs:
        return self.client.refs(self.name, self.guard)

    def _tree(self, commit: str) -> tuple[File, ...]:
        return self.client.tree(self.name, commit, self.guard) if commit else ()

    def _again(self, method: str, **arguments: Any) -> None:
        call: Callable[..., Any] = getattr(self.client.api, method)
        again(self.guard, lambda: call(self.name, **arguments))


def _content(files: tuple[File, ...]) -> dict[str, str]:
    """Paths with their sums, but for git's own file."""
    return {file.path: file.sum for file in files if file.path != GIT_OWN}
