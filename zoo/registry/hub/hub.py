"""The Hub, or any server that speaks its protocol.

huggingface_hub asks and commits; genae adds what that leaves open: every answer is checked before
use, files are fetched by commit, resumed and hashed, and a version appears as a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub import constants

from zoo.errors import (
    BusyError,
    CutOffError,
    GenaeError,
    IntegrityError,
    NotFoundError,
    SettingError,
    UnreachableError,
    UsageError,
    WithdrawnError,
)
from zoo.header import inspect
from zoo.registry import adoption, manifest, signing, withdrawal
from zoo.registry.cache import Cache
from zoo.registry.hub import commits, reading, withdrawing
from zoo.registry.hub.client import LIBRARY, Client
from zoo.registry.hub.guard import Guard, again
from zoo.registry.hub.push import Publisher
from zoo.registry.hub.reading import about
from zoo.registry.hub.withdrawing import Withdrawer
from zoo.registry.shown import says_nothing
from zoo.registry.snapshots import LackingError, wanted
from zoo.registry.types import (
    COMMIT,
    File,
    Progress,
    Published,
    Release,
    Snapshot,
    Withdrawal,
    check_commit,
    check_id,
    check_revision,
    expect,
    version_key,
)

MAX_LISTED = 1000  # ids in one list


class Hub(Client):
    """One hub.

    Args:
        endpoint: as of `Client`, like `offline` and `token`.
        cache: where fetched models are kept.
        offline: likewise.
        token: likewise.

    Raises:
        UsageError: the address is no http or https URL.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        cache: Cache | None = None,
        offline: bool | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(endpoint, offline=offline, token=token)
        own = Path(constants.HF_HUB_CACHE)
        if not self.configured:
            netloc = urlsplit(self.endpoint).netloc.rpartition("@")[2]
            own = Path(constants.HF_HOME) / "genae" / quote(netloc, "")
        self.cache = cache or Cache(own)

    # -- asking ---------------------------------------------------------------------------------

    def list(self, search: str = "") -> list[str]:
        """Ids of the models that genae pushed here, at most a thousand."""
        asked = {"filter": LIBRARY, "limit": MAX_LISTED} | ({"search": search} if search else {})
        found: list[str] = []
        for rows in reading.pages(self.api, "/api/models", asked, self.guard(), reading.ids):
            found += rows
            if len(found) >= MAX_LISTED:
                break
        return sorted(_checked(check_id, name) for name in found[:MAX_LISTED])

    def versions(self, name: str) -> dict[str, str]:
        """Tags of a model, newest version first, each with its commit; withdrawn ones, too."""
        return withdrawing.versions(self.refs(check_id(name), self.guard()))

    def withdrawn(self, name: str) -> dict[str, Withdrawal]:
        """The versions of a model that were withdrawn, by their tags."""
        guard = self.guard()
        return withdrawing.read(self, name, self.refs(check_id(name), guard), guard)

    def path(self, snapshot: Snapshot) -> Path | None:
        """None, as the files are elsewhere."""
        return None

    def date(self, snapshot: Snapshot) -> str | None:
        """When a version was published, as `2026-11-29`."""
        return commits.date(self.api, snapshot.id, snapshot.commit, self.guard())

    def find(self, name: str, revision: str | None = None) -> Snapshot:
        """What a revision of a model consists of; asks even where the cache knows.

        Raises:
            NotFoundError: no such model or revision, or it cannot be reached.
            NotAllowedError: it is gated.
            IntegrityError: the answers make no sense, or the version was moved.
            UnsafeError: a file's name leaves the folder.
        """
        return self._find(name, revision, self.guard())

    def _find(self, name: str, revision: str | None, guard: Guard) -> Snapshot:
        asked = check_revision(revision)
        with about(check_id(name), asked):
            try:
                commit = self._commit(name, asked, guard)
            except WithdrawnError:
                commit = self.versions(name)[asked]
            return Snapshot(name, asked, commit, self.tree(name, commit, guard))

    def _commit(self, name: str, revision: str, guard: Guard) -> str:
        if COMMIT.fullmatch(revision):
            return revision
        try:
            info = again(guard, lambda: self.api.model_info(name, revision=revision))
        except (NotFoundError, UsageError) as error:
            if says_nothing(error):
                raise
            withdrawing.refuse(self, name, revision, guard)
            if not commits.SHORT.fullmatch(revision):
                raise
            return commits.complete(self.api, self.refs, name, revision, guard, error)
        commit = check_commit(info.sha)
        self.cache.check_unmoved(name, revision, commit)
        return commit

    # -- fetching -------------------------------------------------------------------------------

    def folder(
        self,
        name: str,
        revision: str | None = None,
        progress: Progress | None = None,
        *,
        vouched: bytes | None = None,
    ) -> Path:
        """A folder in the cache with every file of a model, hashed when it arrived.

        Where no answer comes, or none that a hub would give, the complete snapshot that was last
        fetched serves at once, with a warning, whoever fetched it; a commit that is complete, and
        `HF_HUB_OFFLINE`, make no connection at all.

        Args:
            name: owner and name.
            revision: a version, branch, tag or commit; None is `main`.
            progress: called with the number of bytes as they arrive.
            vouched: the manifest that came with genae, which this model's must equal.

        Raises:
            NotFoundError: no such model or revision, or neither fetched nor within reach.
            WithdrawnError: its owner withdrew it.
            SettingError: a variable of the environment cannot be used, and it was not fetched.
            MissingDependencyError: likewise, for a proxy that needs a package; or a full disk.
            NotAllowedError: it is gated, or the cache cannot be written to.
            IntegrityError: a file is wrong, twice; or an older model stands under a newer name.
            UnsafeError: a pickle where the manifest lists one, or no other weights; a file's name
                that leaves the folder.
        """
        asked = check_revision(revision)
        have = self._known(check_id(name), asked)
        if have is not None and (self.offline or COMMIT.fullmatch(asked)):
            return have
        partly = have is not None or adoption.holds(self.cache, name, asked)
        while True:
            try:
                guard = self.guard(progress)
                guard.patient = not partly
                with about(name, asked):
                    commit, ready, snapshot = self._ask(name, asked, guard)
                break
            except GenaeError as error:
                if not says_nothing(error):
                    raise
                have, lack = (have, "") if have else self._adopt(name, asked, vouched)
                if have is not None:
                    return have if self.offline else adoption.instead(have, error)
                if not partly or isinstance(error, CutOffError | SettingError) or self.offline:
                    raise adoption.not_here(name, asked, error, lack) from None
                partly = False  # what is there is of no use: now with patience
        if snapshot is not None:
            guard.patient = True
            try:
                return self._fetch(snapshot, guard, progress, vouched)
            except (BusyError, CutOffError) as error:
                return adoption.instead(have, error)
        assert ready is not None
        if ready != have:
            self._check_version(name, asked, ready)
            self.cache.point(name, asked, commit, lenient=True)
        return ready

    def _ask(
        self, name: str, asked: str, guard: Guard
    ) -> tuple[str, Path | None, Snapshot | None]:
        """The commit of a revision, with its folder if it is here, else with its files."""
        if self.offline:
            raise UnreachableError("HF_HUB_OFFLINE is set.")
        self.cache.check_place()
        commit = self._commit(name, asked, guard)
        if (ready := self.cache.known(name, commit)) is not None:
            return commit, ready, None
        snapshot = Snapshot(name, asked, commit, self.tree(name, commit, guard))
        withdrawing.refuse_left(self, snapshot, guard)
        return commit, None, snapshot

    def _known(self, name: str, revision: str) -> Path | None:
        """The complete snapshot that a revision was, when it was last asked for."""
        have = self.cache.known(name, revision)
        if have is None and self.offline and commits.SHORT.fullmatch(revision):
            have = self.cache.known(name, adoption.expand(self.cache, name, revision))
        return have

    def cached(self, name: str, revision: str | None = None) -> tuple[Snapshot, Path] | None:
        """What the cache has of a model, complete, and where; makes no connection."""
        asked = check_revision(revision)
        folder = self._known(check_id(name), asked) or self._adopt(name, asked, None)[0]
        if folder is None:
            return None
        files = tuple(self.cache.files(name, folder.name))
        return Snapshot(name, asked, folder.name, files), folder

    def _adopt(self, name: str, revision: str, vouched: bytes | None) -> tuple[Path | None, str]:
        """A whole snapshot that another program fetched, or why there is none."""
        if commits.SHORT.fullmatch(revision):
            revision = adoption.expand(self.cache, name, revision) or revision

        def check(folder: Path, paths: list[str]) -> str:
            try:
                return self._check(name, revision, folder, paths, vouched)
            except IntegrityError as error:
                raise IntegrityError(
                    f"{error} Pull it again where the hub can be reached, or remove {folder}."
                ) from None

        try:
            return adoption.adopt(self.cache, name, revision, check), ""
        except LackingError as error:
            return None, str(error)

    def _fetch(
        self, snapshot: Snapshot, guard: Guard, progress: Progress | None, vouched: bytes | None
    ) -> Path:
        chosen = Snapshot(snapshot.id, snapshot.revision, snapshot.commit, wanted(snapshot.files))
        guard.deadline.allow(chosen.size)
        expect(progress, chosen.size)

        def read(snap: Snapshot, file: File, start: int) -> Any:
            return self.read(snap, file, start, guard)

        paths = [file.path for file in chosen.files]

        def check(folder: Path) -> str:
            return self._check(chosen.id, chosen.revision, folder, paths, vouched)

        return self.cache.store(chosen, read, guard.deadline, progress=progress, check=check)

    def _check(
        self, name: str, revision: str, folder: Path, paths: Iterable[str], vouched: bytes | None
    ) -> str:
        """Compare the model's files in a folder with its manifest; returns its version."""
        path = folder / manifest.MANIFEST_FILE
        if vouched is not None and (not path.is_file() or path.read_bytes() != vouched):
            raise IntegrityError(f"{name}: its manifest is not the one that came with genae.")
        inspect(folder, paths)
        if path.is_file() and (problems := manifest.check_hashes(folder)):
            raise IntegrityError(f"{name}: {'; '.join(problems)}.")
        signing.check(folder)
        return self._check_version(name, revision, folder)

    def _check_version(self, name: str, revision: str, folder: Path) -> str:
        """The version a fetched folder has, empty without a manifest; refuses to go back."""
        if not (folder / manifest.MANIFEST_FILE).is_file():
            return ""
        version = str(manifest.read(folder)["version"])
        wanted, given = version_key(revision), version_key(version)
        if given is None:
            raise IntegrityError(f"{name}: its manifest has the version {version[:20]!r}.")
        if wanted is not None and wanted != given:
            raise IntegrityError(
                f"{name}: under {revision} lies version {version}; an older model was put under "
                "a newer name."
            )
        try:
            self.cache.check_forward(name, revision, version)
        except IntegrityError:
            with contextlib.suppress(GenaeError):
                if f"v{self.cache.version(name, revision)}" in self.withdrawn(name):
                    return version
            raise
        return version

    # -- publishing -----------------------------------------------------------------------------

    def push(
        self, release: Release, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Published:
        """Publish a version: one commit on the head that was read, then its tag.

        A version older than the newest goes to the tag alone, so that `main` never steps back.
        What the hub has already, objects or a whole commit of an interrupted push, is not sent
        again. A lost answer is decided by reading the head.

        Raises:
            ConflictError: the version exists, or is being pushed by someone else.
            NotAllowedError: no token, or one without the right to write.
            UsageError: the hub refuses the model page.
            UnreachableError: the hub stopped answering; the branch is as it was, or complete.
        """
        check_id(release.id)
        return Publisher(self, release, self.guard(progress)).run(dry_run)

    def withdraw(self, name: str, tag: str, why: str | None, *, purge: bool = False) -> Withdrawal:
        """Withdraw a version, as `hub/withdrawing.py` tells; without a reason, take that back.

        Raises:
            NotFoundError: no such version; or one to have back that was not withdrawn.
            ConflictError: it is withdrawn already, or someone else is changing the model.
            NotAllowedError: no token, or one without the right to write.
            UsageError: `purge`, as a hub keeps the history of a repository.
        """
        tag = withdrawal.check_version(check_id(name), tag)
        if purge:
            raise UsageError(
                f"a hub keeps every commit, so nothing can be purged there: withdraw {name} {tag} "
                "without --purge, or delete the repository on the hub."
            )
        withdrawer = Withdrawer(self, name, tag, self.guard())
        return withdrawer.have_back() if why is None else withdrawer.run(withdrawal.reason(why))


def _checked(check: Callable[[str], str], value: Any) -> str:
    """A server's value, checked as a user's is."""
    try:
        return check(value)
    except (UsageError, TypeError):
        raise IntegrityError(f"the hub lists a model named {str(value)[:80]!r}.") from None
