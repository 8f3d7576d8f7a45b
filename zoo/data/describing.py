"""What a data set of images tells of itself: sizes, channels, classes, splits."""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from zoo.errors import GenaeError, NotFoundError, UsageError

from .files import decode, open_image
from .opening import open_rows
from .sources import DATASETS
from .stacked import CHANNELS, STACKED

SAMPLE = 64  # images that are looked at


@dataclass(frozen=True)
class ImageFacts:
    """A data set of images.

    Attributes:
        count: number of images in the train split.
        width: in pixels, the median of the images looked at; likewise the height.
        height: see there.
        num_channels: 1 if all of them are grey, 3 otherwise.
        num_labels: number of classes; None without labels.
        splits: its splits besides `train`, among `validation` and `test`.
    """

    count: int
    width: int
    height: int
    num_channels: int
    num_labels: int | None
    splits: tuple[str, ...]


def is_planar(dataset: str) -> bool:
    """Whether a data set is of points of the plane, not of images."""
    return dataset in DATASETS and DATASETS[dataset].planar


def describe_images(dataset: str) -> ImageFacts:
    """Look at a data set's first images and its labels.

    Args:
        dataset: a name of `DATASETS`, a folder, a Parquet file or a Hub id.

    Raises:
        GenaeError: as `open_rows`, of the split `train`; or no image can be read.
    """
    rows = open_rows(dataset, "train")
    seen = [each for each in map(_image, itertools.islice(rows.contents, SAMPLE)) if each]
    if not seen:
        raise UsageError(f"data set {dataset}: none of its first {SAMPLE} images can be read")
    stacked = dataset in STACKED
    return ImageFacts(
        count=rows.count,
        width=int(median(image.width for image in seen)),
        height=int(median(image.height for image in seen)),
        num_channels=CHANNELS if stacked else 1 if all(map(_is_grey, seen)) else 3,
        num_labels=_num_labels(rows.labels, stacked),
        splits=tuple(other_splits(lambda split: open_rows(dataset, split, max_rows=1))),
    )


def other_splits(opened: Callable[[str], object]) -> Iterator[str]:
    """The splits besides `train` that can be opened; what is noted on the way is noted before."""
    for split in ("validation", "test"):
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                opened(split)
            except (UsageError, NotFoundError):  # no such split
                continue
        yield split


def _num_labels(labels: list[int] | None, stacked: bool) -> int | None:
    """The number of classes, which are numbered from 0."""
    if labels is None or min(labels) < 0:
        return None
    classes = max(labels) + 1
    return int(classes**CHANNELS) if stacked else classes


def _image(content: bytes | Path | None) -> Image.Image | None:
    """The image in a cell, None where there is none or it is damaged."""
    try:
        if isinstance(content, Path):
            return open_image(content)
        return None if content is None else decode(content, "an image")
    except GenaeError:
        return None


def _is_grey(image: Image.Image) -> bool:
    """Whether all channels of an image are the same."""
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        return True
    pixels = np.asarray(image.convert("RGB"))
    return bool((pixels == pixels[..., :1]).all())
