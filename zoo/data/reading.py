"""Images that people name, as bytes that a model's processor made."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.files import iter_images, nothing_left, open_image
from zoo.data.sources import DATASETS, locate
from zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


class Read(NamedTuple):
    """What was read.

    Attributes:
        pixels: uint8 `(N, C, S, S)`.
        files: of each image.
        problems: a line for each file that was skipped.
    """

    pixels: "Tensor"
    files: list[Path]
    problems: list[str]

    def skipped(self) -> tuple[list[str], int]:
        """The problems, and how many files there were in all."""
        return self.problems, len(self.problems) + len(self.files)


def read_images(
    names: list[str], processor: Any, *, skip_bad: bool = False, quiet: bool = True
) -> Read:
    """Open named images and let a model's image processor make bytes of them.

    Args:
        names: image files, folders of them, or names of example data sets.
        processor: the model's.
        skip_bad: skip a bad file even if it was named; one in a folder is always skipped.
        quiet: draw no progress bar.

    Raises:
        NotFoundError: as `zoo.data.iter_images`.
        UsageError: likewise, or no image is left.
    """
    import numpy as np
    import torch

    from zoo.progress import track

    problems: list[str] = []
    files: list[Path] = []
    pixels: list[np.ndarray] = []
    places = [place_of(name) for name in names]
    found = iter_images(places, skip_bad=skip_bad, problems=problems)
    for file, image in track(found, "reading", quiet=quiet):
        files.append(file)
        pixels.append(processor.to_uint8(image))
    if not pixels:
        raise UsageError(nothing_left(problems))
    return Read(torch.from_numpy(np.stack(pixels)), files, problems)


def check_there(names: Iterable[str], *, skip_bad: bool = False) -> None:
    """Refuse names of which nothing is there, before a model is loaded for them.

    Raises:
        NotFoundError: as `read_images`.
    """
    for place in map(place_of, names):
        if not (skip_bad or Path(os.path.expanduser(place)).exists()):
            open_image(place)


def place_of(name: str) -> Path:
    """The file or folder of a name; the data sets of examples that ship are folders, too."""
    source = DATASETS.get(name)
    if source is None or not source.embedded or Path(name).exists():
        return Path(name)
    return Path(locate(name))
