"""Readers of legacy checkpoints: one mapping from name to lazy tensor, whatever the file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from convert.readers.base import Checkpoint, LazyTensor
from convert.readers.keras_hdf5 import is_hdf5, open_hdf5
from convert.readers.tf_bundle import open_bundle
from zoo.errors import IntegrityError, NotFoundError, UsageError

__all__ = ["Checkpoint", "LazyTensor", "open_checkpoint"]

ENDINGS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


def open_checkpoint(
    source: str | os.PathLike[str], *, verify_checksums: bool = True
) -> Checkpoint:
    """Open a legacy checkpoint; reads names and shapes, no values.

    Args:
        source: a folder, a checkpoint prefix, its `.index`, `.meta` or a data file, the
            `checkpoint` file, or a Keras `.weights`/`.h5` file.
        verify_checksums: check each tensor's checksum as it is read.

    Returns:
        A mapping; close it, or use it in a `with`.

    Raises:
        NotFoundError: there is no checkpoint, or a part of it is missing.
        UsageError: a folder holds several, or the format is not read yet.
        IntegrityError: the files are damaged.
    """
    path = locate(Path(source))
    if path.name.endswith(".index"):
        return open_bundle(
            path.with_name(path.name.removesuffix(".index")), verify_checksums=verify_checksums
        )
    return open_hdf5(path)


def locate(path: Path) -> Path:
    """The `.index` or HDF5 file that a path means."""
    if path.is_dir():
        return _in_folder(path)
    if path.name == "checkpoint" and path.is_file():
        return _newest(path)
    prefix = path.with_name(ENDINGS.sub("", path.name))
    index = prefix.with_name(f"{prefix.name}.index")
    if index.is_file():
        return index
    if path.is_file():
        if is_hdf5(path):
            return path
        raise _unknown(path, index)
    near = sorted(p.name for p in path.parent.glob("*.index")) if path.parent.is_dir() else []
    hint = f"; there is {', '.join(near)}" if near else ""
    raise NotFoundError(f"no checkpoint {path}: neither {index.name} nor this file exists{hint}")


def _in_folder(folder: Path) -> Path:
    """The only checkpoint of a folder."""
    if not any(folder.glob("*.index")) and (folder / "variables/variables.index").is_file():
        return folder / "variables" / "variables.index"  # a SavedModel
    found = sorted(folder.glob("*.index"))
    found += sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix in (".weights", ".h5", ".hdf5") and is_hdf5(path)
    )
    if not found:
        raise NotFoundError(f"{folder}: holds no checkpoint (.index, .weights or .h5)")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"{folder} holds several checkpoints: {names}; give one of them")
    return found[0]


def _newest(path: Path) -> Path:
    """What a `checkpoint` file names; its path is an author's machine's, its last part counts."""
    try:
        text = path.read_bytes()[: 2**20].decode("utf-8")
    except UnicodeDecodeError:
        raise IntegrityError(f"{path}: not the text that TensorFlow writes") from None
    match = re.search(r'^model_checkpoint_path:\s*"([^"\n]+)"', text, re.MULTILINE)
    name = re.split(r"[/\\]", match[1])[-1] if match else ""
    if name in ("", ".", ".."):
        raise IntegrityError(f"{path}: names no checkpoint (model_checkpoint_path)")
    index = path.with_name(f"{name}.index")
    if not index.is_file():
        raise NotFoundError(f"{path} names {name}, but {index} does not exist")
    return index


def _unknown(path: Path, index: Path) -> Exception:
    """What to say of a file that is neither."""
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(max(0, path.stat().st_size - 8))
        tail = file.read()
    if head.startswith(b"version https://git-lfs"):
        return IntegrityError(f"{path}: a Git LFS pointer; fetch the file with `git lfs pull`")
    if ENDINGS.search(path.name):
        return NotFoundError(f"{path} is a part of a checkpoint whose {index.name} is missing")
    if tail == TABLE_MAGIC:
        return UsageError(f"{path}: a TensorFlow V1 checkpoint, a format that is not read yet")
    return IntegrityError(f"{path}: neither a TensorFlow checkpoint nor HDF5")
