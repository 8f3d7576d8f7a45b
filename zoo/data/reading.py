"""Images named by a user, as the bytes that a model's processor makes of them."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.files import iter_images, no_images_message, open_image
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
        changed: how many images had each of the forms that the processor changes.
    """

    pixels: "Tensor"
    files: list[Path]
    problems: list[str]
    changed: Counter[str]

    def skipped(self) -> tuple[list[str], int]:
        """The problems, and how many files there were in total."""
        return self.problems, len(self.problems) + len(self.files)


def read_images(
    names: list[str], processor: Any, *, skip_bad: bool = False, quiet: bool = True
) -> Read:
    """Open images and turn them into bytes with a model's image processor.

    Args:
        names: image files, folders of them, or names of example data sets.
        processor: the model's image processor.
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
    changed: Counter[str] = Counter()
    places = [path_of(name) for name in names]
    found = iter_images(places, skip_bad=skip_bad, problems=problems)
    for file, image in track(found, "reading", quiet=quiet):
        files.append(file)
        if form := processor.changed_form(image):
            changed[form] += 1
        pixels.append(processor.to_uint8(image))
    if not pixels:
        raise UsageError(no_images_message(problems))
    return Read(torch.from_numpy(np.stack(pixels)), files, problems, changed)


def check_exist(names: Iterable[str], *, skip_bad: bool = False) -> None:
    """Refuse names of files that do not exist, before a model is loaded for them.

    Raises:
        NotFoundError: as `read_images`.
    """
    for place in map(path_of, names):
        if not (skip_bad or Path(os.path.expanduser(place)).exists()):
            open_image(place)


def path_of(name: str) -> Path:
    """The file or folder of a name; the example data sets that ship are folders, too."""
    source = DATASETS.get(name)
    if source is None or not source.embedded or Path(name).exists():
        return Path(name)
    return Path(locate(name))
