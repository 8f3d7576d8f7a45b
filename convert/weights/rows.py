"""The declarative weight table: which legacy tensor becomes which of the result, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.weights.lazy import Shape
from convert.weights.ops import KEEP, TRANSPOSE, Op

if TYPE_CHECKING:
    import numpy as np

#: bert4keras's corrections of scale in `autoresize_weights`, of old and new target shapes.
GROWTH: dict[str, Callable[[Shape, Shape], float]] = {
    "": lambda old, new: 1.0,
    "scores": lambda old, new: (new[0] / old[0]) ** 0.25,
    "widen": lambda old, new: (new[0] / old[0]) ** 0.5,
    "narrow": lambda old, new: (old[-1] / new[-1]) ** 0.5,
}

#: What rows call the layer that is a table of conditions; scripts call it as they like.
CONDITION_LAYER = "Embedding-Condition"


@dataclass(frozen=True)
class Row:
    """One line of a table; `{i}` in its names counts the layers, `{i:03d}` with digits.

    Attributes:
        target: its name in the result; empty where the tensor is computed anew and not written.
        shape: of the target, as names of sizes ("hidden", "vocab") or numbers.
        source: the name TensorFlow stores it under; None where TensorFlow's files lack it.
        op: from TensorFlow's array to the result's.
        layer: the Keras layer that has it; its weights have generic names, so the order counts.
        slot: place among that layer's weights.
        keras_op: from Keras's array to the result's; None is `op`.
        part: the part of the model it belongs to ("body", "pooler", "mlm" ...).
        growth: a name of `GROWTH`: how its scale changes when it is resized.
        made: of a tensor that is computed anew: gives Keras's array, of its shape.
    """

    target: str
    shape: tuple[str | int, ...]
    source: str | None
    op: Op = KEEP
    layer: str = ""
    slot: int = 0
    keras_op: Op | None = None
    part: str = "body"
    growth: str = ""
    made: Callable[[Shape], np.ndarray] | None = None

    def name_in(self, naming: str) -> str | None:
        """The name to look for: of "tensorflow", or Keras's layer and place ("keras")."""
        return f"{self.layer}#{self.slot}" if naming == "keras" else self.source

    def op_for(self, naming: str) -> Op:
        """The operation on an array that is named so."""
        return self.keras_op or self.op if naming == "keras" else self.op


def dense(
    target: str,
    source: str,
    layer: str,
    slot: int,
    inputs: str,
    outputs: str,
    part: str = "body",
    growth: str = "",
) -> tuple[Row, Row]:
    """A dense map: kernel and bias."""
    kernel = Row(
        f"{target}.weight",
        (outputs, inputs),
        f"{source}/kernel",
        TRANSPOSE,
        layer,
        slot,
        part=part,
        growth=growth,
    )
    bias = Row(
        f"{target}.bias",
        (outputs,),
        f"{source}/bias",
        layer=layer,
        slot=slot + 1,
        part=part,
        growth=growth,
    )
    return kernel, bias


def norm(target: str, source: str, layer: str, size: str, part: str = "body") -> tuple[Row, Row]:
    """A layer normalisation: offset and scale; Keras stores the offset first."""
    return (
        Row(f"{target}.bias", (size,), f"{source}/beta", layer=layer, slot=0, part=part),
        Row(f"{target}.weight", (size,), f"{source}/gamma", layer=layer, slot=1, part=part),
    )


def condition(
    target: str, layer: str, size: str, part: str, after: str = "body"
) -> tuple[Row, ...]:
    """What conditional normalisation adds, in HDF5 files only: dense maps of the condition.

    Args:
        target: the normalisation's name.
        layer: its Keras layer.
        size: what it normalises.
        part: "condition", or "hidden_condition" where the condition passes a dense map first.
        after: the part the normalisation itself belongs to.
    """
    hidden = part == "hidden_condition"
    names = ["condition_hidden"] * hidden + ["condition_bias", "condition_weight"]
    sizes = {"condition_hidden": ("condition_hidden", "condition")}
    inputs = "condition_hidden" if hidden else "condition"
    return tuple(
        Row(
            f"{target}.{name}.weight",
            sizes.get(name, (size, inputs)),
            None,
            layer=layer,
            slot=slot,
            keras_op=TRANSPOSE,
            part=part if after == "body" else f"{after}+{part}",
        )
        for slot, name in enumerate(names, start=2)
    )


#: A place for the number of a layer: `{i}`, `{i:02d}`.
PLACE = re.compile(r"\{i(:\d+d)?\}")


def numbered(name: str, i: int) -> str:
    """A name with its layer's number."""
    return PLACE.sub(lambda match: match[0].format(i=i), name)


def expand(rows: Iterable[Row], parts: Mapping[str, bool], layers: int) -> Iterator[Row]:
    """The rows of the parts that are there, once for each layer.

    A part written `mlm+condition` is there when both are.
    """
    for row in rows:
        if not all(parts.get(part, False) for part in row.part.split("+")):
            continue
        many = any(PLACE.search(name or "") for name in (row.target, row.source, row.layer))
        for i in range(layers) if many else (0,):
            yield replace(
                row,
                target=numbered(row.target, i),
                source=row.source and numbered(row.source, i),
                layer=numbered(row.layer, i),
            )
