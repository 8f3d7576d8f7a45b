"""Models at the door: what names one can name its version and place, and is looked up first.

Every verb with a parameter shown as MODEL takes `ID@VERSION` and `--from PLACE`. A verb that reads
`source` itself does so itself; for the others the option is added here, and their models are found
before torch is imported.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from zoo import hints
from zoo.cli.common import From

#: How parameters that name a model are shown.
MODEL = "MODEL"


def with_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb's function with the option `--from`, if it names a model and has none."""
    signature = inspect.signature(function, eval_str=True)
    named = any(map(_is_model, map(_info, signature.parameters.values())))
    if not named or any(p.annotation == From for p in signature.parameters.values()):
        return function

    @wraps(function)
    def verb(asked_place: str | None = None, **given: Any) -> Any:
        return function(**given)

    place = inspect.Parameter(
        "asked_place", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=From
    )
    parameters = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()
    ]
    verb.__signature__ = signature.replace(parameters=[*parameters, place])  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in (*parameters, place)}
    verb.at_the_door = True  # type: ignore[attr-defined]
    return verb


def looks_up(function: Any) -> bool:
    """Whether the models of a verb's function are found at the door."""
    return getattr(function, "at_the_door", False)


def _info(parameter: inspect.Parameter) -> Any:
    """What typer is told of a parameter, None if nothing."""
    return next(iter(getattr(parameter.annotation, "__metadata__", ())), None)


def _is_model(shown: Any) -> bool:
    return (getattr(shown, "metavar", None) or "").strip("[].") == MODEL


def models_of(context: Any) -> list[str]:
    """The models that a call names, in order."""
    found: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name)
        if _is_model(parameter) and value is not None:
            found += map(str, value if isinstance(value, list | tuple) else [value])
    return found


@contextlib.contextmanager
def looked_up(context: Any) -> Iterator[None]:
    """Find the models that a call names; each means what was found until the call ends.

    Raises:
        NotFoundError: there is no such model, or it is not at this place.
    """
    from zoo.registry import embedded, names, transfer

    source = context.params["asked_place"]
    told: dict[str, tuple[str, str | None]] = {}
    with transfer.once(), hints.found(told):
        for model in models_of(context):
            here = names.here(model) is not None and source is None
            if here or (source is None and embedded.owns(model)):
                continue
            transfer.means(model, transfer.locate(model, source=source))
            told[model] = (model, source)
        yield
