"""Objects from a card's tables, by a name and the settings of their classes."""

import inspect
from collections.abc import Mapping
from typing import Any

from zoo.errors import UsageError
from zoo.hints import did_you_mean


def build(table: Mapping[str, Any], key: str, kinds: Mapping[str, Any], what: str) -> Any:
    """The object that a table describes.

    Args:
        table: the name under `key`, and arguments of its class.
        key: where the name is.
        kinds: classes by name.
        what: they are, in words.

    Raises:
        UsageError: naming the class, the argument and what is known.
    """
    settings = dict(table)
    name = settings.pop(key, None)
    if str(name) not in kinds:
        raise UsageError(f"no {what} is called {name!r}. {did_you_mean(str(name), kinds)}")
    known = inspect.signature(kinds[name]).parameters
    for each in settings:
        if each not in known:
            raise UsageError(
                f"{key} {name!r} has no setting {each!r}. {did_you_mean(each, known)}"
            )
    for each, parameter in known.items():
        if parameter.default is parameter.empty and each not in settings:
            raise UsageError(f"{key} {name!r} needs {each}; set it")
    return kinds[name](**settings)
