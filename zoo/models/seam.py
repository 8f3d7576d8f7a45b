"""The seam to the registry: what makes `from_pretrained` of genae's classes take ids.

It is put on from outside, on the few base classes, so that modules which travel to the Hub with a
model hold nothing of it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

from transformers.utils import logging

LARGE = 10**9  # bytes of weights; from here on reading takes long enough for a bar

#: Whether names are folders that were found and checked already.
_FOUND: ContextVar[bool] = ContextVar("found", default=False)


@contextmanager
def found() -> Iterator[None]:
    """For the length of a `with`, names are folders that were checked: nothing is asked again."""
    token = _FOUND.set(True)
    try:
        yield
    finally:
        _FOUND.reset(token)


@contextmanager
def without_bar(folder: Any) -> Iterator[None]:
    """For the length of a `with`, transformers draws no bar while it reads a small model."""
    shown = logging.is_progress_bar_enabled()
    files = Path(folder).glob("*.safetensors")
    if not shown or sum(file.stat().st_size for file in files) >= LARGE:
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def install(classes: Iterable[type], find: Callable[..., str]) -> None:
    """Let classes, and all that derive from the same base of genae's, load by id.

    Args:
        classes: models, configurations, processors and tokenizers, each with `from_pretrained`.
        find: `(name, revision) -> folder`; called once for a model, its configuration included.
    """
    for base in dict.fromkeys(map(_base, classes)):
        base.from_pretrained = _by_id(base.from_pretrained.__func__, find)  # type: ignore[attr-defined]


def _base(kind: type) -> type:
    """The farthest ancestor of a class that is genae's."""
    own = [one for one in kind.__mro__ if one.__module__.startswith(f"{__package__}.")]
    return next(one for one in reversed(own) if hasattr(one, "from_pretrained"))


def _by_id(load: Callable[..., Any], find: Callable[..., str]) -> "classmethod[Any, ..., Any]":
    @wraps(load)
    def from_pretrained(
        cls: type, name: Any, *args: Any, revision: str | None = None, **kwargs: Any
    ) -> Any:
        place = name if _FOUND.get() else find(name, revision)
        with found(), without_bar(place):
            return load(cls, place, *args, revision=revision or "main", **kwargs)

    return classmethod(from_pretrained)
