"""safetensors files as lazy tensors: plain reads, for pages of a memory map count as memory.

The layout: eight bytes with the header's length, the header as JSON, then the tensors' bytes
(https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from convert.readers.base import Checkpoint
from convert.readers.contents import check_content
from convert.weights.lazy import Box, LazyTensor
from convert.wire.safetensors import DTYPES as NAMES
from convert.wire.safetensors import WEIGHTS
from zoo.errors import IntegrityError, NotFoundError
from zoo.header import safetensors_header

PANEL = 4 * 2**20  # bytes of rows that are read at a time
DTYPES = {
    word: np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    for name, word in NAMES.items()
}


@dataclass
class SafeTensor(LazyTensor):
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    file: BinaryIO
    start: int

    def block(self, box: Box) -> np.ndarray:
        """The values in a box: a range of every axis, with start and stop."""
        if not box:
            return self._rows(0, 1).reshape(())
        first, *rest = box
        out = np.empty([where.stop - where.start for where in box], self.dtype)
        height = max(1, PANEL * self.shape[0] // max(1, self.nbytes))
        for start in range(first.start, first.stop, height):
            stop = min(start + height, first.stop)
            rows = self._rows(start, stop)[(slice(None), *rest)]
            out[start - first.start : stop - first.start] = rows
        return out

    def _rows(self, start: int, stop: int) -> np.ndarray:
        shape = (stop - start, *self.shape[1:])
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        self.file.seek(self.start + start * row)
        data = self.file.read((stop - start) * row)
        if len(data) != (stop - start) * row:
            raise IntegrityError(f"{self.file.name}: ends inside of {self.name!r}; get it again")
        little = np.frombuffer(data, self.dtype.newbyteorder("<")).reshape(shape)
        return little.astype(self.dtype, copy=False)


def open_safetensors(folder: Path) -> Checkpoint:
    """Open the weights of a model's folder; reads the headers only.

    Raises:
        NotFoundError: the folder has none, or a file of several is missing.
        IntegrityError: a file is damaged.
    """
    checkpoint = Checkpoint("safetensors", _files(folder), {})
    try:
        for path in checkpoint.files:
            file = path.open("rb")
            checkpoint.handles.append(file)
            for tensor in _tensors(file, path):
                if tensor.name in checkpoint.tensors:
                    raise IntegrityError(f"{path}: {tensor.name!r} is in another file as well")
                checkpoint.tensors[tensor.name] = tensor
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def _files(folder: Path) -> list[Path]:
    """The only file, or those that the index names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        raise NotFoundError(
            f"{folder} contains no {WEIGHTS}: give a folder with a model's weights"
        )
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        paths = [folder / Path(name).name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise IntegrityError(f"{index}: not an index of weights; get it again") from None
    for path in paths:
        if not path.is_file():
            raise NotFoundError(f"{path} is missing, which {index.name} names")
    return paths


def _tensors(file: BinaryIO, path: Path) -> Iterator[SafeTensor]:
    """The header of a file, checked against the file's size."""
    check_content(path, raw=True)
    header = safetensors_header(path)
    start = 8 + int.from_bytes(file.read(8), "little")
    for name, entry in header.items():
        if entry["dtype"] not in DTYPES:
            raise IntegrityError(
                f"{path}: {name!r} is of type {entry['dtype']}, which is not converted"
            )
        begin, _ = entry["data_offsets"]
        shape, dtype = tuple(entry["shape"]), DTYPES[entry["dtype"]]
        yield SafeTensor(name, shape, dtype, file, start + begin)
