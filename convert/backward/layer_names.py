"""Names of layers that a version of Keras cannot have, and those that they get there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from convert.layers.form import Architecture, Call, Layer, Reference

#: What may not stand in a name: Keras 2's are scopes of TensorFlow's, Keras 3's parts of a path.
STRANGE = {2: re.compile(r"^(?=[^A-Za-z0-9.])|[^A-Za-z0-9_.\\/>-]"), 3: re.compile(r"/")}
FIRST = "layer"  # before a name that begins with what it may not


def renamed(model: Architecture, keras: int) -> tuple[Architecture, dict[str, str]]:
    """The same model under names that a version can have.

    Args:
        model: any.
        keras: the version, 2 or 3.

    Returns:
        A copy, and the names that changed, with the new ones.
    """
    changed: dict[str, str] = {}
    return _model(model, STRANGE[keras], changed), changed


def _model(model: Architecture, strange: re.Pattern[str], changed: dict[str, str]) -> Architecture:
    names = _names([layer.name for layer in model.layers], strange)
    changed |= {name: new for name, new in names.items() if name != new}

    def moved(one: Reference) -> Reference:
        return replace(one, layer=names[one.layer])

    return replace(
        model,
        name=_name(model.name, strange),
        layers=[
            _layer(layer, names[layer.name], strange, changed, moved) for layer in model.layers
        ],
        inputs=[*map(moved, model.inputs)],
        outputs=[*map(moved, model.outputs)],
    )


def _layer(
    layer: Layer,
    name: str,
    strange: re.Pattern[str],
    changed: dict[str, str],
    moved: Callable[[Reference], Reference],
) -> Layer:
    return replace(
        layer,
        name=name,
        calls=[
            Call(
                tuple(map(moved, call.inputs)),
                {role: tuple(map(moved, given)) for role, given in call.roles.items()},
                call.arguments,
            )
            for call in layer.calls
        ],
        model=None if layer.model is None else _model(layer.model, strange, changed),
        inner={
            key: replace(
                one,
                name=_name(one.name, strange),
                model=None if one.model is None else _model(one.model, strange, changed),
            )
            for key, one in layer.inner.items()
        },
    )


def _name(name: str, strange: re.Pattern[str]) -> str:
    return strange.sub(lambda match: "_" if match[0] else FIRST, name)


def _names(names: Sequence[str], strange: re.Pattern[str]) -> dict[str, str]:
    """A name for each, its own where it can be."""
    found = {name: name for name in names if not strange.search(name)}
    taken = set(found)
    for name in names:
        if name not in found:
            plain = _name(name, strange)
            numbered = (
                f"{plain}_{number}" if number else plain for number in range(len(names) + 1)
            )
            found[name] = next(one for one in numbered if one not in taken)
            taken.add(found[name])
    return found
