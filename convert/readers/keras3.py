"""Keras 3's files: HDF5 whose data sets are numbered, alone or in a `.keras` archive."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

from convert.readers.archive import BROKEN, Scratch
from convert.readers.base import Checkpoint, Layer
from convert.readers.object_graph import rank
from zoo.errors import IntegrityError

#: A layer's data set: the layer, what lies inside it, the number.
VARIABLE = re.compile(
    r"^(?:_layer_checkpoint_dependencies|layers|.*/layers)/([^/]+)/(?:(.+)/)?vars/(\d+)$"
)
NUMBERED = re.compile(r"^(.*?)(?:_(\d+))?$")
WEIGHTS = "model.weights.h5"
MOST_RATIO = 1000  # of the archive's size that its weights may claim
ZIP = b"PK\x03\x04"
PIECE = 2**20


def keras3_layers(names: list[str]) -> list[Layer]:
    """Layers in the order of their class's numbers; empty where the names are others."""
    groups: dict[str, list[tuple[list[tuple[int, str]], int, str]]] = {}
    for name in names:
        if match := VARIABLE.match(name):
            inside = rank(match[2]) if match[2] else []
            groups.setdefault(match[1], []).append((inside, int(match[3]), name))
    return [
        Layer(layer, _kind(layer)[0], [name for _, _, name in sorted(groups[layer])])
        for layer in sorted(groups, key=_kind)
    ]


def _kind(layer: str) -> tuple[str, int]:
    """The class and number of `layer_normalization_12`."""
    match = NUMBERED.match(layer)
    assert match
    return match[1], int(match[2] or 0)


def is_keras_zip(path: Path) -> bool:
    """Whether a file is an archive with Keras's weights in it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(ZIP)) != ZIP:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist()
    except BROKEN:
        return False


def open_keras_zip(path: Path) -> Checkpoint:
    """Open the weights of a `.keras` archive; its configuration is not looked at.

    Raises:
        IntegrityError: it is damaged, or claims far more than it holds.
    """
    from convert.readers.keras_hdf5 import open_hdf5

    scratch = Scratch(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(WEIGHTS).file_size
            if size > MOST_RATIO * path.stat().st_size:
                raise IntegrityError(f"{path}: {WEIGHTS} claims {size} bytes; it is damaged")
            target = scratch.path / WEIGHTS
            with archive.open(WEIGHTS) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, PIECE)
        checkpoint = open_hdf5(target)
    except BROKEN as error:
        scratch.close()
        raise IntegrityError(f"{path}: not a sound archive ({error})") from None
    except BaseException:
        scratch.close()
        raise
    checkpoint.files = [path]
    checkpoint.details.append("in a .keras archive")
    checkpoint.handles.insert(0, scratch)
    return checkpoint
