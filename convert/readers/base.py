"""What every reader gives: names of lazy tensors, nothing read until it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

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


#: The forms of checkpoints in words.
FORMS = {
    "tf_bundle": "TensorFlow V2 checkpoint",
    "tf_object": "TensorFlow 2 object graph",
    "tf_v1": "TensorFlow V1 checkpoint",
    "keras_hdf5": "Keras HDF5",
    "keras3": "Keras 3 weights",
}


def whole(shape: Shape) -> Box:
    """The box that holds everything."""
    return tuple(slice(0, size) for size in shape)


def boxes(shape: Shape, most: int) -> Iterator[Box]:
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
    height = max(1, most // inner)
    for start in range(0, shape[0], height):
        rows = slice(start, min(start + height, shape[0]))
        deeper = [whole(shape[1:])] if inner <= max(1, most) else boxes(shape[1:], most)
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


@dataclass(frozen=True)
class Layer:
    """A Keras layer that holds weights.

    Attributes:
        name: as stored.
        kind: its class in snake case, where the file tells; else empty.
        tensors: names as stored, in the order in which Keras made them.
    """

    name: str
    kind: str
    tensors: list[str]


@dataclass
class Checkpoint(Mapping[str, LazyTensor]):
    """A checkpoint as a read-only mapping from name to lazy tensor.

    Attributes:
        format: a key of `FORMS`.
        files: what it consists of; the first is what was opened.
        tensors: by name, in stored order.
        unreadable: names of strings and the like, and why they are no numbers.
        notes: what is legal but odd.
        full_names: of an object graph: as stored -> what the variable was called when it was made,
            where the file remembers.
        details: more of the form, in words ("3 data files", "big-endian").
        layers: of Keras's forms, in the order of the model; else empty.
        places: folders in which its configuration and vocabulary may lie, the nearest first.
    """

    format: str
    files: list[Path]
    tensors: dict[str, LazyTensor]
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    full_names: dict[str, str] = field(default_factory=dict)
    places: list[Path] = field(default_factory=list)

    @property
    def form(self) -> str:
        """What kind of file it is, in words."""
        return ", ".join((FORMS[self.format], *self.details))

    def __getitem__(self, name: str) -> LazyTensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self.tensors)

    def close(self) -> None:
        """Close the files; its tensors cannot be read any more."""
        while self.handles:
            self.handles.pop().close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
