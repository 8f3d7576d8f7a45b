"""What operations make of lazy tensors: a box of the result, from boxes of the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from convert.weights.lazy import Box, LazyTensor, Shape, boxes
from zoo.errors import IntegrityError

WINDOW = 2  # neighbours that `resize` keeps together
NEAR = 32 * 2**10  # bytes between two rows that are read through sooner than they are jumped over
PART = 2**17  # values that a norm is summed over at a time


class InMemory(LazyTensor):
    """An array in memory."""

    def __init__(self, array: np.ndarray, name: str = "") -> None:
        self.name, self.array = name, array
        self.shape, self.dtype = array.shape, array.dtype

    def block(self, box: Box) -> np.ndarray:
        """A part of the array."""
        part: np.ndarray = self.array[box]
        return part


class View(LazyTensor):
    """A tensor made of another, of the same type."""

    def __init__(self, source: LazyTensor, shape: Shape) -> None:
        self.source, self.name = source, source.name
        self.shape, self.dtype = shape, source.dtype

    def verify(self) -> None:
        """Check the source."""
        self.source.verify()


class Transposed(View):
    """All axes the other way round."""

    def __init__(self, source: LazyTensor) -> None:
        super().__init__(source, source.shape[::-1])

    def block(self, box: Box) -> np.ndarray:
        """The box across."""
        return self.source.block(box[::-1]).T


class Swapped(View):
    """The first two axes the other way round."""

    def __init__(self, source: LazyTensor) -> None:
        first, second, *rest = source.shape
        super().__init__(source, (second, first, *rest))

    def block(self, box: Box) -> np.ndarray:
        """The box across."""
        first, second, *rest = box
        return self.source.block((second, first, *rest)).swapaxes(0, 1)


class Permuted(View):
    """The axes in another order."""

    def __init__(self, source: LazyTensor, axes: Sequence[int]) -> None:
        if sorted(axes) != [*range(len(source.shape))]:
            raise IntegrityError(f"{source.name} is {source.shape}: it has no axes {tuple(axes)}")
        super().__init__(source, tuple(source.shape[axis] for axis in axes))
        self.axes = tuple(axes)

    def block(self, box: Box) -> np.ndarray:
        """The box, turned."""
        turned: list[slice] = [slice(0)] * len(box)
        for place, axis in enumerate(self.axes):
            turned[axis] = box[place]
        return self.source.block(tuple(turned)).transpose(self.axes)


class Flipped(View):
    """The first axes backwards."""

    def __init__(self, source: LazyTensor, count: int) -> None:
        super().__init__(source, source.shape)
        self.count = count

    def block(self, box: Box) -> np.ndarray:
        """The box on the other side, turned."""
        turned = [
            slice(size - one.stop, size - one.start) if axis < self.count else one
            for axis, (one, size) in enumerate(zip(box, self.shape, strict=True))
        ]
        return np.flip(self.source.block(tuple(turned)), tuple(range(self.count)))


class Rows(View):
    """Some rows, in another order."""

    def __init__(self, source: LazyTensor, keep: Sequence[int]) -> None:
        super().__init__(source, (len(keep), *source.shape[1:]))
        self.keep = np.asarray(keep, np.int64)

    def block(self, box: Box) -> np.ndarray:
        """The rows asked for, read in the order in which they lie."""
        first, *rest = box
        wanted, back = np.unique(self.keep[first], return_inverse=True)
        out = np.empty((len(wanted), *(where.stop - where.start for where in rest)), self.dtype)
        row_bytes = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        for start, stop in _runs(wanted, max(1, NEAR // row_bytes), len(back)):
            low, high = int(wanted[start]), int(wanted[stop - 1]) + 1
            rows = self.source.block((slice(low, high), *rest))
            out[start:stop] = rows[wanted[start:stop] - low]
        taken: np.ndarray = out[back]
        return taken


def _runs(rows: np.ndarray, near: int, max_span: int) -> Iterator[tuple[int, int]]:
    """Places `start:stop` in sorted rows that lie near one another and span at most `max_span`."""
    start = 0
    for place in range(1, len(rows) + 1):
        if (
            place == len(rows)
            or rows[place] - rows[place - 1] > near
            or rows[place] - rows[start] >= max_span
        ):
            yield start, place
            start = place


class Means(View):
    """Weighted means of rows, appended."""

    def __init__(
        self, source: LazyTensor, compounds: Sequence[tuple[Sequence[int], Sequence[float]]]
    ) -> None:
        super().__init__(source, (source.shape[0] + len(compounds), *source.shape[1:]))
        self.compounds = compounds

    def block(self, box: Box) -> np.ndarray:
        """Rows of the source as far as they go, then means."""
        first, *rest = box
        there = self.source.shape[0]
        made = [
            np.average(Rows(self.source, rows).block((slice(0, len(rows)), *rest)), 0, weights)
            for rows, weights in self.compounds[max(0, first.start - there) : first.stop - there]
            if first.stop > there
        ]
        if first.start >= there:
            return np.stack(made).astype(self.dtype)
        kept = self.source.block((slice(first.start, min(first.stop, there)), *rest))
        return np.concatenate([kept, np.stack(made).astype(self.dtype)]) if made else kept


class Resized(View):
    """Every axis repeated and cut, the Frobenius norm multiplied by `scale`."""

    def __init__(self, source: LazyTensor, shape: Shape, scale: float) -> None:
        super().__init__(source, shape)
        self.scale, self.factor = scale, math.nan
        self.taken = [_repeated(old, new) for old, new in zip(source.shape, shape, strict=True)]

    def block(self, box: Box) -> np.ndarray:
        """Of every axis the stretch that the box is repeated from."""
        if math.isnan(self.factor):
            self.factor = self.scale * self._shrinkage()
        taken = [axis[where] for axis, where in zip(self.taken, box, strict=True)]
        lows = [int(axis.min()) for axis in taken]
        highs = [int(axis.max()) + 1 for axis in taken]
        part = self.source.block(tuple(map(slice, lows, highs)))
        part = part[np.ix_(*(axis - low for axis, low in zip(taken, lows, strict=True)))]
        scaled: np.ndarray = (part * self.factor).astype(self.dtype)
        return scaled

    def _shrinkage(self) -> float:
        """The source's norm by that of its repetition, both summed over the source."""
        often = [
            np.bincount(axis, minlength=size).astype(np.float64)
            for axis, size in zip(self.taken, self.source.shape, strict=True)
        ]
        before = after = 0.0
        for box in boxes(self.source.shape, PART):
            squares = np.square(self.source.block(box).astype(np.float64))
            before += float(squares.sum())
            for counts, where in zip(often[::-1], box[::-1], strict=True):
                squares = squares @ counts[where]
            after += float(squares)
        return math.sqrt(before / after) if after else 1.0


