"""From a call of an operation, however it is written down, to a row of the table of operations."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convert.layers.form import Call, Layer, Reference
from convert.layers.kinds import KINDS
from convert.layers.kinds.operations import OPERATIONS
from convert.layers.meanings import WHICH, Meaning, Meanings
from convert.layers.rows import Kind
from convert.layers.shapes import CONSTANTS
from convert.layers.spelling import (
    ARGUMENTS,
    CONSTANT_ARGUMENTS,
    NODE,
    TENSORS,
    arguments,
    operation,
)

MASKS = re.compile(r"(\w+_)?mask")  # tensors that a layer is given besides

MASKS_OF_SLICES = "begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask".split()

#: Attributes of a node of TensorFlow's graph that say what it computes.
ATTRIBUTES = [
    *"keep_dims squeeze_dims axis num num_split transpose_a transpose_b adj_x adj_y".split(),
    *"block_size mode DstT alpha exclusive reverse".split(),
    *MASKS_OF_SLICES,
]


def roles_of(layer: Layer) -> tuple[str, ...]:
    """Names of the tensors behind the first, where a layer takes them by name."""
    row = KINDS.get(layer.inner.get("layer", layer).kind)
    return row.roles if row else ()


def operands(layer: Layer, call: Call) -> list[Reference]:
    """Tensors that go into a layer: its inputs, then those given by name in its order."""
    first = [name for name in roles_of(layer) if name in call.roles]
    names = first + [name for name in call.roles if name not in first]
    return [*call.inputs, *(one for name in names if not MASKS.fullmatch(name)
                            for one in call.roles[name])]  # fmt: skip


def find(path: str, layer: Layer, meanings: Meanings) -> tuple[Kind, Meaning | None] | None:
    """The row of an operation, and what a person said that it is; nothing of other layers."""
    if layer.kind in KINDS:
        return None
    word = operation(layer.kind)
    if word in OPERATIONS:
        return OPERATIONS[word], None
    meaning = meanings.of(path, layer)
    return None if meaning is None else (OPERATIONS[meaning.operation], meaning)


def bind(
    layer: Layer, call: Call, row: Kind, meaning: Meaning | None
) -> tuple[Layer, list[Reference]]:
    """The operation's options, under the names of its row, and the tensors that it takes.

    Raises:
        ValueError: something in the call is not known.
    """
    if meaning is not None:
        return _said(layer, call, row, meaning)
    if layer.kind.startswith(NODE):
        tensors, constants, named = _of_node(layer, call, row)
    else:
        tensors, constants, named = _of_call(layer, call, row)
    options = arguments(named, row.keys)
    if CONSTANTS in row.keys and any(one is not None for one in constants):
        options[CONSTANTS] = constants
    return replace(layer, options=options), tensors


def _said(layer: Layer, call: Call, row: Kind, meaning: Meaning) -> tuple[Layer, list[Reference]]:
    """Of what a person said; the file's own arguments hold where nothing else is said."""
    inside = layer.options.get("arguments")
    own = inside if isinstance(inside, Mapping) else layer.options
    known = {
        name: value
        for name, value in own.items()
        if row.keys.keys() & {name, *ARGUMENTS.get(name, ())}
    }
    given = {name: value for name, value in meaning.arguments.items() if name != WHICH}
    tensors = [*call.inputs, *_by_name(call)]
    if (which := meaning.which) is not None:
        if which >= len(tensors):
            raise ValueError(f"{len(tensors)} tensors go in, and none of them is number {which}")
        tensors = [tensors[which]]
    options = arguments(known, row.keys) | arguments(given, row.keys)
    return replace(layer, options=options), tensors


def _by_name(call: Call) -> list[Reference]:
    """Tensors given by name, in the order in which operations take them."""
    names = [name for name in TENSORS if name in call.roles]
    names += [name for name in call.roles if name not in names and not MASKS.fullmatch(name)]
    return [one for name in names for one in call.roles[name]]


def _of_call(
    layer: Layer, call: Call, row: Kind
) -> tuple[list[Reference], list[Any], dict[str, Any]]:
    """Of a function of tf.keras, or of an operation of Keras 3: tensors, constants, arguments."""
    count = row.inputs[1] if CONSTANTS in row.keys else 0
    left = list(call.inputs)
    tensors: list[Reference] = []
    constants: list[Any] = []
    named = {**layer.options, **{k: v for k, v in call.arguments.items() if not k.isdigit()}}
    for place in range(count):
        if str(place) in call.arguments:
            constants.append(call.arguments[str(place)])
        elif left:
            tensors.append(left.pop(0))
            constants.append(None)
    for name in TENSORS if count else ():
        if name in call.roles:
            tensors += call.roles[name]
            constants += [None] * len(call.roles[name])
        elif name in named and len(constants) < count:
            constants.append(named.pop(name))
    behind = [int(place) for place in call.arguments if place.isdigit() and int(place) >= count]
    first = count or 1
    free = [name for name in row.keys if name != CONSTANTS]
    for place in sorted(behind):
        if not first <= place < first + len(free):
            raise ValueError(f"argument {place} is not supported")
        named[free[place - first]] = call.arguments[str(place)]
    if not count:
        tensors = [*left, *_by_name(call)]
    return tensors, constants, named


def _of_node(
    layer: Layer, call: Call, row: Kind
) -> tuple[list[Reference], list[Any], dict[str, Any]]:
    """Of a node of TensorFlow's graph: constants by their places, attributes by name."""
    node, fixed = layer.options.get("node_def"), layer.options.get("constants")
    found = node.get("attr") if isinstance(node, Mapping) else None
    named = {name: _attribute(value) for name, value in found.items() if name in ATTRIBUTES} if (
        isinstance(found, Mapping)
    ) else {}  # fmt: skip
    given = {
        int(place): value
        for place, value in (fixed.items() if isinstance(fixed, Mapping) else ())
        if str(place).isdigit()
    }
    tensors = list(call.inputs)
    total = len(tensors) + len(given)
    constants = [given.get(place) for place in range(total)]
    if CONSTANTS not in row.keys:
        names = CONSTANT_ARGUMENTS.get(operation(layer.kind) or "", ())
        places = sorted(given)
        if len(places) > len(names):
            raise ValueError("takes constants that are not supported")
        named |= dict(zip(names, (given[place] for place in places), strict=False))
    if "strides" in named:
        named = {"slices": _strided(named)}
    return tensors, constants, named


def _attribute(value: Any) -> Any:
    """A value of a protocol buffer as JSON writes it."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(listed := value.get("list"), Mapping):
        return [int(one) for one in listed.get("i", ())] or None
    if "type" in value:
        return str(value["type"]).removeprefix("DT_").lower()
    if "i" in value:
        return int(value["i"])
    if "s" in value:
        return base64.b64decode(str(value["s"])).decode("ascii", "replace")
    return value.get("b", value.get("f", False))


def _strided(named: Mapping[str, Any]) -> list[Any]:
    """Slices from their ends, and the bits that say which of them count."""
    ends = [named[name] for name in ("begin", "end", "strides")]
    masks = [named.get(name) or 0 for name in MASKS_OF_SLICES]
    if any(not isinstance(one, list) for one in ends):
        raise ValueError("slices without ends")
    found: list[Any] = []
    for place, (begin, end, step) in enumerate(zip(*ends, strict=True)):
        begins, stops, dots, new, single = (bool(int(mask) >> place & 1) for mask in masks)
        whole = [None if begins else begin, None if stops else end, step]
        found.append("..." if dots else "new" if new else begin if single else whole)
    return found
