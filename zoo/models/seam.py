"""The seam to the registry: what makes `from_pretrained` of genae's classes take ids.

It is put on from outside, on the few base classes, so that modules which travel to the Hub with a
model hold nothing of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from inspect import signature
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
def without_bars() -> Iterator[None]:
    """Draw no bar of transformers; a user's own hook and settings stay."""

    def silent(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return factory(*args, **{**kwargs, "disable": True})

    if not hasattr(logging, "set_tqdm_hook"):  # not in transformers 5.0
        yield
        return
    before = logging.set_tqdm_hook(silent)
    if before is not None:
        logging.set_tqdm_hook(before)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def without_bar(place: str | os.PathLike[str]) -> AbstractContextManager[None]:
    """Draw no bar over the weights of a small model.

    Args:
        place: the model's folder; what is none keeps the bars of its download.
    """
    size = sum(file.stat().st_size for file in Path(place).glob("*.safetensors"))
    return without_bars() if 0 < size < LARGE else nullcontext()


def install(classes: Iterable[type], find: Callable[..., str], check: Callable[..., None]) -> None:
    """Let classes, and all that derive from the same base of genae's, load by id.

    Args:
        classes: models, configurations, processors and tokenizers, each with `from_pretrained`.
        find: `(name, revision, source=source) -> folder`; called once for a model, its
            configuration included.
        check: `(class, name, folder, subfolder)`, raises where another class is the right one;
            called without a folder before it is looked for, then with it.
    """
    for base in dict.fromkeys(map(_base, classes)):
        base.from_pretrained = _by_id(base.from_pretrained.__func__, find, check)


def publish_by(classes: Iterable[type], publish: Callable[[str], None]) -> None:
    """Let `push_to_hub` of classes do what a function does with the id, on `install`'s bases.

    So does `save_pretrained(folder, push_to_hub=True)`, before it writes anything.
    """

    def push_to_hub(self: Any, repo_id: str, *args: Any, **kwargs: Any) -> None:
        publish(repo_id)

    for base in dict.fromkeys(map(_base, classes)):
        base.push_to_hub = push_to_hub
        base.save_pretrained = _without_push(base.save_pretrained, publish)


def _base(kind: type) -> Any:
    """The farthest ancestor of a class that is genae's."""
    own = [one for one in kind.__mro__ if one.__module__.startswith(f"{__package__}.")]
    return next(one for one in reversed(own) if hasattr(one, "from_pretrained"))


def _by_id(
    load: Callable[..., Any], find: Callable[..., str], check: Callable[..., None]
) -> "classmethod[Any, ..., Any]":
    @wraps(load)
    def from_pretrained(
        cls: type,
        name: Any,
        *args: Any,
        revision: str | None = None,
        source: str | None = None,
        **kwargs: Any,
    ) -> Any:
        if _FOUND.get():
            return load(cls, name, *args, revision=revision or "main", **kwargs)
        folder = kwargs.get("subfolder") or ""
        if source is None:  # whose place alone knows what it is
            check(cls, name, None, folder)
        place = find(name, revision, source=source)
        check(cls, name, place, folder)
        with found(), without_bar(Path(place, folder)):
            return load(cls, place, *args, revision=revision or "main", **kwargs)

    return classmethod(from_pretrained)


def _without_push(save: Callable[..., Any], publish: Callable[[str], None]) -> Callable[..., Any]:
    called = signature(save)

    @wraps(save)
    def save_pretrained(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = called.bind(self, *args, **kwargs).arguments
        more = given.get("kwargs", {})
        if given.get("push_to_hub") or more.get("push_to_hub"):
            publish(more.get("repo_id") or Path(given["save_directory"]).name)
        return save(self, *args, **kwargs)

    return save_pretrained
