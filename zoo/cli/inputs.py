"""What the drawing verbs read: a model with its image processor, and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.common import say
from zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

SHOWN_PROBLEMS = 5  # a damaged folder should not fill the screen


def load(name: str, method: str) -> tuple[Any, Any]:
    """A model and its image processor.

    Args:
        name: an id or a folder.
        method: what the model is going to be asked for, such as "sample".

    Raises:
        NotFoundError: if there is no such model, or no image processor beside it.
        IntegrityError: if the files of the model or its processor are malformed.
        UsageError: if the model cannot do that, or its processor makes pictures of another shape.
    """
    from transformers.utils import logging

    import zoo
    from zoo import catalog
    from zoo.registry import resolve

    # transformers would draw a bar while it reads a file of 4 MB.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    place = resolve(name)
    model = zoo.from_pretrained(place)
    if not hasattr(model, method):
        title = catalog.find_config(model.config.model_type).title
        raise UsageError(
            f"{name} is a {title} and cannot {method}; `genae evaluate` measures it, and "
            "`genae list` shows the models that draw"
        )
    processor = zoo.load_image_processor(place)
    config = model.config
    wanted = (config.num_channels, config.image_size)
    if (processor.num_channels, processor.output_size) != wanted:
        raise UsageError(
            f"{name}: its preprocessor_config.json makes pictures of {processor.num_channels} "
            f"channels and {processor.output_size} pixels a side, the model reads {wanted[0]} "
            f"and {wanted[1]}; correct the file"
        )
    return model, processor


def read(
    names: list[str], processor: Any, skip_bad: bool, quiet: bool
) -> tuple["Tensor", list[Path], list[str]]:
    """Named pictures as uint8 `(N, C, S, S)`, their files, and a line for each one skipped.

    Args:
        names: picture files, folders, or the names of example data sets.
        processor: the model's image processor.
        skip_bad: skip a bad file even if it was named.
        quiet: draw no progress bar.

    Raises:
        NotFoundError: as `zoo.data.iter_pictures`.
        UsageError: likewise, or if no picture is left.
    """
    import numpy as np
    import torch

    from zoo.data import progress
    from zoo.data.files import iter_pictures, nothing_left

    problems: list[str] = []
    files: list[Path] = []
    pixels: list[np.ndarray] = []
    found = iter_pictures([place_of(name) for name in names], skip_bad=skip_bad, problems=problems)
    for file, picture in progress(found, "reading", quiet=quiet):
        files.append(file)
        pixels.append(processor.to_uint8(picture))
    if not pixels:
        raise UsageError(nothing_left(problems))
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"skipped {problem}")
    if problems:
        say(f"skipped {len(problems)} of {len(problems) + len(files)} files")
    return torch.from_numpy(np.stack(pixels)), files, problems


def place_of(name: str) -> Path:
    """The file or folder of a name; the data sets of examples that ship are folders, too."""
    from zoo.data.sources import DATASETS, locate

    source = DATASETS.get(name)
    if source is None or not source.embedded or Path(name).exists():
        return Path(name)
    return Path(locate(name))


def ends_in_folder(names: list[str]) -> bool:
    """Whether the last name is a folder's, so that the number of pictures was no one's choice."""
    return place_of(names[-1]).is_dir()
