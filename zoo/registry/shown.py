"""What is shown to people of addresses, servers' messages and substitutions.

Standard library only.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import (
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    RedirectError,
    SettingError,
    UnreachableError,
    UsageError,
)

MESSAGE_CHARACTERS = 500
_LOG = logging.getLogger("zoo.registry")
_TOLD: set[str] = set()


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


def no_answer(text: str) -> IntegrityError:
    """The error for an answer that no hub would give, whatever it was asked."""
    error = IntegrityError(text)
    error.answer = True
    return error


def says_nothing(error: GenaeError) -> bool:
    """Whether an error is about the way to a hub, not about a model: the cache may serve."""
    kinds = (UnreachableError, RedirectError, SettingError, MissingDependencyError)
    return isinstance(error, kinds) or getattr(error, "answer", False)


def notice(text: str) -> None:
    """Say on stderr, once in a process, that something else than what was asked is done.

    It is a warning of the logger `zoo.registry`, for those who want it elsewhere.
    """
    if text not in _TOLD:
        _TOLD.add(text)
        _LOG.warning("genae: %s", text)


@contextlib.contextmanager
def file_errors(url: str) -> Iterator[None]:
    """Turn what a file system raises within it into errors of genae's.

    Raises:
        NotAllowedError: no permission.
        UsageError: an address or argument that it does not take.
        UnreachableError: anything else; a local disk's own errors go through.
    """
    try:
        yield
    except (GenaeError, ImportError, FileNotFoundError, FileExistsError):
        raise
    except PermissionError as error:
        raise NotAllowedError(f"{bare(url)}: no permission ({error}).") from None
    except ValueError as error:
        raise UsageError(f"{bare(url)}: {' '.join(str(error).split())}") from None
    except OSError as error:
        if error.errno is not None and isinstance(error.strerror, str) and Path(url).is_absolute():
            raise  # the disk's own message, such as that it is full
        raise UnreachableError(
            f"{bare(url)} cannot be reached: {' '.join(str(error).split())[:500]}"
        ) from None
    except Exception as error:  # each file system has errors of its own
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        raise UnreachableError(f"{bare(url)} cannot be reached: {reason}") from None
