"""What the environment says of the way to a hub: proxies, certificates, waiting times.

The HTTP library makes the transport of every proxy that is named before the first request, so a
variable that it cannot use would stop requests that take another way. Here such a proxy is an
error when a request would go through it, and only then.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import httpx2

from zoo.errors import GenaeError, MissingDependencyError, SettingError
from zoo.registry.hub import private
from zoo.registry.shown import bare, clean

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
STILL = "a model in the cache is still to be had"


def make_client(before: Callable[[], httpx2.Client]) -> httpx2.Client:
    """The client that `before` makes, or one whose unusable proxies fail when they are used.

    Raises:
        SettingError: a variable names certificates that are not there.
    """
    _check_certificates()
    try:
        return before()
    except (ImportError, ValueError, httpx2.InvalidURL):
        return httpx2.Client(
            transport=httpx2.HTTPTransport(trust_env=True),
            mounts={key: _transport(value) for key, value in _proxies().items()},
            event_hooks={"request": [private.request_hook]},
            follow_redirects=True,
            timeout=None,
        )


def proxy_of(url: str) -> tuple[str, str] | None:
    """The proxy that an address is reached by: the variable that names it, and its address."""
    try:
        target = httpx2.URL(url)
        patterns = sorted((private.URLPattern(key), value) for key, value in _proxies().items())
    except (httpx2.InvalidURL, TypeError):
        return None
    for pattern, value in patterns:
        if pattern.matches(target):
            return None if value is None else (_variable(value), hidden(value))
    return None


def hidden(address: str) -> str:
    """A proxy's address without name and password, as short as it was given."""
    return bare(address if "://" in address else f"http://{address}")


def is_bare_word(variable: str) -> bool:
    """Whether a variable of a proxy contains a word with neither scheme, dot nor port."""
    value = os.environ.get(variable, "")
    return bool(value) and not set(value) & set(":./")


def certificates() -> str:
    """The variable that names certificates, empty if none does."""
    return next((name for name in CERTIFICATES if os.environ.get(name)), "")


def _proxies() -> dict[str, str | None]:
    return private.environment_proxies()


def _variable(address: str) -> str:
    """The variable that names a proxy, in the spelling that counts."""
    for scheme in ("http", "https", "all"):
        names = [name for name in os.environ if name.lower() == f"{scheme}_proxy"]
        for name in sorted(names, key=str.islower, reverse=True):
            value = os.environ[name]
            if value and address in (value, f"http://{value}"):
                return name
    return "the system's settings"


def _transport(address: str | None) -> httpx2.BaseTransport | None:
    if address is None:
        return None
    try:
        return httpx2.HTTPTransport(proxy=httpx2.Proxy(url=address), trust_env=True)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        return _Refusing(_unusable(address, error))


def _unusable(address: str, error: Exception) -> GenaeError:
    """Why a proxy cannot be used, and what to do."""
    variable, shown = _variable(address), hidden(address)
    if isinstance(error, ImportError):
        return MissingDependencyError(
            f"{variable} names a SOCKS proxy ({shown}), which needs a package that is not "
            f'installed: pip install "httpx2[socks]" (it brings socksio), or unset it; {STILL}.'
        )
    scheme = address.partition("://")[0]
    known = ("http", "https", "socks5", "socks5h")
    reason = clean(str(error), None) if scheme in known else f"it is none of {', '.join(known)}"
    return SettingError(
        f"{variable} is {shown!r}, which is no proxy that can be used ({reason}): correct it, "
        f"such as http://proxy.example:3128, or unset it; {STILL}."
    )


def _check_certificates() -> None:
    """Refuse variables that name certificates which cannot be read."""
    name = certificates()
    if not name:
        return
    value = os.environ[name]
    reason = ""
    if name == "SSL_CERT_DIR":
        if not any(os.path.isdir(part) for part in value.split(os.pathsep)):
            reason = "is no folder"
    else:
        try:
            ssl.create_default_context(cafile=value)
        except (OSError, ValueError) as error:
            reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if reason:
        raise SettingError(
            f"{name} is {value!r}, which {reason}: name the certificates to trust, or unset it; "
            f"{STILL}."
        )


class _Refusing(httpx2.BaseTransport):
    """The way through a proxy that cannot be used."""

    def __init__(self, error: GenaeError) -> None:
        self.error = error

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Refuse it."""
        raise type(self.error)(str(self.error))
