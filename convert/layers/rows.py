"""What the table of layer kinds is made of: a row a kind, the weights of a layer, shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convert.layers.options import Keys
from convert.weights.ops import KEEP, Op

Shape = tuple[int | None, ...]  # the batch comes first; None is a size that is not known
Options = Mapping[str, Any]


class ShapeError(ValueError):
    """What goes into a layer has a shape that it cannot have."""


@dataclass(frozen=True)
class Weight:
    """One tensor of a layer.

    Attributes:
        name: in the result.
        shape: as Keras stores it.
        op: from Keras's array to the result's.
        inside: where it lies in the layer's folder of Keras 3's files ("cell").
        trainable: the others are statistics, which come last in HDF5 files.
        kept: whether the result has it.
        filler: of a tensor that the result does not have, the value of all its numbers on the way
            back.
        copied: whether in Keras 3's files it stands in the folder of the layer around it, too.
    """

    name: str
    shape: tuple[int, ...]
    op: Op = KEEP
    inside: str = ""
    trainable: bool = True
    kept: bool = True
    filler: float = 0.0
    copied: bool = False

    @property
    def size(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


def no_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    """None."""
    return []


def same_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of the first input."""
    return [shapes[0]]


@dataclass(frozen=True)
class Kind:
    """One kind of layer, a row of the table.

    Attributes:
        compute: what the result calls the computation.
        keys: options that are read; others do not change what is computed.
        shape: of each output, from options and the shapes of the inputs.
        weights: in the order of the layer's own, from the same.
        inputs: the least and the greatest number of inputs.
        rank: numbers of axes that the first input may have, batch included; empty for any.
        roles: names of tensors that may be given by name; they come after the inputs.
        mask: what becomes of a mask of steps, one of `masks.RULES`.
        arguments: read as options are, from the call.
        settings: more of the result's options, from those read and the shapes.
        carried: options that change training alone, which the way back has again.
        versions: those of Keras that have the class.
        shapes: options in which Keras 2 writes the shapes of the inputs down; the last input is
            that of the names left over.
    """

    compute: str
    keys: Keys = field(default_factory=dict)
    shape: Callable[[Options, Sequence[Shape]], list[Shape]] = same_shape
    weights: Callable[[Options, Sequence[Shape]], list[Weight]] = no_weights
    inputs: tuple[int, int] = (1, 1)
    rank: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    mask: str = "pass"
    arguments: Keys = field(default_factory=dict)
    settings: Callable[[Options, Sequence[Shape]], dict[str, Any]] = lambda options, shapes: {}
    carried: tuple[str, ...] = ()
    versions: tuple[int, ...] = (2, 3)
    shapes: tuple[str, ...] = ()


def known(sizes: Sequence[int | None], what: str = "the input") -> tuple[int, ...]:
    """Sizes that have to be known.

    Raises:
        ShapeError: one is not.
    """
    if any(size is None for size in sizes):
        raise ShapeError(f"{what} has a size that the file does not say")
    return tuple(size for size in sizes if size is not None)


def channels(options: Options, shape: Shape) -> int:
    """Number of channels of an image or a sequence."""
    return known([shape[1 if options.get("channels_first") else -1]], "the axis of channels")[0]


def space(options: Options, shape: Shape) -> list[int | None]:
    """Sizes of the axes of space."""
    return list(shape[2:] if options.get("channels_first") else shape[1:-1])


def spatial(
    options: Options, shape: Shape, sizes: Sequence[int | None], width: int | None
) -> Shape:
    """A shape of these sizes of space and this number of channels."""
    if any(size is not None and size < 1 for size in sizes):
        raise ShapeError(f"nothing is left of {shape}: {tuple(sizes)}")
    if options.get("channels_first"):
        return (shape[0], width, *sizes)
    return (shape[0], *sizes, width)


def positive(axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        ShapeError: there is no such axis.
    """
    found = axis + rank if axis < 0 else axis
    if not 0 <= found < rank:
        raise ShapeError(f"no axis {axis} in {rank} axes")
    return found
