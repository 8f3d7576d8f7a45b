"""What every reader gives: names of lazy tensors, nothing read until it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np


class LazyTensor(Protocol):
    """One tensor of a checkpoint.

    Attributes:
        name: as stored.
        shape: its axes.
        dtype: as stored, in native byte order; bfloat16 is `ml_dtypes.bfloat16`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        ...

    def numpy(self) -> np.ndarray:
        """The values, in memory of their own.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """
        ...

    def chunks(self, max_bytes: int) -> Iterator[np.ndarray]:
        """The values in C order, one-dimensional, a piece at a time; then the checksum is checked.

        Raises:
            IntegrityError: the bytes are not those that were written.
        """
        ...


def nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Bytes of an array; Python's integers do not overflow."""
    return math.prod(shape) * dtype.itemsize


@dataclass
class Checkpoint(Mapping[str, LazyTensor]):
    """A checkpoint as a read-only mapping from name to lazy tensor.

    Attributes:
        format: "tf_bundle" or "keras_hdf5".
        files: what it consists of; the first is what was opened.
        tensors: by name, in stored order.
        unreadable: names of strings and the like, and why they are no numbers.
        notes: what is legal but odd.
    """

    format: str
    files: list[Path]
    tensors: dict[str, LazyTensor]
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)

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
