"""Keras 3's files: HDF5 whose data sets are numbered, alone or in a `.keras` archive."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from convert.readers.archive import BROKEN, Scratch
from convert.readers.base import Checkpoint
from zoo.errors import IntegrityError

WEIGHTS = "model.weights.h5"
MAX_RATIO = 1000  # of the archive's size that its weights may claim
ZIP = b"PK\x03\x04"
PIECE = 2**20


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip archive does, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def is_keras_zip(path: Path) -> bool:
    """Whether a file is an archive with Keras's weights in it."""
    if not is_zip(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist()
    except BROKEN:
        return False


def unsound(path: Path, error: BaseException) -> IntegrityError:
    """What to say of an archive that cannot be read; of one without its end, how much is there."""
    words = f"{error}"
    if is_zip(path) and not zipfile.is_zipfile(path):
        words = f"cut off after {path.stat().st_size} bytes, its end is missing"
    return IntegrityError(f"{path}: not a sound archive ({words}); get the file again")


def open_keras_zip(path: Path) -> Checkpoint:
    """Open the weights of a `.keras` archive; its configuration is not looked at.

    Raises:
        IntegrityError: it is damaged, or claims far more than it contains.
    """
    from convert.readers.keras.hdf5 import open_hdf5

    scratch = Scratch(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(WEIGHTS).file_size
            if size > MAX_RATIO * path.stat().st_size:
                raise IntegrityError(f"{path}: {WEIGHTS} claims {size} bytes; it is damaged")
            target = scratch.path / WEIGHTS
            with archive.open(WEIGHTS) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, PIECE)
        checkpoint = open_hdf5(target)
    except BROKEN as error:
        scratch.close()
        raise unsound(path, error) from None
    except BaseException:
        scratch.close()
        raise
    checkpoint.files = [path]
    checkpoint.details.append("in a .keras archive")
    checkpoint.handles.insert(0, scratch)
    return checkpoint
