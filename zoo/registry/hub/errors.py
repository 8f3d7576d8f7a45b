"""What goes wrong with a hub, as genae's errors and exit codes, and never with a token."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Sequence
from typing import TypeVar

import httpx2
from huggingface_hub import errors

from zoo.errors import (
    BusyError,
    ConflictError,
    CutOffError,
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    NotFoundError,
    RedirectError,
    SettingError,
    UnreachableError,
    UsageError,
)
from zoo.registry.hub import network
from zoo.registry.shown import bare, clean, no_answer

E = TypeVar("E", bound=BaseException)
#: Statuses after which asking again may help.
AGAIN = (408, 425, 429, 500, 502, 503, 504)
#: Where a response keeps the seconds that it asks to wait.
ASKED = "genae_asked_wait"
KINDS: dict[int, tuple[type[GenaeError], str]] = {
    400: (UsageError, "refuses the request"),
    401: (NotAllowedError, "wants a valid token"),
    403: (NotAllowedError, "does not allow this"),
    404: (NotFoundError, "does not know this"),
    409: (ConflictError, "has it already"),
    412: (ConflictError, "was changed by someone else meanwhile"),
    413: (UsageError, "finds a file too large"),
    422: (UsageError, "refuses the request"),
}
#: Statuses that only something on the way to a hub answers with.
ON_THE_WAY = (407, 511)
HUBS_OWN = ("x-error-code", "x-error-message")
LOG_IN = "log in (`hf auth login`) or set HF_TOKEN"
BROWSER = (
    "the login page of a network or a proxy's refusal, or the address is no hub's: open it in a "
    "browser"
)


def translate(error: BaseException, endpoint: str, token: str | None) -> BaseException:
    """An error of the client, of the HTTP library below it, or of a wrong answer, as genae's."""
    seen: BaseException | None = error
    chain: list[BaseException] = []
    while seen is not None and len(chain) < 20:
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    for link in chain:
        if isinstance(link, GenaeError):
            return link
    for link in chain:
        if isinstance(link, errors.HfHubHTTPError | httpx2.HTTPStatusError):
            return _of_status(link, endpoint, token)
    host = httpx2.URL(endpoint).host
    for link in chain:
        if isinstance(link, errors.OfflineModeIsEnabled):
            return UnreachableError(f"{host}: not asked, as HF_HUB_OFFLINE is set.")
        if isinstance(link, json.JSONDecodeError):
            return _no_json(link, endpoint)
        if isinstance(link, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return RedirectError(f"{host} named an address that is none.")
        if isinstance(link, httpx2.TooManyRedirects):
            return no_answer(f"{host}: redirected without end.")
        if isinstance(link, httpx2.HTTPError):
            return _unreachable(link, chain, endpoint, token)
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, MemoryError):
        return MissingDependencyError("not enough memory for the hub's answer.")
    reason = clean(f"{type(error).__name__}: {error}", token)
    return no_answer(f"{host}: its answer makes no sense ({reason}).")


def busy(host: str, status: int, seconds: float, token: str | None) -> BusyError:
    """What a hub says that wants to be asked later."""
    what = "too many requests (429)" if status == 429 else f"busy or out of order ({status})"
    wait = f"the hub asks to wait {seconds:.0f} s" if seconds else "it asks to come back later"
    hint = f"{LOG_IN} (a token raises the limit), or " if status == 429 and not token else ""
    error = BusyError(f"{host}: {what}, {wait}: {hint}wait and run it again.")
    error.seconds = seconds
    return error


def _of_status(
    error: errors.HfHubHTTPError | httpx2.HTTPStatusError, endpoint: str, token: str | None
) -> GenaeError:
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    headers = response.headers if response is not None else {}
    host = httpx2.URL(endpoint).host
    said = clean(getattr(error, "server_message", None) or "", token)
    because = f": {said}" if said else ""
    hint = "" if token else f"; if you have the right, {LOG_IN}"
    if response is not None and status in AGAIN and (asked := response.extensions.get(ASKED, 0)):
        return busy(host, status, asked, token)
    if status == 429:
        return busy(host, status, 0, token)
    from_hub = any(name in headers for name in HUBS_OWN)
    page = "html" in headers.get("content-type", "").lower()
    if not from_hub and (status in ON_THE_WAY or (page and 400 <= status < 500)):
        return _of_the_way(status, endpoint, page)
    if isinstance(error, errors.GatedRepoError):
        return NotAllowedError(f"gated on {host}: ask for access on its page{because}.")
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"{host} has no such revision{because}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(f"{host} has no such model{hint}{because}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return NotFoundError(f"{host} has no such file{because}.")
    if status in AGAIN or status >= 500:
        return UnreachableError(
            f"{host} answers with status {status}{because}{_through(endpoint)}."
        )
    kind, text = KINDS.get(status, (IntegrityError, f"answers with status {status}"))
    if status in (401, 403):
        because += hint
    if not from_hub and status in (403, 404):
        because += _through(endpoint)
    if status == 404 and "x-error-code" not in headers:
        because += f"; is {_named(endpoint)} the address of a hub?"
    return kind(f"{host} {text}{because}{'' if because.endswith('?') else '.'}")


