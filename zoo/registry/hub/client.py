"""What is asked of a hub, one request or list at a time, every answer checked before use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_token

from zoo.errors import IntegrityError, SettingError, UsageError
from zoo.registry.hub import reading
from zoo.registry.hub.guard import Guard, again
from zoo.registry.shown import bare
from zoo.registry.types import MAX_FILES, File, Progress, Snapshot, check_commit, check_files

LIBRARY = "genae"
#: `branches` and `tags`, each name with its commit.
Refs = dict[str, dict[str, str]]
PUBLIC = "https://huggingface.co"


class Client:
    """The way to one hub.

    Args:
        endpoint: its address; the configured one (`HF_ENDPOINT`) if None. The token is that of
            the configured endpoint and is sent to no other.
        offline: make no connection; `HF_HUB_OFFLINE` if None.
        token: overrides the configured one.

    Raises:
        UsageError: the address is no http or https URL.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        offline: bool | None = None,
        token: str | None = None,
    ) -> None:
        default = constants.ENDPOINT.strip().rstrip("/") or PUBLIC
        self.endpoint = (endpoint or default).rstrip("/")
        self.configured = self.endpoint == default
        #: What is wrong with the configured address; the cache serves nevertheless.
        self.fault: SettingError | None = None
        if not _is_address(self.endpoint):
            if endpoint is not None:
                raise UsageError(f"{bare(endpoint)!r} is no http or https address of a hub.")
            self.fault = SettingError(
                f"HF_ENDPOINT is {bare(default)!r}, which is no http or https address of a hub: "
                f"set it to one, such as {PUBLIC}, or unset it."
            )
        self.name = "hub" if self.configured else bare(self.endpoint)
        self.token = token or (get_token() if self.configured else None)
        self.offline = constants.is_offline_mode() if offline is None else offline
        # False, not None: the client would send the configured endpoint's token elsewhere.
        self.api = HfApi(endpoint=self.endpoint, token=self.token or False, library_name=LIBRARY)

    def guard(self, progress: Progress | None = None) -> Guard:
        """The rules for one operation, its deadline counted from now.

        Raises:
            SettingError: the configured address is none.
        """
        if self.fault is not None and not self.offline:
            raise SettingError(str(self.fault))
        return Guard(self.endpoint, self.token, progress=progress, offline=self.offline)

    def tree(self, name: str, commit: str, guard: Guard) -> tuple[File, ...]:
        """Every file of a commit."""
        path = f"/api/models/{name}/tree/{commit}"
        files: list[File] = []
        for rows in reading.pages(self.api, path, {"recursive": "true"}, guard, reading.files):
            files += rows
            if len(files) > MAX_FILES:
                raise IntegrityError(f"more than {MAX_FILES} files, too many for a model.")
        return check_files(files)

    def refs(self, name: str, guard: Guard) -> Refs:
        """Branches and tags with their commits."""

        def ask() -> Refs:
            refs = self.api.list_repo_refs(name)
            return {
                kind: {ref.name: check_commit(ref.target_commit) for ref in getattr(refs, kind)}
                for kind in ("branches", "tags")
            }

        return again(guard, ask)

    def read(
        self, snapshot: Snapshot, file: File, start: int = 0, guard: Guard | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """A file's content from byte `start` on, in pieces, and never more than its size.

        Raises:
            IntegrityError: the answer is of another length.
            UnreachableError: the connection broke; the pieces so far are right to keep.
        """
        return reading.read(self.api, snapshot, file, start, guard or self.guard())


def _is_address(url: str) -> bool:
    """Whether requests can be made to an address."""
    try:
        parts = httpx2.URL(url)
        return parts.scheme in ("http", "https") and bool(parts.host) and urlsplit(url).port != 0
    except (httpx2.InvalidURL, ValueError):
        return False
