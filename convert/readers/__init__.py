"""Readers of legacy checkpoints: one mapping from name to lazy tensor, whatever the file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from convert.readers.archive import is_archive, shown, split, unpack
from convert.readers.base import Checkpoint
from convert.readers.keras.archive3 import is_keras_zip, open_keras_zip
from convert.readers.keras.hdf5 import is_hdf5
from convert.readers.keras.parts import open_parts
from convert.readers.keras.shards import is_table as is_table_of_shards
from convert.readers.keras.shards import open_shards
from convert.readers.locating import Located, SeveralCheckpointsError, locate, shards_of
from convert.readers.tensorflow.bundle import open_bundle
from convert.readers.tensorflow.object_graph import add_layers, is_object_graph
from convert.readers.tensorflow.v1 import open_v1
from convert.weights.lazy import LazyTensor
from zoo.errors import IntegrityError, NotAllowedError, UsageError

#: Also one that became a path, which has lost a slash.
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+:)//?(?=[^/])", re.IGNORECASE)

__all__ = ["Checkpoint", "LazyTensor", "SeveralCheckpointsError", "open_checkpoint"]


def open_checkpoint(
    source: str | os.PathLike[str], *, verify_checksums: bool = True
) -> Checkpoint:
    """Open a legacy checkpoint; reads names and shapes, no values.

    Args:
        source: a folder, a checkpoint prefix, its `.index`, `.meta` or a data file, the
            `checkpoint` file, a Keras `.weights`/`.h5`/`.keras` file, the `.weights.json` of
            several, a V1 file, or a zip or tar; `bert.zip!inner/place` is one of these inside an
            archive.
        verify_checksums: check each tensor's checksum as it is read.

    Returns:
        A mapping; close it, or use it in a `with`.

    Raises:
        NotFoundError: there is no checkpoint, or a part of it is missing.
        SeveralCheckpointsError: a folder contains several.
        UsageError: it is an address, or the format is not read yet.
        IntegrityError: the files are damaged, or something else than their names say, or the
            system cannot read them.
        NotAllowedError: they may not be read.
    """
    if (address := ADDRESS.match(os.fspath(source))) and not os.path.isdir(address[1]):
        text = f"{address[1]}//{os.fspath(source)[address.end() :]}"
        raise UsageError(
            f"{text} is an address, and files of this machine are read: download it, give its path"
        )
    path = Path(os.path.expanduser(source))
    try:
        if found := _in_archive(path):
            return _open_archive(*found, verify_checksums)
        return _open(locate(path), verify_checksums)
    except PermissionError as error:
        where = shown(str(error.filename or path))
        raise NotAllowedError(f"{where} may not be read: ask its owner, or copy it") from None
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error.strerror or error})") from None


def _in_archive(path: Path) -> tuple[Path, str] | None:
    """The archive and the place in it that a path means, where no file of that name exists."""
    if path.is_file() and not is_keras_zip(path) and not is_hdf5(path) and is_archive(path):
        return path, ""
    if path.exists() or path.with_name(f"{path.name}.index").exists():
        return None
    return split(path)


def _open(found: Located, verify_checksums: bool) -> Checkpoint:
    path = found.path
    checkpoint = _open_file(path, verify_checksums)
    checkpoint.notes[:0] = found.notes
    checkpoint.places = found.places
    return checkpoint


def _open_file(path: Path, verify_checksums: bool) -> Checkpoint:
    if path.name.endswith(".index"):
        bundle = open_bundle(
            path.with_name(path.name.removesuffix(".index")), verify_checksums=verify_checksums
        )
        return add_layers(bundle) if is_object_graph(bundle) else bundle
    if is_table_of_shards(path):
        return open_shards(path)
    if is_keras_zip(path):
        return open_keras_zip(path)
    return open_parts(path) if is_hdf5(path) else open_v1(shards_of(path))


def _open_archive(path: Path, inner: str, verify_checksums: bool) -> Checkpoint:
    """The checkpoint at a place in a zip or tar; its companion files there come along."""
    scratch = unpack(path, inner)
    try:
        found = locate(scratch.path / inner)
        if is_archive(found.path) and not is_keras_zip(found.path):
            raise UsageError(f"{found.path}: an archive inside an archive; unpack the outer one")
        found.root = scratch.path
        checkpoint = _open(found, verify_checksums)
    except BaseException:
        scratch.close()
        raise
    checkpoint.handles.insert(0, scratch)  # removed last
    checkpoint.details.append(f"in {path.name}")
    return checkpoint
