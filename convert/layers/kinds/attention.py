"""Attention of whole sequences: by products, by sums, with heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.layers.options import NEVER, USE_BIAS, Key, axes, choice, flag, maybe, size, unless_on
from convert.layers.rows import Kind, Options, Shape, ShapeError, Weight, known


def _attended(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of each query a mean of the values, and their weights where they are asked for."""
    found: list[Shape] = [(*shapes[0][:-1], shapes[1][-1])]
    return [*found, (*shapes[0][:-1], shapes[1][-2])] if options["scores"] else found


def _scale(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    return [Weight("scale", ())] if options["use_scale"] else []


def _vector(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    if not options["use_scale"]:
        return []
    return [Weight("scale", known(shapes[0][-1:], "the last axis"))]


def _width(value: Any, keras: int = 2) -> int | None:
    """An output shape of one axis."""
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError("the size of one axis")
        value = value[0]
    return None if value is None else size(value)


def _as_shape(value: int | None, keras: int) -> list[int] | None:
    return None if value is None else [value]


def _heads_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    return [(*shapes[0][:-1], options["output_shape"] or shapes[0][-1])]


def _heads_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    """Kernels (in, heads, size) of queries, keys and values, then (heads, size, out)."""
    query, value, *key = shapes
    heads, width = options["num_heads"], options["key_dim"]
    out_width = options["value_dim"] or width
    sources = {
        "query": (query, width),
        "key": (key[0] if key else value, width),
        "value": (value, out_width),
    }
    found = []
    for name, (shape, inner) in sources.items():
        (wide,) = known(shape[-1:], "the last axis")
        found.append(Weight(f"{name}_kernel", (wide, heads, inner), inside=f"{name}_dense"))
        if options["use_bias"]:
            found.append(Weight(f"{name}_bias", (heads, inner), inside=f"{name}_dense"))
    (wide,) = known(_heads_shape(options, shapes)[0][-1:], "the last axis")
    found.append(Weight("output_kernel", (heads, out_width, wide), inside="output_dense"))
    if options["use_bias"]:
        found.append(Weight("output_bias", (wide,), inside="output_dense"))
    return found


def _along_steps(value: Any, keras: int = 2) -> list[int]:
    if value is not None and axes(value) != [1]:
        raise ValueError("the first axis behind the batch; another is not supported")
    return [1]


def _checked(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    if any(len(shape) != 3 for shape in shapes):
        raise ShapeError("attention is of sequences of vectors")
    found = _heads_shape(options, shapes)
    weights = (shapes[0][0], options["num_heads"], shapes[0][1], shapes[1][1])
    return [*found, weights] if options["scores"] else found


#: What a call may ask for.
SCORES, CAUSAL = "return_attention_scores", "use_causal_mask"
_ASKED = {SCORES: Key(flag, False, "scores"), CAUSAL: Key(flag, False, hidden=True)}


def _causal(options: Options, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Whether a step attends to itself and earlier ones alone: of the layer, or of the call."""
    return {"causal": bool(options.get("causal") or options[CAUSAL])}


_KEYS = {
    "use_scale": Key(flag, False, hidden=True),
    "causal": Key(flag, False, hidden=True, since=NEVER),
}

TABLE = {
    "Attention": Kind(
        "attention",
        {**_KEYS, "score_mode": Key(choice("dot"), "dot", hidden=True, since=NEVER)},
        _attended, _scale, inputs=(2, 3), rank=(3,), mask="attend", arguments=_ASKED,
        settings=_causal,
    ),
    "AdditiveAttention": Kind(
        "additive_attention", {**_KEYS, "use_scale": Key(flag, True, hidden=True)},
        _attended, _vector, inputs=(2, 3), rank=(3,), mask="attend", arguments=_ASKED,
        settings=_causal,
    ),
    "MultiHeadAttention": Kind(
        "multi_head_attention",
        {"num_heads": Key(size, hidden=True), "key_dim": Key(size, hidden=True),
         "value_dim": Key(maybe(size), None, hidden=True),
         "output_shape": Key(_width, None, hidden=True, write=_as_shape), "use_bias": USE_BIAS,
         "attention_axes": Key(_along_steps, None, hidden=True),
         "use_gate": unless_on(), "sliding_window": unless_on(None)},
        _checked, _heads_weights, inputs=(2, 3), rank=(3,), roles=("value", "key"),
        mask="attend", arguments=_ASKED, settings=_causal, carried=("dropout",),
        shapes=("query_shape", "value_shape", "key_shape"),
    ),
}  # fmt: skip
