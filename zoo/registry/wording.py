"""What goes wrong with a hub, in genae's own words and exit codes, and never with a token."""

from __future__ import annotations

import httpx2
from huggingface_hub import errors

from zoo.errors import (
    ConflictError,
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UnsafeError,
    UsageError,
)

MESSAGE_CHARACTERS = 500
#: Statuses after which asking again may help.
AGAIN = (408, 425, 429, 500, 502, 503, 504)
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


def bare(url: str) -> str:
    """An address without the name or password that may stand in it."""
    head, separator, tail = url.partition("://")
    host, slash, path = tail.partition("/")
    return f"{head}{separator}{host.rpartition('@')[2]}{slash}{path}"


def clean(text: str, token: str | None) -> str:
    """What a server said, fit to be shown: one short line without the token."""
    line = " ".join(text.split())
    if token:
        line = line.replace(token, "(token)")
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[: MESSAGE_CHARACTERS - 3]}..."


def translate(error: BaseException, endpoint: str, token: str | None) -> BaseException:
    """An error of the client, of the HTTP library below it, or of a wrong answer, as ours."""
    seen: BaseException | None = error
    chain: list[BaseException] = []
    while seen is not None and len(chain) < 20:
        chain.append(seen)
        seen = seen.__cause__ or seen.__context__
    for link in chain:
        if isinstance(link, GenaeError):
            return link
    for link in chain:
        if isinstance(link, errors.HfHubHTTPError):
            return _of_status(link, endpoint, token)
    host = httpx2.URL(endpoint).host
    for link in chain:
        if isinstance(link, errors.OfflineModeIsEnabled):
            return UnreachableError(f"{host}: not asked, as HF_HUB_OFFLINE is set.")
        if isinstance(link, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return UnsafeError(f"{host} named an address that is none.")
        if isinstance(link, httpx2.TooManyRedirects):
            return IntegrityError(f"{host}: redirected without end.")
        if isinstance(link, httpx2.HTTPError):
            reason = clean(str(link), token) or type(link).__name__
            return UnreachableError(f"{host} cannot be reached: {reason}.")
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, MemoryError):
        return MissingDependencyError("not enough memory for the hub's answer.")
    reason = clean(f"{type(error).__name__}: {error}", token)
    return IntegrityError(f"{host}: its answer makes no sense ({reason}).")


def _of_status(error: errors.HfHubHTTPError, endpoint: str, token: str | None) -> GenaeError:
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    host = httpx2.URL(endpoint).host
    said = clean(getattr(error, "server_message", None) or "", token)
    because = f": {said}" if said else ""
    hint = "" if token else "; if you have the right, log in (`hf auth login`) or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return NotAllowedError(f"gated on {host}: ask for access on its page{because}.")
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"{host} has no such revision{because}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(f"{host} has no such model{hint}{because}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return NotFoundError(f"{host} has no such file{because}.")
    if status in AGAIN or status >= 500:
        return UnreachableError(f"{host} answers with status {status}{because}.")
    kind, words = KINDS.get(status, (IntegrityError, f"answers with status {status}"))
    return kind(f"{host} {words}{because}{hint if status in (401, 403) else ''}.")
