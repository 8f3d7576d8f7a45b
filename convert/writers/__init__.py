"""Writers of legacy checkpoints: tensors come in pieces and go out in pieces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Outgoing:
    """A tensor to be written.

    Attributes:
        name: what the file is to call it.
        shape: its axes.
        dtype: of its values in the file, in native byte order.
        pieces: gives the values, whole rows of the first axis at a time, in order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterator[np.ndarray]]

    @property
    def nbytes(self) -> int:
        """Bytes of its values in the file."""
        return math.prod(self.shape) * self.dtype.itemsize
