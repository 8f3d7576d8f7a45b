"""Readers of legacy checkpoints: one mapping from name to lazy tensor, whatever the file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from convert.readers.archive import is_archive, unpack
from convert.readers.base import Checkpoint, LazyTensor
from convert.readers.keras3 import is_keras_zip, open_keras_zip
from convert.readers.keras_hdf5 import is_hdf5, open_hdf5
from convert.readers.object_graph import add_layers, is_object_graph
from convert.readers.tf_bundle import open_bundle
from convert.readers.tf_v1 import open_v1
from zoo.errors import IntegrityError, NotAllowedError, NotFoundError, UsageError

__all__ = ["Checkpoint", "LazyTensor", "open_checkpoint"]

ENDINGS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


def open_checkpoint(
    source: str | os.PathLike[str], *, verify_checksums: bool = True
) -> Checkpoint:
    """Open a legacy checkpoint; reads names and shapes, no values.

    Args:
        source: a folder, a checkpoint prefix, its `.index`, `.meta` or a data file, the
            `checkpoint` file, a Keras `.weights`/`.h5`/`.keras` file, a V1 file, or a zip or tar.
        verify_checksums: check each tensor's checksum as it is read.

    Returns:
        A mapping; close it, or use it in a `with`.

    Raises:
        NotFoundError: there is no checkpoint, or a part of it is missing.
        UsageError: a folder holds several, or the format is not read yet.
        IntegrityError: the files are damaged, or the system cannot read them.
        NotAllowedError: they may not be read.
    """
    try:
        return _open(locate(Path(source)), verify_checksums)
    except PermissionError as error:
        where = error.filename or source
        raise NotAllowedError(f"{where} may not be read: ask its owner, or copy it") from None
    except OSError as error:
        raise IntegrityError(f"{source}: cannot be read ({error.strerror or error})") from None


def _open(path: Path, verify_checksums: bool) -> Checkpoint:
    if not is_keras_zip(path) and is_archive(path):
        return _open_archive(path, verify_checksums)
    if path.name.endswith(".index"):
        bundle = open_bundle(
            path.with_name(path.name.removesuffix(".index")), verify_checksums=verify_checksums
        )
        return add_layers(bundle) if is_object_graph(bundle) else bundle
    if is_keras_zip(path):
        return open_keras_zip(path)
    return open_hdf5(path) if is_hdf5(path) else open_v1(shards_of(path))


def _open_archive(path: Path, verify_checksums: bool) -> Checkpoint:
    """The checkpoint inside a zip or tar; what lies beside it there comes along."""
    scratch = unpack(path)
    try:
        checkpoint = open_checkpoint(scratch.path, verify_checksums=verify_checksums)
    except BaseException:
        scratch.close()
        raise
    checkpoint.handles.insert(0, scratch)  # removed last
    checkpoint.details.append(f"in {path.name}")
    return checkpoint


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
        if is_hdf5(path) or is_table(path) or is_archive(path):
            return path
        raise _unknown(path, index)
    near = sorted(p.name for p in path.parent.glob("*.index")) if path.parent.is_dir() else []
    hint = f"; there is {', '.join(near)}" if near else ""
    raise NotFoundError(f"no checkpoint {path}: neither {index.name} nor this file exists{hint}")


def is_table(path: Path) -> bool:
    """Whether a file ends as TensorFlow's tables do."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(TABLE_MAGIC)))
        return file.read() == TABLE_MAGIC


def shards_of(path: Path) -> list[Path]:
    """All files of a V1 checkpoint, of which one was given.

    Raises:
        NotFoundError: some are missing.
    """
    match = SHARD.search(path.name)
    if not match:
        return [path]
    prefix, count = path.name[: match.start()], int(match[2])
    names = [f"{prefix}-{number:05}-of-{count:05}" for number in range(count)]
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise NotFoundError(f"{path} is one of {count} files; missing: {', '.join(missing[:5])}")
    return [path.with_name(name) for name in names]


def _in_folder(folder: Path) -> Path:
    """The only checkpoint of a folder."""
    if not any(folder.glob("*.index")) and (folder / "variables/variables.index").is_file():
        return folder / "variables" / "variables.index"  # a SavedModel
    found = sorted(path for path in folder.glob("*.index") if path.is_file())
    found += sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix in (".weights", ".h5", ".hdf5") and is_hdf5(path)
    )
    found += sorted(path for path in folder.glob("*.keras") if is_keras_zip(path))
    found += _tables(folder)
    if not found:
        raise NotFoundError(
            f"{folder}: holds no checkpoint (.index, .weights, .h5, .keras or a V1 file)"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"{folder} holds several checkpoints: {names}; give one of them")
    return found[0]


def _tables(folder: Path) -> list[Path]:
    """V1 checkpoints of a folder, the first file of each."""
    tables = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix != ".index" and path.stat().st_size and is_table(path)
    ]
    return [path for path in tables if (SHARD.search(path.name) or ["", "00000"])[1] == "00000"]


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
    if head.startswith(b"version https://git-lfs"):
        return IntegrityError(f"{path}: a Git LFS pointer; fetch the file with `git lfs pull`")
    if ENDINGS.search(path.name):
        return NotFoundError(f"{path} is a part of a checkpoint whose {index.name} is missing")
    return IntegrityError(f"{path}: neither a TensorFlow checkpoint nor HDF5")
