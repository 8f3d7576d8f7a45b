"""Pictures as data: found by name, decoded once, served by the batch."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names that __getattr__ finds, for type checkers and editors
    from .augmentation import AUGMENTATIONS, augment
    from .binarization import FROZEN_SEED, binarize, freeze_binarized
    from .files import iter_pictures, open_pictures
    from .pictures import PictureDataset, Pictures, load_pictures
    from .progress_bar import progress
    from .sources import DATASETS, Source

_HOMES = {
    "DATASETS": "sources",
    "Source": "sources",
    "Pictures": "pictures",
    "PictureDataset": "pictures",
    "load_pictures": "pictures",
    "AUGMENTATIONS": "augmentation",
    "augment": "augmentation",
    "FROZEN_SEED": "binarization",
    "binarize": "binarization",
    "freeze_binarized": "binarization",
    "open_pictures": "files",
    "iter_pictures": "files",
    "progress": "progress_bar",
}

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "FROZEN_SEED",
    "PictureDataset",
    "Pictures",
    "Source",
    "augment",
    "binarize",
    "freeze_binarized",
    "iter_pictures",
    "load_pictures",
    "open_pictures",
    "progress",
]


def __getattr__(name: str) -> object:
    """Load the module behind a name on first use: torch and datasets take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
