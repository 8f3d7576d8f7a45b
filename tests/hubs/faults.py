"""What can go wrong on the way, as data: which requests, how often, and what happens."""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Status:
    """Another status in place of the answer; the request is not carried out."""

    code: int
    headers: dict = field(default_factory=dict)
    body: bytes | Iterable[bytes] | Callable[[], Iterable[bytes]] = b"{}"


@dataclass(frozen=True)
class Drop:
    """The connection ends before any answer; the request is not carried out."""


@dataclass(frozen=True)
class Lost:
    """The request is carried out, and the connection ends without an answer."""


@dataclass(frozen=True)
class Cut:
    """The right headers, so many bytes of the body, and the connection ends."""

    after: int


@dataclass(frozen=True)
class Flip:
    """One bit of this byte of the body is flipped."""

    at: int


@dataclass(frozen=True)
class Resize:
    """The body is longer (or, below zero, shorter) by so many bytes, and says so."""

    by: int


@dataclass(frozen=True)
class Swap:
    """Another body of the same length."""


@dataclass(frozen=True)
class IgnoreRange:
    """The whole file, whatever part was asked for."""


@dataclass(frozen=True)
class Hang:
    """Nothing for so many seconds, then the right answer."""

    seconds: float


@dataclass(frozen=True)
class Trickle:
    """The right answer, so many bytes a second."""

    rate: float


@dataclass(frozen=True)
class Headers:
    """Other headers; None removes one."""

    change: dict


@dataclass(frozen=True)
class Edit:
    """A function of the right JSON answer in its place."""

    change: Callable[[Any], Any]


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        match: a pattern found in `METHOD /path`.
        action: one of the classes above.
        times: how often; None for always.
        skip: matching requests that pass before.
    """

    match: str
    action: Any
    times: int | None = 1
    skip: int = 0


_LOCK = threading.Lock()


def take(faults: list[Fault], request: str) -> Any:
    """The action for a request, used up; None if all goes well."""
    with _LOCK:
        for fault in faults:
            if not re.search(fault.match, request) or fault.times == 0:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault.action
    return None