def _of_the_way(status: int, endpoint: str, page: bool) -> GenaeError:
    """An answer in the hub's place: of a proxy, or of a network that wants a login."""
    host = httpx2.URL(endpoint).host
    proxy = network.proxy_of(endpoint)
    if status == 407:
        return _proxy_wants_login(proxy)
    what = "a web page" if page else "something on the way"
    return CutOffError(
        f"{host}: {what} with status {status} came in place of an answer{_through(endpoint)}: "
        f"{BROWSER}{_set_by(endpoint)}."
    )


def _proxy_wants_login(proxy: tuple[str, str] | None) -> CutOffError:
    variable, address = proxy or ("HTTPS_PROXY", "on the way")
    return CutOffError(
        f"the proxy {address} ({variable}) wants a name and password (407 Proxy Authentication "
        f"Required): {variable}=http://NAME:PASSWORD@HOST:PORT, or unset it."
    )


def _no_json(error: json.JSONDecodeError, endpoint: str) -> GenaeError:
    """A successful answer that is not JSON: a page for people, or a broken answer."""
    host = httpx2.URL(endpoint).host
    if error.doc.lstrip("\ufeff \t\r\n").startswith("<"):
        return CutOffError(
            f"{host}: a web page came where JSON was asked for{_through(endpoint)}: "
            f"{BROWSER}{_set_by(endpoint)}."
        )
    what = "is empty" if not error.doc.strip() else "is no JSON, or broken off"
    reason = clean(error.msg, None).removesuffix(" at")
    return no_answer(
        f"{host}: its answer {what} ({reason}, character {error.pos})"
        f"{_through(endpoint)}; try again later{_set_by(endpoint)}."
    )


def _unreachable(
    error: httpx2.HTTPError, chain: Sequence[BaseException], endpoint: str, token: str | None
) -> GenaeError:
    """Why no answer came, and from whom none."""
    host = httpx2.URL(endpoint).host
    reason = clean(str(error), token) or type(error).__name__
    proxy = network.proxy_of(endpoint)
    if isinstance(error, httpx2.ProxyError):
        if "407" in reason:
            return _proxy_wants_login(proxy)
        variable, address = proxy or ("the environment", "a proxy")
        return CutOffError(
            f"the proxy {address} ({variable}) does not let through to {host}: {reason}."
        )
    if (broken := _first(chain, ssl.SSLError)) is not None:
        return _no_trust(broken, endpoint)
    if not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return UnreachableError(f"{host} cannot be reached{_through(endpoint)}: {reason}.")
    unknown = _first(chain, socket.gaierror)
    if unknown is not None:
        reason = f"no such host is known ({clean(unknown.strerror or reason, token)})"
    if proxy is None:
        if (target := _target(error)) not in ("", host):
            return CutOffError(
                f"{host} redirects to {target}, which cannot be reached: {reason}; if it is the "
                "login page of your network, log in with a browser first."
            )
        return CutOffError(f"{host} cannot be reached: {reason}{_set_by(endpoint)}.")
    variable, address = proxy
    if unknown is not None and network.is_bare_word(variable):
        return SettingError(
            f"{variable} is {os.environ[variable]!r}, and there is no such proxy: give its "
            "address, such as http://proxy.example:3128, or unset it."
        )
    return CutOffError(f"the proxy {address} ({variable}) cannot be reached: {reason}.")


def _target(error: httpx2.HTTPError) -> str:
    """The host that a request was for, as far as it is known."""
    try:
        return error.request.url.host
    except RuntimeError:
        return ""


def _no_trust(error: ssl.SSLError, endpoint: str) -> GenaeError:
    host = httpx2.URL(endpoint).host
    reason = clean(getattr(error, "verify_message", "") or error.reason or str(error), None)
    if isinstance(error, ssl.SSLCertVerificationError):
        name = network.certificates()
        own = f"{name} is {os.environ[name]!r}" if name else "SSL_CERT_FILE names others to trust"
        return CutOffError(
            f"{host}: its certificate is not trusted ({reason}){_through(endpoint)}; {own}."
        )
    return CutOffError(
        f"{host}: no encrypted connection ({reason}){_through(endpoint)}: it may not speak "
        f"https{_set_by(endpoint)}."
    )


def _first(chain: Sequence[BaseException], kind: type[E]) -> E | None:
    return next((link for link in chain if isinstance(link, kind)), None)


def _through(endpoint: str) -> str:
    """Which proxy a request went through, for a message."""
    proxy = network.proxy_of(endpoint)
    return f" (through the proxy {proxy[1]} of {proxy[0]})" if proxy else ""


def _set_by(endpoint: str) -> str:
    """The variable that names the hub, where one does."""
    own = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    return f"; HF_ENDPOINT is {bare(own)!r}" if own and own == endpoint.rstrip("/") else ""


def _named(endpoint: str) -> str:
    return f"{bare(endpoint)}{' (HF_ENDPOINT)' if _set_by(endpoint) else ''}"
