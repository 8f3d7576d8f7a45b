"""TensorFlow checkpoints of the second version, as `tf.train.Saver` writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.readers.tensorflow.slices import DTYPES
from convert.wire.crc32c import crc32c, mask
from convert.writers import Outgoing
from convert.writers.table import field, table, varint

#: Types -> TensorFlow's numbers; of two for one type the plain one.
NUMBERS: dict[str, int] = {np.dtype(kind).name: n for n, kind in reversed(DTYPES.items())}
HEADER = field(1, 1) + field(3, field(1, 1))  # one data file, little-endian, producer 1


def write(
    folder: Path,
    tensors: Sequence[Outgoing],
    *,
    prefix: str = "bert_model.ckpt",
    advance: Callable[[int], None] = lambda written: None,
) -> list[str]:
    """Write a checkpoint of one data file: tensors by name, without gaps.

    Args:
        folder: where to.
        tensors: in any order; their names differ.
        prefix: the beginning of the files' names.
        advance: called with bytes as they are written.

    Returns:
        The names of the files.
    """
    data, index = f"{prefix}.data-00000-of-00001", f"{prefix}.index"
    records, offset = [(b"", HEADER)], 0
    with (folder / data).open("wb") as file:
        for tensor in sorted(tensors, key=lambda one: one.name.encode()):
            crc = 0
            for piece in tensor.pieces():
                little = np.ascontiguousarray(piece, dtype=tensor.dtype.newbyteorder("<"))
                raw = little.reshape(-1).view(np.uint8).data
                crc = crc32c(raw, crc)
                file.write(raw)
                advance(len(raw))
            record = entry(tensor.dtype, tensor.shape, offset, tensor.nbytes, mask(crc))
            records.append((tensor.name.encode(), record))
            offset += tensor.nbytes
    (folder / index).write_bytes(table(records))
    lines = (
        f'{key}: "{prefix}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths")
    )
    (folder / "checkpoint").write_text("".join(lines), encoding="utf-8")
    return [index, data, "checkpoint"]


def entry(
    dtype: np.dtype[Any], shape: Sequence[int], offset: int, size: int, checksum: int
) -> bytes:
    """What the index says of a tensor; zeros are left out, as in every protocol buffer."""
    axes = b"".join(field(2, field(1, axis) if axis else b"") for axis in shape)
    return (
        field(1, NUMBERS[dtype.name])
        + field(2, axes)
        + (field(4, offset) if offset else b"")
        + (field(5, size) if size else b"")
        + varint(6 << 3 | 5)
        + checksum.to_bytes(4, "little")
    )
