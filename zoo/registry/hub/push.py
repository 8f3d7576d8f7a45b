"""A version pushed to a hub: one commit, then its tag, whoever else is writing.

huggingface_hub makes the commit. It neither repeats one nor knows whether a lost answer meant a
lost commit, so the head is read again after every doubt.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from logging import ERROR
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.utils import logging

from zoo.errors import (
    ConflictError,
    FrozenError,
    GenaeError,
    IntegrityError,
    NotFoundError,
    UnreachableError,
)
from zoo.registry import manifest, withdrawal
from zoo.registry.hub.client import PUBLIC, Client, Refs
from zoo.registry.hub.guard import Guard, again, guarded
from zoo.registry.shown import bare
from zoo.registry.snapshots import digest
from zoo.registry.types import (
    File,
    Published,
    Release,
    Snapshot,
    changed,
    check_commit,
    expect,
    version_key,
)

GIT_OWN = ".gitattributes"  # the hub's file, which stays
#: A writer who was overtaken reads the new head and tries again.
ATTEMPTS = 30
PAUSE = 0.05  # seconds; grows with the attempts


class Publisher:
    """One push.

    Args:
        client: where to.
        release: what.
        guard: the rules for all its requests.
    """

    def __init__(self, client: Client, release: Release, guard: Guard) -> None:
        self.client, self.release, self.guard = client, release, guard
        self.name = release.id
        guard.deadline.allow(release.size)
        expect(guard.progress, release.size)

    def run(self, dry_run: bool) -> Published:
        """Publish; see `Hub.push`."""
        where = f"{bare(self.client.endpoint)}/{self.name}"
        refs = self._refs_or_none()
        if refs is not None:
            self._refuse_published(refs)
        files = self.release.files
        if dry_run:
            there = self._tree((refs or {"branches": {}})["branches"].get("main", ""))
            sent = tuple(file.path for file in files if not self._holds(there, file))
            return Published(self.name, self.release.version, "", where, sent)
        if refs is None:
            self._again("create_repo", private=self.release.private, exist_ok=True)
        commit = self._publish()
        paths = tuple(file.path for file in files)
        return Published(self.name, self.release.version, commit, where, paths)

    def _publish(self) -> str:
        """Commit and tag, trying again wherever someone else was faster."""
        for attempt in range(ATTEMPTS):
            refs = self._refs()
            self._refuse_published(refs)
            branch, head = "main", refs["branches"].get("main", "")
            files = self._tree(head)
            newest = self._newest(refs, files)
            if head and (version_key(self.release.tag) or newest) < newest:
                # `main` never steps back: an older version gets a branch until it has its tag.
                branch = f"release-{self.release.tag}"
                self._again("create_branch", branch=branch, exist_ok=True)
                head = self._refs()["branches"].get(branch, "")
                files = self._tree(head)
            if self._equal(files):  # an interrupted push got as far as this
                return self._tag(head, branch)
            try:
                return self._tag(self._commit(branch, head, files), branch)
            except _Overtaken:
                self.guard.deadline.wait(PAUSE * (attempt % 8 + 1))
        raise ConflictError(
            f"{self.name}: others changed it {ATTEMPTS} times meanwhile; run it again."
        )

    def _refuse_published(self, refs: Refs) -> None:
        if f"withdrawn-{self.release.tag}" in refs["branches"]:
            raise withdrawal.taken(self.name, self.release.tag)
        if (commit := refs["tags"].get(self.release.tag)) is None:
            return
        how = "these very" if self._equal(self._tree(commit)) else "other"
        raise FrozenError(
            f"{self.name} {self.release.tag} is published already, with {how} files (commit "
            f"{commit[:12]}); a published version never changes."
        )

    def _newest(self, refs: Refs, files: tuple[File, ...]) -> tuple[int, int, int]:
        """The newest version: of the tags, or on `main` where its tag is still to come."""
        newest = max(filter(None, map(version_key, refs["tags"])), default=(0, 0, 0))
        head = refs["branches"].get("main", "")
        listed = next((f for f in files if f.path == manifest.MANIFEST_FILE), None)
        if listed is None or head in refs["tags"].values():
            return newest
        snapshot = Snapshot(self.name, "main", head, files)
        with self.client.read(snapshot, listed, guard=self.guard) as pieces:
            content = b"".join(pieces)
        with contextlib.suppress(GenaeError):  # whatever lies there is going to be replaced
            there = manifest.parse(content, Path(manifest.MANIFEST_FILE))
            newest = max(newest, version_key(there["version"]) or newest)
        return newest

    def _commit(self, branch: str, head: str, files: tuple[File, ...]) -> str:
        """One commit on `head` that makes the branch exactly the release.

        Raises:
            _Overtaken: the branch has another head by now.
        """
        keep = {file.path for file in self.release.files} | {GIT_OWN}
        try:
            with contextlib.ExitStack() as stack:
                added = [self._add(file, stack) for file in self.release.files]
                gone = [CommitOperationDelete(f.path) for f in files if f.path not in keep]
                stack.enter_context(_quiet())
                stack.enter_context(guarded(self.guard, pushing=True))
                self._upload(added, branch)
                done = self.client.api.create_commit(
                    self.name,
                    [*added, *gone],
                    commit_message=f"{self.name.partition('/')[2]} {self.release.version}",
                    revision=branch,
                    parent_commit=head or None,
                )
                return check_commit(done.oid)
        except ConflictError:
            raise _Overtaken from None
        except (UnreachableError, IntegrityError):
            # Was the answer lost, or the request? The head knows.
            now = self._refs()["branches"].get(branch, "")
            if now == head:
                raise
            if self._equal(self._tree(now)):
                return now
            raise _Overtaken from None

    def _add(self, file: File, stack: contextlib.ExitStack) -> CommitOperationAdd:
        """A file to add. Paths would go to Xet storage, which only the public Hub has."""
        path = self.release.folder / file.path
        if self.client.endpoint == PUBLIC:
            return CommitOperationAdd(file.path, path)
        content: io.BufferedIOBase = stack.enter_context(path.open("rb"))
        return CommitOperationAdd(file.path, content)  # type: ignore[arg-type]

    def _upload(self, added: list[CommitOperationAdd], branch: str) -> None:
        """Send what the commit will name, and check it against the release.

        Each file is hashed by the client as it is read, so that nothing is committed that was
        changed since it was checked.

        Raises:
            IntegrityError: a file's content is no longer the release's.
        """
        self.client.api.preupload_lfs_files(self.name, added, revision=branch, free_memory=False)
        for operation, file in zip(added, self.release.files, strict=True):
            if operation.upload_info.sha256.hex() != file.sha256:
                raise changed(file.path)

    def _tag(self, commit: str, branch: str) -> str:
        try:
            self._again("create_tag", tag=self.release.tag, revision=commit)
        except ConflictError:  # also after an answer that was lost
            there = self._refs()["tags"].get(self.release.tag)
            if there != commit:
                raise FrozenError(
                    f"{self.name} {self.release.tag} was published by someone else meanwhile "
                    f"(commit {str(there)[:12]})."
                ) from None
        if branch != "main":
            with contextlib.suppress(NotFoundError):
                self._again("delete_branch", branch=branch)
        return commit

    # -- asking ---------------------------------------------------------------------------------

    def _again(self, method: str, **arguments: Any) -> None:
        """A method of the client that may be repeated."""
        again(self.guard, lambda: getattr(self.client.api, method)(self.name, **arguments))

    def _refs(self) -> Refs:
        return self.client.refs(self.name, self.guard)

    def _refs_or_none(self) -> Refs | None:
        try:
            return self._refs()
        except UnreachableError:
            raise
        except NotFoundError:
            return None

    def _tree(self, commit: str) -> tuple[File, ...]:
        return self.client.tree(self.name, commit, self.guard) if commit else ()

    def _holds(self, files: tuple[File, ...], file: File) -> bool:
        """Whether one of the files is this one, whichever sum the hub states of it."""
        there = next((other for other in files if other.path == file.path), None)
        if there is None or there.size != file.size:
            return False
        if there.sha256:
            return there.sha256 == file.sha256
        return there.sum == digest(self.release.folder / file.path, there)

    def _equal(self, files: tuple[File, ...]) -> bool:
        """Whether a commit contains exactly the release."""
        own = self.release.files
        return {file.path for file in files} - {GIT_OWN} == {file.path for file in own} and all(
            self._holds(files, file) for file in own
        )


class _Overtaken(Exception):
    """Someone else committed first."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's remarks: that a file object does not go to Xet is our choice."""
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
