"""Pictures in memory: decoded once to bytes, served by the batch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.errors import GenaeError, UsageError

from .files import check_frames, decode, open_picture
from .progress_bar import progress
from .sources import open_rows

if TYPE_CHECKING:
    from zoo.models.images.image_processing_genae import GenaeImageProcessor

SHOWN_PROBLEMS = 5  # a damaged data set should not fill the screen


@dataclass(frozen=True)
class Pictures:
    """One split of a data set, decoded.

    Attributes:
        pixels: uint8 `(N, C, H, W)`; divide by 255 for `pixel_values`.
        labels: class numbers `(N,)`, int64, or None.
        name: the data set.
        split: the split, as it was asked for.
        problems: one line for each picture skipped because it could not be decoded.
    """

    pixels: Tensor
    labels: Tensor | None
    name: str
    split: str
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.pixels)

    def to(self, device: torch.device) -> "Pictures":
        """The same pictures on a device, where a batch of them is taken at once."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=labels)


def load_pictures(
    dataset: str | Path,
    split: str,
    processor: "GenaeImageProcessor",
    *,
    config: str | None = None,
    max_pictures: int | None = None,
    quiet: bool = False,
) -> Pictures:
    """Decode one split of a data set, each picture once.

    A picture that cannot be decoded is skipped; stderr names the first few and their number. Files
    and pictures inside a table (Parquet, the Hub) become the same bytes, 16-bit greys and CMYK by
    the rules of `GenaeImageProcessor`. Of several frames a table's picture shows the first, as
    `datasets` would; a file is skipped.

    Args:
        dataset: a name of `zoo.data.DATASETS`, a folder, a Parquet file or a Hub id.
        split: in the slicing syntax of `datasets`, for example "train[:50000]".
        processor: makes bytes of a picture, in the size and channels the model wants.
        config: the configuration, where a data set has several.
        max_pictures: read only the first so many, at least 1.
        quiet: draw no progress bar, and say only how many were skipped, if any.

    Returns:
        The pictures; a split without class numbers has no `labels`.

    Raises:
        NotFoundError: if the data set is nowhere.
        NotAllowedError: if the Hub wants permission first.
        UsageError: if the split is wrong or empty, or none of its pictures can be decoded.
        IntegrityError: if a Parquet file cannot be read.
    """
    if max_pictures is not None and max_pictures < 1:
        raise UsageError(f"max_pictures must be at least 1, got {max_pictures}")
    rows = open_rows(dataset, split, config=config, max_rows=max_pictures, quiet=quiet)
    side = processor.output_size
    pixels = np.empty((rows.count, processor.num_channels, side, side), np.uint8)
    kept: list[int] = []
    problems: list[str] = []
    cells = zip(rows.names, rows.contents, strict=True)
    for row, (name, content) in enumerate(
        progress(cells, f"decoding {dataset}", total=rows.count, quiet=quiet)
    ):
        label = f"data set {dataset}, {name}"
        try:
            if content is None:
                raise UsageError(f"{label}: holds no picture")
            if isinstance(content, Path):
                opened = open_picture(content)
            else:
                opened = decode(content, label)
                check_frames(opened, label)
            pixels[len(kept)] = processor.to_uint8(opened)
        except GenaeError as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"{label}: {error}")
        else:
            kept.append(row)
    if not kept:
        raise UsageError(f"no picture of {rows.count} could be decoded; the first: {problems[0]}")
    if problems:
        _report([] if quiet else problems, len(problems), rows.count)
    labels = None if rows.labels is None else torch.tensor(rows.labels, dtype=torch.int64)[kept]
    return Pictures(
        torch.from_numpy(pixels[: len(kept)]), labels, str(dataset), split, tuple(problems)
    )


def _report(shown: list[str], skipped: int, count: int) -> None:
    """Say on stderr what was skipped; the number always, as it changes what is measured."""
    for line in shown[:SHOWN_PROBLEMS]:
        print(line, file=sys.stderr)
    print(f"skipped {skipped} of {count} pictures", file=sys.stderr)


class PictureDataset(Dataset[dict[str, Tensor]]):
    """Pictures for a `DataLoader`, a batch in one piece.

    A loader that knows `__getitems__` (torch's does) receives a whole batch as one dictionary;
    give it a `collate_fn` that returns its argument.

    Args:
        pictures: what `load_pictures` returned.
    """

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One picture: `pixels` uint8 `(C, H, W)`, and `labels` where there are any."""
        return self._take(index)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """A batch: `pixels` uint8 `(B, C, H, W)`, and `labels` `(B,)` where there are any."""
        device = self.pictures.pixels.device
        return self._take(torch.as_tensor(indices, dtype=torch.int64, device=device))

    def _take(self, index: Any) -> dict[str, Tensor]:
        taken = {"pixels": self.pictures.pixels[index]}
        if self.pictures.labels is not None:
            taken["labels"] = self.pictures.labels[index]
        return taken
