"""Lists and files as a hub gives them: redirects followed with care, lengths compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from huggingface_hub import HfApi

from zoo.errors import CutOffError, GenaeError, IntegrityError
from zoo.registry.hub import private
from zoo.registry.hub.guard import Guard, again, guarded
from zoo.registry.shown import clean, no_answer, says_nothing
from zoo.registry.types import File, Snapshot, check_path

MAX_REDIRECTS = 5
T = TypeVar("T")


def pages(
    api: HfApi,
    path: str,
    params: dict[str, Any],
    guard: Guard,
    take: Callable[[list[Any]], list[T]],
) -> Iterator[list[T]]:
    """The pages of a list, each asked for as often as `again` asks.

    huggingface_hub would repeat every request by itself, and wait without an end to it.

    Args:
        api: what is asked.
        path: of the address.
        params: of the first request.
        guard: the rules for the requests.
        take: what is wanted of a page's rows; it may stumble over what they contain.
    """
    address, query = f"{api.endpoint}{path}", dict(params) or None

    def ask() -> tuple[list[T], str]:
        response = private.get_session().get(address, params=query, headers=private.headers(api))
        private.raise_for_status(response)
        rows = response.json()
        if not isinstance(rows, list):
            raise no_answer(f"{response.url.host}: its answer makes no sense (it is no list).")
        following = response.links.get("next", {}).get("url")
        return take(rows), str(response.url.join(following)) if following else ""

    while address:
        rows, address = again(guard, ask)
        query = None  # the link has its own
        yield rows


@contextlib.contextmanager
def read(
    api: HfApi, snapshot: Snapshot, file: File, start: int, guard: Guard
) -> Iterator[Iterator[bytes]]:
    """See `Client.read`."""
    path = quote(check_path(file.path))
    url = f"{api.endpoint}/{snapshot.id}/resolve/{snapshot.commit}/{path}"
    headers = private.headers(api)
    if start:
        headers["range"] = f"bytes={start}-"
    named = about(snapshot.id, snapshot.revision)
    with named, guarded(guard), contextlib.ExitStack() as stack:
        for _ in range(MAX_REDIRECTS + 1):
            request = private.get_session().build_request("GET", url, headers=headers)
            request.extensions["genae_limit"] = file.size - start
            response = private.get_session().send(request, stream=True, follow_redirects=False)
            stack.callback(response.close)
            if not response.has_redirect_location:
                break
            url = str(response.url.join(response.headers["location"]))
        else:
            raise IntegrityError(f"{snapshot.id}: {file.path} is redirected without end.")
        private.raise_for_status(response)
        _refuse_page(response, file)
        skip = _check_length(response, snapshot, file, start)
        yield _skipping(response.iter_raw(), skip)


@contextlib.contextmanager
def about(name: str, revision: str) -> Iterator[None]:
    """Say in an error which model was asked for."""
    try:
        yield
    except GenaeError as error:
        if says_nothing(error) or str(error).startswith(name):
            raise
        at = "" if revision == "main" else f" at {revision}"
        raise type(error)(f"{name}{at}: {error}") from None


def _refuse_page(response: httpx2.Response, file: File) -> None:
    """Refuse a page for people in place of a file.

    Raises:
        CutOffError: it is one.
    """
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith("text/html") and not file.path.lower().endswith((".html", ".htm")):
        raise CutOffError(
            f"{response.url.host}: a web page came in place of {file.path}: the login page of a "
            "network or a proxy's refusal; open it in a browser."
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


def ids(rows: list[Any]) -> list[str]:
    """The ids among the rows of a list of models."""
    return [row["id"] for row in rows]


def files(rows: list[Any]) -> list[File]:
    """The files among the rows of a tree: large ones by their SHA-256, others by git's sum."""
    found = []
    for row in rows:
        if row["type"] == "file":
            lfs = row.get("lfs")
            stated = (lfs["size"], lfs["oid"], "") if lfs else (row["size"], "", row["oid"])
            found.append(File(row["path"], *stated))
    return found
