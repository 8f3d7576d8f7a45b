"""Named operations on weights, each with its inverse: what happens to a tensor on its way.

An operation makes a lazy tensor of a lazy tensor. What is asked of the result in boxes is taken
from the source in boxes, so that neither is ever in memory as a whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from convert.weights.lazy import LazyTensor


Array = Callable[["np.ndarray"], "np.ndarray"]


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: what reports print.
        view: from the legacy tensor to the result's; reads nothing.
        invert: back again, on arrays; None where information is left out on purpose.
        axes: where it only puts axes into another order, that order.
    """

    name: str
    view: Callable[[LazyTensor], LazyTensor]
    invert: Array | None
    axes: tuple[int, ...] = ()

    def apply(self, array: np.ndarray) -> np.ndarray:
        """From the legacy array to the result's."""
        from convert.weights.views import InMemory

        return self.view(InMemory(array)).numpy()


def _transposed(source: LazyTensor) -> LazyTensor:
    from convert.weights.views import Transposed

    return Transposed(source)


def _heads_first(source: LazyTensor) -> LazyTensor:
    from convert.weights.views import Swapped

    return Swapped(source)


KEEP = Op("as it is", lambda source: source, lambda array: array)
TRANSPOSE = Op("(in, out) -> (out, in)", _transposed, lambda array: array.T)
HEADS_FIRST = Op(
    "(queries, heads, keys) -> (heads, queries, keys)",
    _heads_first,
    lambda array: array.swapaxes(0, 1),
)


def inverse(op: Op) -> Op:
    """The operation that goes back, on lazy tensors; of those that only move axes.

    Raises:
        ValueError: it does more.
    """
    if op in (KEEP, TRANSPOSE, HEADS_FIRST):
        return op
    if not op.axes:
        raise ValueError(f"{op.name}: values cannot be put back one by one")
    return permute(*map(op.axes.index, range(len(op.axes))))


@functools.cache
def permute(*axes: int) -> Op:
    """The axes in another order, as `numpy.transpose` does it."""

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Permuted

        return Permuted(source, axes)

    back = [axes.index(axis) for axis in range(len(axes))]
    return Op(f"axes {axes}", view, lambda array: array.transpose(back), axes)


@functools.cache
def flip(count: int) -> Op:
    """The first so many axes backwards."""

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Flipped

        return Flipped(source, count)

    def invert(array: np.ndarray) -> np.ndarray:
        return array[tuple([slice(None, None, -1)] * count)]

    return Op(f"the first {count} axes backwards", view, invert)


def then(first: Op, second: Op) -> Op:
    """Both, one after the other."""
    if first is KEEP or second is KEEP:
        return second if first is KEEP else first
    if first is TRANSPOSE and second is TRANSPOSE:
        return KEEP
    back = None
    if first.invert is not None and second.invert is not None:
        outer, inner = first.invert, second.invert

        def back(array: np.ndarray) -> np.ndarray:
            return outer(inner(array))

    return Op(f"{first.name}, {second.name}", lambda source: second.view(first.view(source)), back)


def select_rows(
    keep: Sequence[int] | None, compounds: Sequence[tuple[Sequence[int], Sequence[float]]]
) -> Op:
    """Rows of a vocabulary table in another order, then means of rows appended.

    Args:
        keep: rows to keep, in their new order; None keeps all.
        compounds: per appended row the rows (in the new numbering) and their weights, of which it
            is the weighted mean.

    Returns:
        An operation on the first axis; it cannot be undone.
    """

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Means, Rows

        kept = source if keep is None else Rows(source, keep)
        return Means(kept, compounds) if compounds else kept

    words = [] if keep is None else [f"{len(keep)} rows kept"]
    words += [f"{len(compounds)} means appended"] if compounds else []
    return Op(", ".join(words), view, None)


def resize(shape: tuple[int, ...], scale: float = 1.0) -> Op:
    """Repeat and cut every axis to a size, keeping the Frobenius norm times `scale`.

    bert4keras's `autoresize_weights`: pairs of neighbours are repeated together as often as the
    new size needs, the surplus is cut off; the products of a layer stay alike.
    """

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Resized

        return Resized(source, shape, scale)

    return Op(f"resized to {shape}", view, None)


def merge(axis: int) -> Op:
    """An axis and the one behind it as one, such as heads and their size.

    Args:
        axis: the first of the two.

    Returns:
        An operation that cannot be undone: how many heads there were is left out.
    """

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Merged

        return Merged(source, axis)

    return Op(f"axes {axis} and {axis + 1} as one", view, None)


def part(axis: int, place: int, count: int) -> Op:
    """One of several equal parts of a tensor, such as the queries of a joint map.

    Args:
        axis: that is cut.
        place: of the part, from 0.
        count: how many parts there are.

    Returns:
        An operation that cannot be undone: the other parts are left out.
    """

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Part

        return Part(source, axis, place, count)

    return Op(f"part {place + 1} of {count} along axis {axis}", view, None)


def times(other: LazyTensor) -> Op:
    """A matrix times another one.

    Args:
        other: what stands on the right.

    Returns:
        An operation that cannot be undone: the two factors are one matrix.
    """

    def view(source: LazyTensor) -> LazyTensor:
        from convert.weights.views import Product

        return Product(source, other)

    return Op(f"times {other.name}", view, None)


def _identity(source: LazyTensor) -> LazyTensor:
    from convert.weights.views import Identity

    return Identity(source)


def _zeros(source: LazyTensor) -> LazyTensor:
    from convert.weights.views import Zeros

    return Zeros(source)


#: What a model's layout asks for and a dialect does without: of the tensor's last axis, or shape.
IDENTITY = Op("an identity in place of it", _identity, None)
ZEROS = Op("zeros in place of it", _zeros, None)


def shape_after(op: Op, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape an operation gives, worked out on an array without memory."""
    import numpy as np

    from convert.weights.views import InMemory

    return op.view(InMemory(np.broadcast_to(np.zeros((), np.uint8), shape))).shape
