"""The Hub, or any server that speaks its protocol.

huggingface_hub asks and commits; genae adds what that leaves open: every answer is checked before
use, files are fetched by commit, resumed and hashed, and a version appears as a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import get_session, hf_raise_for_status

from zoo.errors import (
    GenaeError,
    IntegrityError,
    UnreachableError,
    UnsafeError,
    UsageError,
)
from zoo.registry import manifest, signing
from zoo.registry.base import (
    COMMIT,
    MAX_FILES,
    File,
    Progress,
    Published,
    Release,
    Snapshot,
    check_commit,
    check_files,
    check_id,
    check_path,
    check_revision,
    expect,
    newest_first,
    version_key,
)
from zoo.registry.cache import Cache
from zoo.registry.header import inspect, is_pickle
from zoo.registry.wire import Guard, again, guarded
from zoo.registry.wording import bare, clean

MAX_REDIRECTS = 5
LIBRARY = "genae"
#: `branches` and `tags`, each name with its commit.
Refs = dict[str, dict[str, str]]
#: Weights of other libraries, which lie beside safetensors in many repositories.
FOREIGN = (".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".gguf", ".mlmodel", ".onnx_data")
FOREIGN_FOLDERS = ("onnx", "coreml", "openvino", "original", "metal", "runs")


class Hub:
    """One hub.

    Args:
        endpoint: its address; the configured one (`HF_ENDPOINT`) if None. The token is that of
            the configured endpoint and is sent to no other.
        cache: where fetched models are kept.
        offline: make no connection; `HF_HUB_OFFLINE` if None.
        token: overrides the configured one.

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
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{bare(self.endpoint)!r} is no http or https address of a hub.")
        configured = self.endpoint == constants.ENDPOINT.rstrip("/")
        self.name = "hub" if configured else bare(self.endpoint)
        self.token = token or (get_token() if configured else None)
        self.offline = constants.is_offline_mode() if offline is None else offline
        own = Path(constants.HF_HUB_CACHE)
        if not configured:
            own = Path(constants.HF_HOME) / "genae" / quote(parts.netloc.rpartition("@")[2], "")
        self.cache = cache or Cache(own)
        # False, not None: the client would send the configured endpoint's token elsewhere.
        self.api = HfApi(endpoint=self.endpoint, token=self.token or False, library_name=LIBRARY)

    def guard(self, progress: Progress | None = None) -> Guard:
        """The rules for one operation, its deadline counted from now."""
        return Guard(self.endpoint, self.token, progress=progress, offline=self.offline)

    # -- asking ---------------------------------------------------------------------------------

    def list(self, search: str = "") -> list[str]:
        """Ids of the models that genae pushed here, at most a thousand."""
        guard = self.guard()
        found = again(
            guard,
            lambda: [
                model.id
                for model in self.api.list_models(
                    filter=LIBRARY, search=search or None, limit=1000
                )
            ],
        )
        return sorted(_checked(check_id, name) for name in found)

    def versions(self, name: str) -> dict[str, str]:
        """Tags of a model, newest version first, each with its commit."""
        return newest_first(self.refs(check_id(name), self.guard())["tags"])

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
        with _about(check_id(name), asked):
            commit = self._commit(name, asked, guard)
            return Snapshot(name, asked, commit, self.tree(name, commit, guard))

    def _commit(self, name: str, revision: str, guard: Guard) -> str:
        if COMMIT.fullmatch(revision):
            return revision
        info = again(guard, lambda: self.api.model_info(name, revision=revision))
        commit = check_commit(info.sha)
        self.cache.check_unmoved(name, revision, commit)
        return commit

    def tree(self, name: str, commit: str, guard: Guard) -> tuple[File, ...]:
        """Every file of a commit."""

        def ask() -> list[File]:
            files = []
            rows = self.api.list_repo_tree(name, revision=commit, recursive=True)
            for row in rows:
                if isinstance(row, RepoFile):
                    sha256 = row.lfs.sha256 if row.lfs else ""
                    size = row.lfs.size if row.lfs else row.size
                    files.append(File(row.path, size, sha256, "" if row.lfs else row.blob_id))
                if len(files) > MAX_FILES:
                    raise IntegrityError(f"more than {MAX_FILES} files, too many for a model.")
            return files

        return check_files(again(guard, ask))

    def refs(self, name: str, guard: Guard) -> Refs:
        """Branches and tags with their commits."""

        def ask() -> Refs:
            refs = self.api.list_repo_refs(name)
            return {
                kind: {ref.name: check_commit(ref.target_commit) for ref in getattr(refs, kind)}
                for kind in ("branches", "tags")
            }

        return again(guard, ask)

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

        Where the hub cannot be reached, the complete snapshot that was last fetched serves; a
        commit that is complete, and `HF_HUB_OFFLINE`, make no connection at all.

        Args:
            name: owner and name.
            revision: a version, branch, tag or commit; None is `main`.
            progress: told the bytes that arrive.
            vouched: the manifest that came with genae, which this model's must equal.

        Raises:
            NotFoundError: no such model or revision, or neither fetched nor within reach.
            NotAllowedError: it is gated.
            IntegrityError: a file is wrong, twice; or an older model stands under a newer name.
            UnsafeError: a pickle where the manifest lists one, or no other weights; a file's name
                that leaves the folder.
        """
        asked = check_revision(revision)
        have = self.cache.known(check_id(name), asked)
        if have is not None and (self.offline or COMMIT.fullmatch(asked)):
            return have
        guard = self.guard()
        try:
            if self.offline:
                raise UnreachableError("HF_HUB_OFFLINE is set.")
            with _about(name, asked):
                commit = self._commit(name, asked, guard)
                ready = self.cache.known(name, commit)
                if ready is None:
                    snapshot = Snapshot(name, asked, commit, self.tree(name, commit, guard))
        except UnreachableError as error:
            have = have or self.cache.adopt(name, asked)
            if have is not None:
                return have
            raise UnreachableError(
                f"{name} at {asked} is not in the cache, and not within reach: {error}"
            ) from None
        if ready is None:
            return self._fetch(snapshot, guard, progress, vouched)
        if ready != have:
            self._check_version(name, asked, ready)
            self.cache.point(name, asked, commit)
        return ready

    def _fetch(
        self, snapshot: Snapshot, guard: Guard, progress: Progress | None, vouched: bytes | None
    ) -> Path:
        chosen = Snapshot(snapshot.id, snapshot.revision, snapshot.commit, _wanted(snapshot.files))
        guard.deadline.allow(chosen.size)
        expect(progress, chosen.size)

        def read(snap: Snapshot, file: File, start: int) -> Any:
            return self.read(snap, file, start, guard)

        def check(folder: Path) -> str:
            return self._check(chosen, folder, vouched)

        return self.cache.store(chosen, read, guard.deadline, progress=progress, check=check)

    def _check(self, snapshot: Snapshot, folder: Path, vouched: bytes | None) -> str:
        """Hold a fetched folder to its manifest; returns its version."""
        path = folder / manifest.MANIFEST_FILE
        if vouched is not None and (not path.is_file() or path.read_bytes() != vouched):
            raise IntegrityError(
                f"{snapshot.id}: its manifest is not the one that came with genae."
            )
        inspect(folder)
        if path.is_file() and (problems := manifest.check_hashes(folder)):
            raise IntegrityError(f"{snapshot.id}: {'; '.join(problems)}.")
        signing.check(folder)
        return self._check_version(snapshot.id, snapshot.revision, folder)

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
        self.cache.check_forward(name, revision, version)
        return version

    @contextlib.contextmanager
    def read(
        self, snapshot: Snapshot, file: File, start: int = 0, guard: Guard | None = None
    ) -> Iterator[Iterator[bytes]]:
        """A file's content from byte `start` on, in pieces, and never more than its size.

        Raises:
            IntegrityError: the answer is of another length.
            UnreachableError: the connection broke; the pieces so far are right to keep.
        """
        guard = guard or self.guard()
        path = quote(check_path(file.path))
        url = f"{self.endpoint}/{snapshot.id}/resolve/{snapshot.commit}/{path}"
        headers = self.api._build_hf_headers()
        if start:
            headers["range"] = f"bytes={start}-"
        about = _about(snapshot.id, snapshot.revision)
        with about, guarded(guard), contextlib.ExitStack() as stack:
            for _ in range(MAX_REDIRECTS + 1):
                request = get_session().build_request("GET", url, headers=headers)
                request.extensions["genae_limit"] = file.size - start
                response = get_session().send(request, stream=True, follow_redirects=False)
                stack.callback(response.close)
                if not response.has_redirect_location:
                    break
                url = str(response.url.join(response.headers["location"]))
            else:
                raise IntegrityError(f"{snapshot.id}: {file.path} is redirected without end.")
            hf_raise_for_status(response)
            skip = _check_length(response, snapshot, file, start)
            yield _skipping(response.iter_raw(), skip)

    # -- publishing -----------------------------------------------------------------------------

    def push(
        self, release: Release, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Published:
        """Publish a version: one commit on the head that was read, then its tag.

        A version older than the newest goes to the tag alone, so that `main` never steps back.
        What the hub has already, objects or a whole commit of an interrupted push, is not sent
        again. A lost answer is settled by reading the head.

        Raises:
            ConflictError: the version exists, or is being pushed by someone else.
            NotAllowedError: no token, or one without the right to write.
            UsageError: the hub refuses the model page.
            UnreachableError: the hub stopped answering; the branch is as it was, or complete.
        """
        from zoo.registry.publishing import Publisher

        check_id(release.id)
        return Publisher(self, release, self.guard(progress)).run(dry_run)


@contextlib.contextmanager
def _about(name: str, revision: str) -> Iterator[None]:
    """Say in an error which model was asked for."""
    try:
        yield
    except UnreachableError:
        raise
    except GenaeError as error:
        if str(error).startswith(name):
            raise
        at = "" if revision == "main" else f" at {revision}"
        raise type(error)(f"{name}{at}: {error}") from None


def _checked(check: Callable[[str], str], value: Any) -> str:
    """A server's word held to the rule for a user's."""
    try:
        return check(value)
    except (UsageError, TypeError):
        raise IntegrityError(f"the hub lists a model named {str(value)[:80]!r}.") from None


def _wanted(files: tuple[File, ...]) -> tuple[File, ...]:
    """The files to fetch: all but hidden ones, pickles and other libraries' weights.

    Raises:
        UnsafeError: the only weights are pickles.
    """
    plain = [f for f in files if not any(part.startswith(".") for part in f.path.split("/"))]
    safe = [f for f in plain if not is_pickle(f.path)]
    if len(safe) < len(plain) and not any(f.path.endswith(".safetensors") for f in safe):
        names = ", ".join(f.path for f in plain if is_pickle(f.path))[:200]
        raise UnsafeError(f"{names}: pickled weights can run code; there are no safetensors.")
    return tuple(
        f
        for f in safe
        if not f.path.lower().endswith(FOREIGN) and f.path.split("/")[0] not in FOREIGN_FOLDERS
    )


def _check_length(response: httpx2.Response, snapshot: Snapshot, file: File, start: int) -> int:
    """Compare what an answer promises with what was asked; returns the bytes to skip.

    Raises:
        IntegrityError: the file is longer or shorter on the hub.
    """
    length = response.headers.get("content-length")
    total = None
    if response.status_code == 206:
        span, _, text = response.headers.get("content-range", "").partition("/")
        if span.removeprefix("bytes ").split("-")[0] != str(start):
            raise IntegrityError(f"{snapshot.id}: {file.path} came from another byte on.")
        total = text
    elif length is not None:
        total = length
    if total is not None and total != "*" and total != str(file.size):
        raise IntegrityError(
            f"{snapshot.id}: {file.path} has {clean(total, None)[:20]} bytes where the hub's own "
            f"list says {file.size}."
        )
    if response.status_code == 200 and start:  # the server knows no ranges
        response.request.extensions["genae_limit"] = file.size
        return start
    return 0


def _skipping(pieces: Iterator[bytes], skip: int) -> Iterator[bytes]:
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
        else:
            yield piece[skip:] if skip else piece
            skip = 0