def _repeated(old: int, new: int) -> np.ndarray:
    """Of which old index every new one is a copy."""
    times = -(-new // old)
    index = np.arange(new)
    return index // (WINDOW * times) * WINDOW + index % WINDOW if times > 1 else index


class Merged(View):
    """An axis and the one behind it as one."""

    def __init__(self, source: LazyTensor, axis: int) -> None:
        shape = source.shape
        if not 0 <= axis < len(shape) - 1:
            raise IntegrityError(f"{source.name} is {shape}: it has no axes {axis} and {axis + 1}")
        self.axis, self.inner = axis, shape[axis + 1]
        super().__init__(source, (*shape[:axis], shape[axis] * self.inner, *shape[axis + 2 :]))

    def block(self, box: Box) -> np.ndarray:
        """The whole heads that the box touches, cut to it."""
        where, inner = box[self.axis], self.inner
        outer = slice(where.start // inner, -(-where.stop // inner))
        rows = (*box[: self.axis], outer, slice(0, inner), *box[self.axis + 1 :])
        found = self.source.block(rows)
        shape = [one.stop - one.start for one in rows]
        shape[self.axis : self.axis + 2] = [shape[self.axis] * inner]
        first = where.start - outer.start * inner
        cut = [slice(None)] * len(shape)
        cut[self.axis] = slice(first, first + where.stop - where.start)
        merged: np.ndarray = found.reshape(shape)[tuple(cut)]
        return merged


class Part(View):
    """One of several equal parts along an axis."""

    def __init__(self, source: LazyTensor, axis: int, place: int, count: int) -> None:
        shape = list(source.shape)
        if axis >= len(shape) or shape[axis] % count:
            raise IntegrityError(f"{source.name} is {source.shape}: not {count} parts on {axis}")
        shape[axis] //= count
        self.axis, self.first = axis, place * shape[axis]
        super().__init__(source, tuple(shape))

    def block(self, box: Box) -> np.ndarray:
        """The same box, further along the axis."""
        where = box[self.axis]
        moved = slice(where.start + self.first, where.stop + self.first)
        return self.source.block((*box[: self.axis], moved, *box[self.axis + 1 :]))


class Product(View):
    """A matrix times another one, summed in float64."""

    def __init__(self, source: LazyTensor, other: LazyTensor) -> None:
        if len(source.shape) != 2 or len(other.shape) != 2 or source.shape[1] != other.shape[0]:
            raise IntegrityError(
                f"{source.name} is {source.shape} and {other.name} {other.shape}: "
                "they cannot be multiplied"
            )
        super().__init__(source, (source.shape[0], other.shape[1]))
        self.other = other

    def block(self, box: Box) -> np.ndarray:
        """The rows of one times the columns of the other."""
        inner = slice(0, self.other.shape[0])
        left = self.source.block((box[0], inner)).astype(np.float64)
        right = self.other.block((inner, box[1])).astype(np.float64)
        made: np.ndarray = (left @ right).astype(self.dtype)
        return made

    def verify(self) -> None:
        """Check both."""
        self.source.verify()
        self.other.verify()


class Identity(View):
    """An identity of the size of the source's last axis."""

    def __init__(self, source: LazyTensor) -> None:
        super().__init__(source, source.shape[-1:] * 2)

    def block(self, box: Box) -> np.ndarray:
        """Ones where row and column are the same."""
        rows, columns = (np.arange(where.start, where.stop) for where in box)
        made: np.ndarray = (rows[:, None] == columns).astype(self.dtype)
        return made


class Zeros(View):
    """Zeros of the source's shape."""

    def __init__(self, source: LazyTensor) -> None:
        super().__init__(source, source.shape)

    def block(self, box: Box) -> np.ndarray:
        """Zeros."""
        return np.zeros([where.stop - where.start for where in box], self.dtype)


class SideBySide(LazyTensor):
    """Tensors side by side along the last axis."""

    def __init__(self, parts: Sequence[LazyTensor]) -> None:
        self.parts, self.name = parts, " + ".join(part.name for part in parts)
        *rest, _ = parts[0].shape
        self.shape = (*rest, sum(part.shape[-1] for part in parts))
        self.dtype = parts[0].dtype

    def block(self, box: Box) -> np.ndarray:
        """Of each part what the box contains of it."""
        *rest, last = box
        found, start = [], 0
        for part in self.parts:
            low, high = max(last.start - start, 0), min(last.stop - start, part.shape[-1])
            if low < high:
                found.append(part.block((*rest, slice(low, high))))
            start += part.shape[-1]
        return np.concatenate(found, -1)

    def verify(self) -> None:
        """Check every part."""
        for part in self.parts:
            part.verify()
