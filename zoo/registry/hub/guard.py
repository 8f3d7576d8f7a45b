"""What every request to a hub goes through: deadlines, limits, and no token for strangers.

huggingface_hub makes the requests. Its client knows timeouts between bytes at best, reads answers
of any length and follows any redirect; hooks on that client add what is missing, and only for
requests made inside `guarded`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2
from huggingface_hub import constants, set_client_factory

from zoo.errors import BusyError, CutOffError, RedirectError, UnreachableError
from zoo.registry.deadline import Deadline
from zoo.registry.hub import private
from zoo.registry.hub.bodies import PACKED, Bounded, Counted, Unpacked
from zoo.registry.hub.errors import AGAIN, ASKED, busy, translate
from zoo.registry.hub.network import make_client
from zoo.registry.shown import no_answer
from zoo.registry.types import Progress

T = TypeVar("T")

ANSWER_BYTES = 4 * 2**20  # JSON; a page of a thousand files takes a tenth
ERROR_BYTES = 64 * 2**10
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt
MAX_WAIT = 30.0  # seconds, whatever a server asks for
HASTE = 5.0  # seconds without an answer, where something else may serve
LIMITED = re.compile(r"\br=0\b.*\bt=(\d+)")  # of the header RateLimit: none left, for so long


@dataclass(slots=True)
class Guard:
    """The rules for the requests of one operation.

    Attributes:
        endpoint: the hub; its origin alone is sent the token.
        token: never shown in a message.
        deadline: for the whole operation.
        progress: called with the number of bytes as they are uploaded.
        offline: refuse every request.
        patient: wait, and try again, where that may help.
        waived: a server asked for a wait over the limit before, and was not obeyed.
    """

    endpoint: str
    token: str | None = None
    deadline: Deadline = field(default_factory=Deadline)
    progress: Progress | None = None
    offline: bool = False
    patient: bool = True
    waived: bool = False

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
        given = request.extensions.get("timeout", {}).get("read")  # of a request of lesser weight
        still = min(float(constants.HF_HUB_DOWNLOAD_TIMEOUT), given or float("inf"))
        if not self.patient:
            still = min(still, HASTE)
        seconds = min(still, self.deadline.left)
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "pool"), seconds) | {
            "write": min(6 * still, self.deadline.left)
        }
        if request.method == "PUT":
            request.stream = Counted(request.stream, self.deadline, self.progress)

    def answer(self, response: httpx2.Response) -> None:
        """When an answer's headers are there and its body is not."""
        self._wait(response)
        failed = response.status_code >= 400
        encoding = response.headers.pop("content-encoding", "identity").lower()
        if encoding in PACKED and response.status_code != 206:
            response.headers.pop("content-length", None)  # of the packed bytes
            response.stream = Unpacked(response.stream, failed)
        elif encoding not in ("", "identity"):
            raise no_answer(f"an answer came {encoding[:20]!r}-encoded, which was not asked.")
        limit = response.request.extensions.get("genae_limit", ANSWER_BYTES)
        response.stream = Bounded(
            response.stream, ERROR_BYTES if failed else limit, failed, self.deadline
        )

    def _wait(self, response: httpx2.Response) -> None:
        """Note how long a server asks to wait; a wait over the limit is skipped once.

        Raises:
            BusyError: it asks for such a wait again.
        """
        asked = asked_wait(response.headers)
        for name in ("retry-after", "ratelimit", "ratelimit-policy"):
            response.headers.pop(name, None)
        if response.status_code not in AGAIN or not asked:
            return
        response.extensions[ASKED] = asked
        too_long = asked > MAX_WAIT or not self.deadline.allows(asked)
        if too_long and self.waived:
            error = busy(response.request.url.host, response.status_code, asked, self.token)
            error.final = True
            raise error
        self.waived = self.waived or too_long
        # huggingface_hub would sleep for a day where the header says so.
        response.headers["retry-after"] = "0" if too_long else str(int(asked))


def asked_wait(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks to wait, 0 if it does not.

    `Retry-After` gives seconds or a date; the Hub says in `RateLimit` when its next window opens.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d*)?", text, re.ASCII):
        return float(text)
    try:
        now = headers.get("date", "")
        start = parsedate_to_datetime(now).timestamp() if now else time.time()
        return max(0.0, parsedate_to_datetime(text).timestamp() - start)
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    match = LIMITED.search(headers.get("ratelimit", "")[:200])
    return float(match[1][:12]) if match else 0.0


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
    before = private.client_factory()
    if getattr(before, "guarded", False):
        return

    def factory() -> httpx2.Client:
        client = make_client(before)
        hooks = client.event_hooks
        hooks["request"].insert(0, _ask)
        hooks["response"].insert(0, _answer)
        return client

    factory.guarded = True  # type: ignore[attr-defined]
    set_client_factory(factory)


@contextlib.contextmanager
def guarded(guard: Guard, *, pushing: bool = False) -> Iterator[None]:
    """Apply a guard's rules to the requests of this thread, with `pushing` those of uploads.

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
    for wait in (*WAITS, None) if guard.patient else (None,):
        try:
            with guarded(guard):
                return call()
        except UnreachableError as error:
            if wait is None or guard.offline or isinstance(error, CutOffError):
                raise
            pause(guard.deadline, wait, error)
    raise AssertionError


def pause(deadline: Deadline, wait: float, error: UnreachableError) -> None:
    """Wait before another attempt: as long as was asked, if anyone would wait so long.

    Raises:
        UnreachableError: `error`, if waiting is of no use.
    """
    if isinstance(error, BusyError):
        if error.final:
            raise error
        wait = max(wait, error.seconds) if error.seconds <= MAX_WAIT else wait
        if not deadline.allows(wait):
            raise error
    deadline.wait(wait)


def check_target(url: httpx2.URL, endpoint: httpx2.URL) -> None:
    """Refuse an address that a server should not have named.

    Raises:
        RedirectError: not http or https, weaker than the endpoint's own scheme, with a password in
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
        raise RedirectError(
            f"{url.scheme}://{url.host}: an address that {reason}; not followed. If it is the "
            "login page of your network, log in with a browser first."
        )


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
