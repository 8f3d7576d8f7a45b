"""Images in memory: decoded to bytes once, served in batches."""

import copy
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.errors import GenaeError, UsageError
from zoo.progress import track

from .opening import open_rows
from .planar import PLANAR, draw_split
from .splits import parts_of
from .stacked import CHANNELS, SPLITS, STACKED, draw_rows, stacked_label

if TYPE_CHECKING:
    from zoo.models.images.image_processing_genae import GenaeImageProcessor

MAX_PROBLEMS = 5  # shown, as a damaged data set should not fill the screen


@dataclass(frozen=True)
class Images:
    """One split of a data set, decoded.

    Attributes:
        pixels: uint8 `(N, C, H, W)`; points of the plane, float32 `(N, 2)`. `to_values` makes
            `pixel_values` of either.
        labels: class numbers `(N,)`, int64, or None.
        name: the data set.
        split: the split, as requested.
        problems: one line for each image skipped because it could not be decoded.
        changed: how many images had each of the forms that the processor changed.
    """

    pixels: Tensor
    labels: Tensor | None
    name: str
    split: str
    problems: tuple[str, ...] = ()
    changed: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.pixels)

    def to(self, device: torch.device) -> "Images":
        """The same images on a device, from which batches are then taken."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, pixels=self.pixels.to(device), labels=labels)


def to_values(pixels: Tensor) -> Tensor:
    """What a model reads, float32: bytes as numbers in [0, 1], points as they are."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels.float()


def load_images(
    dataset: str | Path,
    split: str,
    processor: "GenaeImageProcessor | None",
    *,
    config: str | None = None,
    max_images: int | None = None,
    quiet: bool = False,
) -> Images:
    """Decode one split of a data set, each image once.

    An image that cannot be decoded is skipped; stderr shows the first few and how many. Files
    and images inside a table (Parquet, the Hub) become the same bytes, 16-bit greys and CMYK by
    the rules of `GenaeImageProcessor`. Of several frames a table's image shows the first, as
    `datasets` would; a file is skipped.

    Args:
        dataset: a name of `zoo.data.DATASETS`, a folder, a Parquet file, an address of either that
            fsspec knows, or a Hub id.
        split: in the slicing syntax of `datasets`, for example "train[:50000]".
        processor: turns an image into bytes, in the size and channels that the model reads.
        config: the configuration, where a data set has several.
        max_images: read only the first images, this many; 1 or more.
        quiet: draw no progress bar, and report only how many images were skipped, if any.

    Returns:
        The images; a split without class numbers has no `labels`.

    Raises:
        NotFoundError: if the data set is not found.
        NotAllowedError: if the Hub requires permission.
        UsageError: if the split is wrong or empty, or none of its images can be decoded.
        IntegrityError: if a Parquet file cannot be read.
        UnreachableError: if a file at an address cannot be had now.
        MissingDependencyError: if its file system needs a package that is not installed.
    """
    if max_images is not None and max_images < 1:
        raise UsageError(f"max_images must be at least 1, got {max_images}")
    if str(dataset) in PLANAR:
        points, modes = draw_split(str(dataset), split, max_images)
        return Images(points, modes, str(dataset), split)
    assert processor is not None
    if str(dataset) in STACKED:
        return _load_stacked(str(dataset), split, processor, max_images, quiet)
    rows = open_rows(dataset, split, config=config, max_rows=max_images, quiet=quiet)
    side = processor.output_size
    pixels = np.empty((rows.count, processor.num_channels, side, side), np.uint8)
    kept: list[int] = []
    problems: list[str] = []
    changed: Counter[str] = Counter()
    cells = zip(rows.names, rows.contents, strict=True)
    for row, (name, content) in enumerate(
        track(cells, f"decoding {dataset}", total=rows.count, quiet=quiet)
    ):
        label = f"data set {dataset}, {name}"
        try:
            opened = rows.open(content, label)
            pixels[len(kept)] = processor.to_uint8(opened)
        except GenaeError as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"{label}: {error}")
        else:
            kept.append(row)
            if form := processor.changed_form(opened):
                changed[form] += 1
    if not kept:
        raise UsageError(f"no image of {rows.count} could be decoded; the first: {problems[0]}")
    if problems:
        _report([] if quiet else problems, len(problems), rows.count)
    labels = None if rows.labels is None else torch.tensor(rows.labels, dtype=torch.int64)[kept]
    made = torch.from_numpy(pixels[: len(kept)])
    return Images(made, labels, str(dataset), split, tuple(problems), changed)


def _load_stacked(
    name: str, split: str, processor: "GenaeImageProcessor", max_images: int | None, quiet: bool
) -> Images:
    """Grey images as the channels of others; arguments as in `load_images`."""
    if processor.num_channels != CHANNELS:
        raise UsageError(
            f"data set {name}: its images have {CHANNELS} channels, and the image processor makes "
            f"{processor.num_channels}; set num_channels to {CHANNELS}"
        )
    grey = copy.copy(processor)
    grey.num_channels = 1
    pixels, labels = [], []
    problems: list[str] = []
    changed: Counter[str] = Counter()
    left = max_images
    for part, chosen in parts_of(name, split, {part: size for part, (size, _) in SPLITS.items()}):
        images = load_images(STACKED[name], part, grey, quiet=quiet)
        rows = draw_rows(part, len(images))[chosen][:left]
        left = None if left is None else left - len(rows)
        pixels.append(images.pixels[rows, 0])
        problems += images.problems
        changed += Counter(images.changed)
        if images.labels is not None:
            labels.append(stacked_label(images.labels[rows]))
    found = torch.cat(labels) if len(labels) == len(pixels) else None
    return Images(torch.cat(pixels), found, name, split, tuple(problems), changed)


def _report(shown: list[str], skipped: int, count: int) -> None:
    """Report on stderr what was skipped; the number always, as it changes what is measured."""
    for line in shown[:MAX_PROBLEMS]:
        print(line, file=sys.stderr)
    print(f"skipped {skipped} of {count} images", file=sys.stderr)


class ImageDataset(Dataset[dict[str, Tensor]]):
    """Images for a `DataLoader`, which takes a batch in one piece.

    A loader that knows `__getitems__` (torch's does) receives a whole batch as one dictionary;
    give it a `collate_fn` that returns its argument.

    Args:
        images: what `load_images` returned.
    """

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One image: `pixels` uint8 `(C, H, W)`, and `labels` where there are any."""
        return self._take(index)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """A batch: `pixels` uint8 `(B, C, H, W)`, and `labels` `(B,)` where there are any."""
        device = self.images.pixels.device
        return self._take(torch.as_tensor(indices, dtype=torch.int64, device=device))

    def _take(self, index: Any) -> dict[str, Tensor]:
        taken = {"pixels": self.images.pixels[index]}
        if self.images.labels is not None:
            taken["labels"] = self.images.labels[index]
        return taken
