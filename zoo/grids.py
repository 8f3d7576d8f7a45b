"""What the verbs that draw return: images, and what is known of each."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

Name = str | os.PathLike[str]


@dataclass(frozen=True)
class Grid:
    """Images in reading order, and what is known of them.

    Attributes:
        images: uint8 `(N, C, H, W)`, without padding.
        columns: images per row; None makes the grid about square.
        facts: how it was made and what was found, in types that JSON has.
        skipped: a line for each file that was not read.
        num_files: how many files were found, read or not.
        trace: where asked for, the way from noise to image, a row for each of a few.
    """

    images: "Tensor"
    columns: int | None
    facts: dict[str, Any]
    skipped: list[str] = field(default_factory=list)
    num_files: int = 0
    trace: "Grid | None" = None

    def save(self, path: Name) -> Path:
        """Write the grid completely or not at all; the ending chooses the format."""
        from zoo import plots

        return plots.save_grid(self.images, Path(path), self.columns)


def check_range(name: str, value: int, min_value: int, max_value: int) -> None:
    """Raise `UsageError` unless a number is in its range, both ends included."""
    if not min_value <= value <= max_value:
        raise UsageError(f"{name} must be {min_value} to {max_value:,}, got {value}")


def to_bytes(processor: Any, pixel_values: "Tensor") -> "Tensor":
    """Model output without padding as uint8, a quarter of the memory."""
    from zoo.plots import to_uint8

    return to_uint8(processor.crop_padding(pixel_values))
