"""What every request to a hub goes through: deadlines, limits, and no token for strangers.

huggingface_hub makes the requests. Its client knows timeouts between bytes at best, reads answers
of any length and follows any redirect; hooks on that client add what is missing, and only for
requests made inside `guarded`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils import _http

from zoo.errors import (
    IntegrityError,
    UnreachableError,
    UnsafeError,
    UsageError,
)
from zoo.registry.base import Progress
from zoo.registry.wording import AGAIN, translate

T = TypeVar("T")

ANSWER_BYTES = 4 * 2**20  # JSON; a page of a thousand files takes a tenth
ERROR_BYTES = 64 * 2**10
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt
LONGEST_WAIT = 30.0  # seconds, whatever a server asks for

#: An operation may take this long, and a second more for each so many bytes.
SECONDS = 120.0
BYTES_PER_SECOND = 100_000
DEADLINE = "GENAE_HUB_DEADLINE"


class Deadline:
    """When an operation has to be over.

    `GENAE_HUB_DEADLINE` in the environment, in seconds, replaces the rule of `SECONDS` and
    `BYTES_PER_SECOND`.

    Raises:
        UsageError: that variable is not a positive number.
    """

    def __init__(self) -> None:
        text = os.environ.get(DEADLINE, "")
        try:
            self.fixed = float(text) if text else None
        except ValueError:
            self.fixed = -1.0
        if self.fixed is not None and not 0 < self.fixed < 1e9:
            raise UsageError(f"{DEADLINE} is {text!r}: give seconds, such as 600.")
        self.seconds = SECONDS if self.fixed is None else self.fixed
        self.start = time.monotonic()

    def allow(self, size: int) -> None:
        """Add the time that so many bytes may take."""
        if self.fixed is None:
            self.seconds += size / BYTES_PER_SECOND

    @property
    def left(self) -> float:
        """Seconds left.

        Raises:
            UnreachableError: there are none.
        """
        left = self.start + self.seconds - time.monotonic()
        if left <= 0:
            raise UnreachableError(
                f"not finished after {self.seconds:.0f} s: run it again to go on from here, or "
                f"set {DEADLINE} to more seconds."
            )
        return left

    def wait(self, seconds: float) -> None:
        """Sleep, no longer than is left."""
        time.sleep(max(0.0, min(seconds, self.left)))


@dataclass(slots=True)
class Guard:
    """The rules for the requests of one operation.

    Attributes:
        endpoint: the hub; its origin alone is sent the token.
        token: never shown in a message.
        deadline: for the whole operation.
        progress: told the bytes of uploads.
        offline: refuse every request.
        retry_after: seconds the last answer asked to wait, within reason.
    """

    endpoint: str
    token: str | None = None
    deadline: Deadline = field(default_factory=Deadline)
    progress: Progress | None = None
    offline: bool = False
    retry_after: float = 0.0

    def ask(self, request: httpx2.Request) -> None:
        """Before a request, or each further one of a redirect, goes out."""
        if self.offline:
            raise UnreachableError(f"{request.url.host}: not asked, as HF_HUB_OFFLINE is set.")
        own = httpx2.URL(self.endpoint)
        check_target(request.url, own)
        if _origin(request.url) != _origin(own):
            for name in ("authorization", "cookie"):
                request.headers.pop(name, None)
        request.headers["accept-encoding"] = "identity"  # a limit on bytes is then one on memory
        still = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        seconds = min(still, self.deadline.left)
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "pool"), seconds) | {
            "write": min(6 * still, self.deadline.left)
        }
        if request.method == "PUT":
            request.stream = _Counted(request.stream, self)

    def answer(self, response: httpx2.Response) -> None:
        """When an answer's headers are there and its body is not."""
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise IntegrityError(f"an answer came {encoding[:20]!r}-encoded, which was not asked.")
        asked = response.headers.pop("retry-after", "")
        for name in ("ratelimit", "ratelimit-policy"):
            response.headers.pop(name, None)
        # huggingface_hub would sleep for a day if it were told to.
        self.retry_after = min(int(asked), LONGEST_WAIT) if _digits(asked) else 0.0
        if self.retry_after and response.status_code in AGAIN:
            response.headers["retry-after"] = str(int(self.retry_after))
        limit = response.request.extensions.get("genae_limit", ANSWER_BYTES)
        failed = response.status_code >= 400
        response.stream = _Bounded(response.stream, ERROR_BYTES if failed else limit, failed, self)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


