"""Named operations on weights, each with its inverse: what happens to a tensor on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WINDOW = 2  # neighbours that `resize` keeps together

Array = Callable[["np.ndarray"], "np.ndarray"]


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: what reports print.
        apply: from the legacy array to ours.
        invert: back again; None where information is left out on purpose.
    """

    name: str
    apply: Array
    invert: Array | None


KEEP = Op("as it is", lambda array: array, lambda array: array)
TRANSPOSE = Op("(in, out) -> (out, in)", lambda array: array.T, lambda array: array.T)


def then(first: Op, second: Op) -> Op:
    """Both, one after the other."""
    if first is KEEP or second is KEEP:
        return second if first is KEEP else first
    back = None
    if first.invert is not None and second.invert is not None:
        outer, inner = first.invert, second.invert

        def back(array: np.ndarray) -> np.ndarray:
            return outer(inner(array))

    return Op(f"{first.name}, {second.name}", lambda array: second.apply(first.apply(array)), back)


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

    def apply(array: np.ndarray) -> np.ndarray:
        import numpy as np

        kept = array if keep is None else array[list(keep)]
        means = [
            np.average(kept[list(rows)], axis=0, weights=weights) for rows, weights in compounds
        ]
        return np.concatenate([kept, np.stack(means).astype(kept.dtype)]) if means else kept

    words = [] if keep is None else [f"{len(keep)} rows kept"]
    words += [f"{len(compounds)} means appended"] if compounds else []
    return Op(", ".join(words), apply, None)


def resize(shape: tuple[int, ...], scale: float = 1.0) -> Op:
    """Repeat and cut every axis to a size, keeping the Frobenius norm times `scale`.

    bert4keras's `autoresize_weights`: pairs of neighbours are repeated together as often as the
    new size needs, the surplus is cut off; the products of a layer stay alike.
    """

    def apply(array: np.ndarray) -> np.ndarray:
        import numpy as np

        norm = np.linalg.norm(array)
        for axis, (old, new) in enumerate(zip(array.shape, shape, strict=True)):
            times = -(-new // old)
            if times > 1:
                pairs = array.reshape(
                    *array.shape[:axis], old // WINDOW, WINDOW, *array.shape[axis + 1 :]
                )
                array = np.repeat(pairs, times, axis=axis).reshape(
                    *array.shape[:axis], old * times, *array.shape[axis + 1 :]
                )
            array = array.take(range(new), axis=axis)
        scaled: np.ndarray = (array * (scale * norm / np.linalg.norm(array))).astype(array.dtype)
        return scaled

    return Op(f"resized to {shape}", apply, None)
