"""HDF5 weights in several files, as transformers 4 wrote large ones: `tf_model-00001-of-00002.h5`.

Each file contains some of the tensors under their whole names; `tf_model.h5.index.json`, which
says which, is not needed.
"""

from __future__ import annotations

import re
from pathlib import Path

from convert.readers.base import Checkpoint
from convert.readers.keras.hdf5 import layers_of_names, open_hdf5
from zoo.errors import IntegrityError, NotFoundError

PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.h5|\.hdf5)")


def is_later_part(path: Path) -> bool:
    """Whether a file is one of several and not the first."""
    match = PART.fullmatch(path.name)
    return match is not None and int(match[2]) > 1


def parts_of(path: Path) -> list[Path]:
    """All files of which one was given; the file alone where it is all.

    Raises:
        NotFoundError: some are missing.
    """
    match = PART.fullmatch(path.name)
    if not match:
        return [path]
    names = [f"{match[1]}-{i:05}-of-{match[3]}{match[4]}" for i in range(1, int(match[3]) + 1)]
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise NotFoundError(
            f"{path} is one of {len(names)} files; missing: {', '.join(missing[:5])}; put all of "
            "them into one folder"
        )
    return [path.with_name(name) for name in names]


def open_parts(path: Path) -> Checkpoint:
    """Open HDF5 weights, all files of them.

    Raises:
        NotFoundError: some are missing.
        IntegrityError: one is damaged, or two contain the same tensor.
        UnsafeError: as `open_hdf5`.
    """
    first, *others = parts_of(path)
    checkpoint = open_hdf5(first)
    try:
        for other in others:
            part = open_hdf5(other)
            checkpoint.handles += part.handles
            checkpoint.files.append(other)
            if twice := next((name for name in part if name in checkpoint), None):
                raise IntegrityError(f"{other}: contains {twice!r}, as a file before it does")
            checkpoint.tensors |= part.tensors
            checkpoint.unreadable |= part.unreadable
    except BaseException:
        checkpoint.close()
        raise
    if others:
        checkpoint.layers = layers_of_names(list(checkpoint))
        checkpoint.details.append(f"{len(others) + 1} files")
    return checkpoint
