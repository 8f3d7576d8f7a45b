"""Keras 3's weights in several files, `model_00000.weights.h5` ..., by `model.weights.json`.

A data set belongs to the model where the table names its folder, so that what is in no file of its
folder is missing, and no file is looked for outside of the folder of the table.
"""

from __future__ import annotations

import json
from pathlib import Path

from convert.readers.base import Checkpoint
from convert.readers.keras.hdf5 import is_hdf5, open_hdf5
from convert.readers.keras.layers3 import keras3_layers
from zoo.errors import IntegrityError, NotFoundError

ENDING = ".weights.json"
MAP = "weight_map"
MAX_BYTES = 16 * 2**20  # of the table
MAX_FILES = 10_000
SHOWN = 5


def is_table(path: Path) -> bool:
    """Whether a file is the table of weights in several files, by its name."""
    return path.name.endswith(ENDING) and path.is_file()


def table_of(path: Path) -> Path | None:
    """The table that names a file with weights; None where there is none next to it."""
    prefix, sign, number = path.name.removesuffix(".weights.h5").rpartition("_")
    table = path.with_name(f"{prefix}{ENDING}")
    if not sign or not (number.isdecimal() and number.isascii()) or not is_table(table):
        return None
    return table if path.name in files_of(table) else None


def files_of(table: Path) -> list[str]:
    """The names of the files that a table names, in its order.

    Raises:
        IntegrityError: it is no such table.
    """
    if (size := table.stat().st_size) > MAX_BYTES:
        raise IntegrityError(f"{table}: {size} bytes of JSON; no table of weights has so much")
    try:
        content = json.loads(table.read_bytes())
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise IntegrityError(f"{table}: no table of weights ({why})") from None
    places = content.get(MAP) if isinstance(content, dict) else None
    if not isinstance(places, dict):
        raise IntegrityError(f"{table}: no table of weights, which has {MAP}")
    names: dict[str, None] = {}
    for folder, files in places.items():
        for name in files if isinstance(files, list) else [files]:
            if not isinstance(name, str) or not name or "/" in name or "\\" in name:
                raise IntegrityError(
                    f"{table}: {folder!r:.60} is in {name!r:.60}, which is no name of a file"
                )
            names[name] = None
    if not names or len(names) > MAX_FILES:
        raise IntegrityError(f"{table}: names {len(names)} files")
    return list(names)


def open_shards(table: Path) -> Checkpoint:
    """Open weights in several files by their table.

    Raises:
        NotFoundError: some are missing.
        IntegrityError: one is damaged, or two contain the same tensor.
        UnsafeError: as `open_hdf5`.
    """
    names = files_of(table)
    missing = [name for name in names if not table.with_name(name).is_file()]
    if missing:
        raise NotFoundError(
            f"{table} names {len(names)} files; missing: {', '.join(missing[:SHOWN])}; put all of "
            "them into one folder"
        )
    whole = Checkpoint("keras3", [table], {}, details=[f"{len(names)} files"])
    try:
        for name in names:
            path = table.with_name(name)
            if not is_hdf5(path):
                raise IntegrityError(f"{path}: not an HDF5 file; get it again")
            part = open_hdf5(path)
            whole.handles += part.handles
            whole.files.append(path)
            if twice := next((each for each in part if each in whole), None):
                raise IntegrityError(f"{path}: contains {twice!r}, as a file before it does")
            whole.tensors |= part.tensors
            whole.unreadable |= part.unreadable
    except BaseException:
        whole.close()
        raise
    whole.layers = keras3_layers(list(whole))
    return whole
