"""Operations that stand as layers in a file, or that a Lambda is said to be: a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from convert.layers import shapes as of
from convert.layers.activations import HARD_SIGMOID_SLOPES, LAYERS, NAMES
from convert.layers.kinds.elementwise import TABLE as ELEMENTWISE
from convert.layers.kinds.shaping import TABLE as SHAPING
from convert.layers.options import (
    Key,
    Keys,
    all_axes,
    axes,
    axis,
    choice,
    constant,
    exact,
    flag,
    maybe,
    number,
    off,
    pairs,
    single,
    size,
    slices,
    target_shape,
    whole_numbers,
)
from convert.layers.rows import Kind, Options, Shape, same_shape

MANY = (1, of.MANY)
TWO = (2, 2)


def _row(
    compute: str,
    shape: Any = same_shape,
    keys: Keys | None = None,
    inputs: tuple[int, int] = (1, 1),
    **more: Any,
) -> Kind:
    return Kind(compute, keys or {}, shape, inputs=inputs, mask="stop", **more)


def _named(compute: str, name: str, shape: Any, keys: Keys, inputs: tuple[int, int]) -> Kind:
    """One of several functions that are computed alike."""
    function = {"function": name}
    return _row(compute, shape, keys, inputs, settings=lambda options, shapes: function)


def _activation(keys: Keys, make: Any) -> Kind:
    """A function of Keras, which stands for the layer `Activation`."""
    hidden = {name: replace(key, hidden=True) for name, key in keys.items()}
    return _row(
        "activation",
        keys=hidden,
        settings=lambda options, shapes: {"activation": make(options)},
    )


#: How the numbers of activations are read.
NUMBERS: Mapping[str, Any] = {
    "axis": axis, "alpha": number, "slope": single, "threshold": number, "approximate": flag,
}  # fmt: skip


def _of_name(name: str) -> Kind:
    plain = NAMES[name]
    keys = {key: Key(NUMBERS[key], value) for key, value in plain.items() if key != "name"}
    return _activation(keys, lambda options: plain | {key: options[key] for key in keys})


def _kind_of_number(value: Any, keras: int = 2) -> str:
    beginnings = {"float": "float", "bfloat": "float", "half": "float", "int": "int",
                  "uint": "int", "bool": "bool"}  # fmt: skip
    for beginning, kind in beginnings.items():
        if isinstance(value, str) and value.lower().startswith(beginning):
            return kind
    raise ValueError("a type of numbers")


def _border(value: Any, keras: int = 2) -> str:
    word = value.lower() if isinstance(value, str) else value
    return str(choice("constant", "reflect", "symmetric")(word, keras))


def _to_size(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    height, width = options["size"]
    return [(shapes[0][0], height, width, shapes[0][3])]


def _resized(options: Options, shapes: Sequence[Shape]) -> dict[str, Any]:
    height, width = options["size"]
    return {"height": height, "width": width, "channels_first": False}


def _pair(value: Any, keras: int = 2) -> list[int]:
    found = whole_numbers(value)
    if len(found) != 2:
        raise ValueError("height and width")
    return found


def _sections(value: Any, keras: int = 2) -> Any:
    return value if value is None else (whole_numbers if isinstance(value, list) else size)(value)


def _last(value: Any, keras: int = 2) -> int:
    if value not in (None, -1):
        raise ValueError("the last axis; another is not supported")
    return -1


_AXIS = {"axis": Key(axis)}
_AXES = {"axis": Key(all_axes, None, "axes")}
_KEEP = {"keepdims": Key(flag, False)}
_CONSTANTS = {of.CONSTANTS: Key(constant, None)}
_BLOCK = {"block": Key(size)}

FUNCTIONS = (
    "exp expm1 log log1p sqrt rsqrt square abs negative reciprocal sign floor ceil round sin cos "
    "erf logical_not zeros_like ones_like"
).split()
PAIRS = (
    "add subtract multiply divide floor_divide mod power maximum minimum squared_difference "
    "absolute_difference equal not_equal greater greater_equal less less_equal logical_and "
    "logical_or"
).split()
REDUCTIONS = "mean sum max min any all variance std logsumexp".split()

#: By genae's own names of them; what others call them stands in `convert.layers.spelling`.
OPERATIONS: dict[str, Kind] = {
    **{name: _named("function", name, same_shape, {}, (1, 1)) for name in FUNCTIONS},
    **{name: _named("arithmetic", name, of.together, _CONSTANTS, TWO) for name in PAIRS},
    **{name: _named("reduce", name, of.reduced, {**_AXES, **_KEEP}, (1, 1))
       for name in REDUCTIONS},
    **{name: _of_name(name) for name in NAMES},
    "relu": _activation(*LAYERS["ReLU"]),
    "hard_sigmoid": _activation(
        {"slope": Key(lambda value, keras: HARD_SIGMOID_SLOPES[keras], None)},
        lambda options: {"name": "hard_sigmoid", "slope": options["slope"]},
    ),
    "identity": _row("identity"),
    "where": _row("where", of.together, _CONSTANTS, (3, 3)),
    "matmul": _row(
        "matmul", of.multiplied,
        {"transpose_a": Key(flag, False), "transpose_b": Key(flag, False),
         **{name: Key(off, False, hidden=True) for name in ("adjoint_a", "adjoint_b")}},
        TWO,
    ),
    "add_n": _row("add", of.together, inputs=MANY),
    "argmax": _row("index_of_largest", of.without_axis, {**_AXIS, "keepdims": Key(off, False)},
                   settings=lambda options, shapes: {"smallest": False}),
    "argmin": _row("index_of_largest", of.without_axis, {**_AXIS, "keepdims": Key(off, False)},
                   settings=lambda options, shapes: {"smallest": True}),
    "cumsum": _row("sum_so_far", of.checked,
                   {**_AXIS, "exclusive": Key(off, False), "reverse": Key(off, False)}),
    "reshape": _row("reshape_all", of.reshaped, {"shape": Key(target_shape)}),
    "flatten": SHAPING["Flatten"],
    "transpose": _row("transpose", of.turned, {"axes": Key(maybe(axes), None)}),
    "expand_dims": _row("expand_dims", of.expanded, _AXIS),
    "squeeze": _row("squeeze", of.squeezed, _AXES),
    "concatenate": _row("concatenate", of.joined, {"axis": Key(axis, -1)}, MANY),
    "stack": _row("stack", of.stacked, {"axis": Key(axis, 0)}, MANY),
    "split": _row(
        "split", of.split,
        {"axis": Key(axis, 0), "number": Key(maybe(size), None, hidden=True),
         "sections": Key(_sections, None, hidden=True)},
        settings=lambda options, shapes: {"sizes": of.parts(options, shapes)},
    ),
    "unstack": _row("unstack", of.unstacked,
                    {"axis": Key(axis, 0), "number": Key(maybe(size), None, hidden=True)}),
    "slice": _row("take", of.taken, {"slices": Key(slices)}),
    "clip": _row("clip", keys={"low": Key(number), "high": Key(number)}),
    "cast": _row("cast", keys={"to": Key(_kind_of_number)}),
    "pad": _row("pad_all", of.padded, {"pads": Key(pairs), "mode": Key(_border, "constant"),
                                       "value": Key(number, 0.0)}),
    "tile": _row("tile", of.tiled, {"times": Key(whole_numbers)}),
    "repeat": _row("repeat_each", of.repeated, {"times": Key(size), **_AXIS}),
    "reverse": _row("flip", of.checked_all, {"axis": Key(all_axes, name="axes")}),
    "one_hot": _row("one_hot", lambda options, shapes: [(*shapes[0], options["depth"])],
                    {"depth": Key(size), "axis": Key(_last, -1, hidden=True)}),
    "l2_normalize": _row("l2_normalize", of.checked_all,
                         {**_AXES, "epsilon": Key(number, 1e-12)}),
    "resize": _row(
        "resize", _to_size,
        {"size": Key(_pair, hidden=True), "interpolation": Key(choice("nearest", "bilinear"),
                                                               "bilinear"),
         "preserve_aspect_ratio": Key(off, False, hidden=True),
         "antialias": Key(off, False, hidden=True),
         "data_format": Key(choice("channels_last"), "channels_last", hidden=True)},
        rank=(4,), settings=_resized,
    ),
    "depth_to_space": _row("depth_to_space", of.blocks(False), _BLOCK, rank=(4,)),
    "space_to_depth": _row("space_to_depth", of.blocks(True), _BLOCK, rank=(4,)),
    # What people wrote as Lambdas, and no library has as one function.
    "sampling": _row("sampling"),
    "rescale": _row("rescale", ELEMENTWISE["Rescaling"].shape,
                    {"scale": Key(exact, 1.0), "offset": Key(exact, 0.0)}),
    "add_scaled": _row("add_scaled", of.together, {"scale": Key(number)}, TWO),
    "distance": _row(
        "distance", lambda options, shapes: of.reduced(
            {"axes": [options["axis"]], "keepdims": options["keepdims"]},
            of.together({}, shapes)),
        {"axis": Key(axis, -1), "keepdims": Key(flag, True), "epsilon": Key(number, 1e-7)}, TWO,
    ),
}  # fmt: skip