class _Bounded(httpx2.SyncByteStream):
    """An answer's body that ends at its limit: quietly if it is only an error's text."""

    def __init__(self, stream: Any, limit: int, quiet: bool, guard: Guard) -> None:
        self.stream, self.limit, self.quiet, self.guard = stream, limit, quiet, guard

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for piece in self.stream:
            _ = self.guard.deadline.left
            if seen + len(piece) > self.limit:
                if not self.quiet:
                    raise IntegrityError(f"an answer is longer than {self.limit} bytes.")
                yield piece[: self.limit - seen]
                return
            seen += len(piece)
            yield piece

    def close(self) -> None:
        self.stream.close()


class _Counted(httpx2.SyncByteStream):
    """A request's body that tells how much of it has gone."""

    def __init__(self, stream: Any, guard: Guard) -> None:
        self.stream, self.guard = stream, guard

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.stream:
            _ = self.guard.deadline.left
            yield piece
            if self.guard.progress is not None:
                self.guard.progress(len(piece))

    def close(self) -> None:
        close = getattr(self.stream, "close", None)
        if close is not None:
            close()


_GUARD: ContextVar[Guard | None] = ContextVar("genae_guard", default=None)
#: huggingface_hub uploads in threads of its own, which do not inherit the variable above.
_PUSH: list[Guard] = []
_PUSH_LOCK = threading.Lock()


def _current(request: httpx2.Request) -> Guard | None:
    guard = _GUARD.get()
    if guard is None and _PUSH and request.method in ("PUT", "POST"):
        return _PUSH[0]
    return guard


def _ask(request: httpx2.Request) -> None:
    if (guard := _current(request)) is not None:
        guard.ask(request)


def _answer(response: httpx2.Response) -> None:
    if (guard := _current(response.request)) is not None:
        guard.answer(response)


def _install() -> None:
    """Put the hooks on the client that huggingface_hub makes, whoever configured it."""
    before = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None) or _http.default_client_factory
    if getattr(before, "guarded", False):
        return

    def factory() -> httpx2.Client:
        client: httpx2.Client = before()
        hooks = client.event_hooks
        hooks["request"].insert(0, _ask)
        hooks["response"].insert(0, _answer)
        return client

    factory.guarded = True  # type: ignore[attr-defined]
    set_client_factory(factory)


@contextlib.contextmanager
def guarded(guard: Guard, *, pushing: bool = False) -> Iterator[None]:
    """Hold the requests of this thread, and with `pushing` of uploads, to a guard's rules.

    Raises:
        GenaeError: what went wrong inside, in genae's own words and without the token.
    """
    _install()
    token = _GUARD.set(guard)
    try:
        if pushing:
            with _PUSH_LOCK:
                _PUSH.append(guard)
                try:
                    yield
                finally:
                    _PUSH.clear()
        else:
            yield
    except Exception as error:
        raise translate(error, guard.endpoint, guard.token) from None
    finally:
        _GUARD.reset(token)


def again(guard: Guard, call: Callable[[], T]) -> T:
    """Make a request that may be repeated, as often as `WAITS` has entries.

    Raises:
        GenaeError: the last attempt's error, or one that no repetition would mend.
    """
    for wait in (*WAITS, None):
        try:
            with guarded(guard):
                return call()
        except UnreachableError:
            if wait is None or guard.offline:
                raise
            guard.deadline.wait(max(wait, guard.retry_after))
    raise AssertionError


def check_target(url: httpx2.URL, endpoint: httpx2.URL) -> None:
    """Refuse an address that a server should not have named.

    Raises:
        UnsafeError: not http or https, weaker than the endpoint's own scheme, with a password in
            it, or inside this machine or network while the endpoint is outside.
    """
    reason = ""
    if url.scheme not in ("http", "https"):
        reason = "is neither http nor https"
    elif endpoint.scheme == "https" and url.scheme != "https":
        reason = "is not encrypted, though the endpoint is"
    elif url.userinfo and url.userinfo != endpoint.userinfo:
        reason = "carries a name or password"
    elif _inside(url.host) and not _inside(endpoint.host):
        reason = "points into this machine or network"
    if reason:
        raise UnsafeError(f"{url.scheme}://{url.host}: an address that {reason}; not followed.")


def _inside(host: str) -> bool:
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return not address.is_global


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)
