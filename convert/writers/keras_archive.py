"""Whole models as Keras 3 saves them: a zip of the architecture and the weights in HDF5."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from convert.writers import Outgoing
from convert.writers.keras_hdf5 import fill

KERAS = "3.15.1"
WEIGHTS = "model.weights.h5"
DATE = (1980, 1, 1, 0, 0, 0)  # of all members, so that the same model gives the same bytes


def write(
    path: Path,
    model: str,
    weights: Sequence[Outgoing],
    *,
    advance: Callable[[int], None] = lambda written: None,
) -> None:
    """Write an archive.

    Args:
        path: of the file; the weights lie next to it while it is made.
        model: its architecture, JSON.
        weights: by their places, such as `layers/conv2d/vars/0`.
        advance: called with bytes as they are written.
    """
    import h5py

    place = path.with_name(f"{path.name}.{WEIGHTS}")
    try:
        with h5py.File(place, "w") as file:
            for weight in weights:
                fill(file, weight, advance)
        with zipfile.ZipFile(path, "w") as archive:
            texts = {"metadata.json": f'{{"keras_version": "{KERAS}"}}', "config.json": model}
            for name, text in texts.items():
                archive.writestr(zipfile.ZipInfo(name, DATE), text)
            member = zipfile.ZipInfo(WEIGHTS, DATE)
            member.file_size = place.stat().st_size
            with place.open("rb") as stored, archive.open(member, "w") as target:
                shutil.copyfileobj(stored, target, 2**20)
    finally:
        place.unlink(missing_ok=True)
