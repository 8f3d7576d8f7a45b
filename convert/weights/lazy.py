"""Lazy tensors: a name, a shape and a type, and values in boxes when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int, ...]
Box = tuple[slice, ...]  # a range of every axis, each with its start and stop


class LazyTensor:
    """One tensor of a checkpoint, or what an operation makes of one.

    Attributes:
        name: as stored.
        shape: its axes.
        dtype: as stored, in native byte order; bfloat16 is `ml_dtypes.bfloat16`.
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]

    def block(self, box: Box) -> np.ndarray:
        """The values in a box; not trusted before `verify` has returned.

        Args:
            box: a range of every axis, with start and stop inside the shape.

        Raises:
            IntegrityError: they cannot be read.
        """
        raise NotImplementedError

    def verify(self) -> None:
        """Check the checksum over all of it; reads what was not read in order already.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return nbytes(self.shape, self.dtype)

    def numpy(self) -> np.ndarray:
        """The values, in memory of their own.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """
        values = self.block(whole(self.shape))
        self.verify()
        return values

    def chunks(self, max_bytes: int) -> Iterator[np.ndarray]:
        """The values in C order, one-dimensional, a piece at a time; then the checksum is checked.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """
        for box in boxes(self.shape, max_bytes // self.dtype.itemsize):
            yield self.block(box).reshape(-1)
        self.verify()


def nbytes(shape: Shape, dtype: np.dtype[Any]) -> int:
    """Bytes of an array; Python's integers do not overflow."""
    return math.prod(shape) * dtype.itemsize


def whole(shape: Shape) -> Box:
    """The box around everything."""
    return tuple(slice(0, size) for size in shape)


def boxes(shape: Shape, max_values: int) -> Iterator[Box]:
    """Boxes that come one after the other in C order, of at most so many values each.

    Example:
        >>> [[(s.start, s.stop) for s in box] for box in boxes((2, 3), 4)]
        [[(0, 1), (0, 3)], [(1, 2), (0, 3)]]
    """
    if not math.prod(shape):
        return
    if not shape:
        yield ()
        return
    inner = math.prod(shape[1:])
    height = max(1, max_values // inner)
    for start in range(0, shape[0], height):
        rows = slice(start, min(start + height, shape[0]))
        deeper = (
            [whole(shape[1:])] if inner <= max(1, max_values) else boxes(shape[1:], max_values)
        )
        for rest in deeper:
            yield (rows, *rest)


def assemble(
    box: Box, dtype: np.dtype[Any], parts: Iterable[tuple[Box, LazyTensor]]
) -> np.ndarray:
    """The values in a box of a tensor that is stored in parts.

    Args:
        box: what is wanted.
        dtype: of the tensor.
        parts: each with the box of the tensor that it fills.
    """
    import numpy as np

    out = np.empty([where.stop - where.start for where in box], dtype)
    for place, part in parts:
        both = [
            (max(want.start, have.start), min(want.stop, have.stop))
            for want, have in zip(box, place, strict=True)
        ]
        if all(low < high for low, high in both):
            target = tuple(
                slice(low - want.start, high - want.start)
                for (low, high), want in zip(both, box, strict=True)
            )
            source = tuple(
                slice(low - have.start, high - have.start)
                for (low, high), have in zip(both, place, strict=True)
            )
            out[target] = part.block(source)
    return out
