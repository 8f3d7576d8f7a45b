"""A small writer of TensorFlow checkpoints, for files that nobody has and for damaged ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

from convert.readers.tensorflow.table import MAGIC
from convert.wire.crc32c import crc32c, mask
from convert.writers.table import block, field, varint
from convert.writers.tf_bundle import NUMBERS

STRING = 7
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def shape_of(shape) -> bytes:
    return b"".join(field(2, field(1, size) if size else b"") for size in shape)


def entry(kind: int, shape, shard=0, offset=0, size=0, checksum=0, extra=b"") -> bytes:
    return (
        field(1, kind)
        + field(2, shape_of(shape))
        + (field(3, shard) if shard else b"")
        + (field(4, offset) if offset else b"")
        + (field(5, size) if size else b"")
        + varint(6 << 3 | 5)
        + (checksum & 0xFFFFFFFF).to_bytes(4, "little")
        + extra
    )


def literal_snappy(data: bytes) -> bytes:
    """Legal Snappy without a single copy."""
    out = bytearray(varint(len(data)))
    for start in range(0, len(data), 60):
        piece = data[start : start + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return bytes(out)


def table(entries: Mapping[bytes, bytes], *, per_block: int = 1000, snappy: bool = False) -> bytes:
    """A table file of sorted entries."""
    ordered = sorted(entries.items())
    out, handles = bytearray(), []

    def add(content: bytes) -> bytes:
        stored = (literal_snappy(content) + b"\1") if snappy else content + b"\0"
        place = varint(len(out)) + varint(len(stored) - 1)
        out.extend(stored + mask(crc32c(stored)).to_bytes(4, "little"))
        return place

    for start in range(0, max(1, len(ordered)), per_block):
        piece = ordered[start : start + per_block]
        handles.append((piece[-1][0] + b"\0" if piece else b"", add(block(piece))))
    meta, index = add(block([])), add(block(handles))
    return bytes(out) + (meta + index).ljust(40, b"\0") + MAGIC


def ordered(value: int) -> bytes:
    """TensorFlow's ordered code of a number from -1 on: as many leading one-bits as bytes."""
    if value == -1:
        return b"\x7f"
    size = next(size for size in range(1, 8) if value < 2 ** (7 * size - 1))
    ones = (2**size - 1) << (7 * size)
    return (ones + value).to_bytes(size, "big")


def slice_key(name: str, extents) -> bytes:
    escaped = name.encode().replace(b"\0", b"\0\xff").replace(b"\xff", b"\xff\0")
    rank = len(extents)
    number = (b"\1" + bytes([rank])) if rank else b"\0"
    return b"\0" + escaped + b"\0\1" + number + b"".join(ordered(v) for e in extents for v in e)


def extents_of(extents) -> bytes:
    return b"".join(
        field(1, (field(1, start) if start else b"") + (b"" if length == -1 else field(2, length)))
        for start, length in extents
    )


def write_bundle(
    folder: Path,
    tensors: Mapping[str, np.ndarray],
    *,
    shards: int = 1,
    big_endian: bool = False,
    rows: Mapping[str, list[int]] | None = None,
    strings: Sequence[str] = (),
    texts: Mapping[str, bytes] | None = None,
    **kind,
) -> Path:
    """Write a checkpoint; returns its prefix.

    Args:
        folder: where to.
        tensors: by name.
        shards: data files, filled in turn.
        big_endian: byte order of the values.
        strings: names of tensors that hold text.
        texts: the same with what they hold.
        rows: name -> heights of the slices along the first axis that it is stored in.
        kind: `per_block` and `snappy` of `table`.
    """
    prefix = folder / "model.ckpt"
    header = field(1, shards) + (field(2, 1) if big_endian else b"") + field(3, field(1, 1))
    records = {b"": header}
    data = [bytearray() for _ in range(shards)]

    def store(key: bytes, array: np.ndarray, turn: int) -> None:
        swapped = big_endian != (sys.byteorder == "big")
        raw = (array.byteswap() if swapped else array).tobytes()
        shard = turn % shards
        records[key] = entry(
            NUMBERS[array.dtype.name],
            array.shape,
            shard,
            len(data[shard]),
            len(raw),
            mask(crc32c(raw)),
        )
        data[shard] += raw

    for name in strings:
        records[name.encode()] = entry(STRING, (), 0, len(data[0]), 5)
        data[0] += b"\x04text"
    for name, text in (texts or {}).items():
        size = varint(len(text))
        stored = size + mask(crc32c(size)).to_bytes(4, "little") + text
        records[name.encode()] = entry(STRING, (), 0, len(data[0]), len(stored))
        data[0] += stored
    for turn, (name, array) in enumerate(sorted(tensors.items())):
        heights = (rows or {}).get(name)
        if heights is None:
            store(name.encode(), array, turn)
            continue
        slices, start = b"", 0
        for height in heights:
            whole = [(0, -1)] * (array.ndim - 1)
            extents = [(start, height), *whole]
            store(slice_key(name, extents), array[start : start + height], turn)
            slices += field(7, extents_of(extents))
            start += height
        number = NUMBERS[array.dtype.name]
        records[name.encode()] = field(1, number) + field(2, shape_of(array.shape)) + slices
    for shard, content in enumerate(data):
        prefix.with_name(f"model.ckpt.data-{shard:05}-of-{shards:05}").write_bytes(content)
    prefix.with_name("model.ckpt.index").write_bytes(table(records, **kind))
    return prefix


def graph_of(full_names: Mapping[str, str]) -> bytes:
    """A graph of objects that remembers names of variables: key of the checkpoint -> name."""
    return b"".join(
        field(
            1,
            field(
                2,
                field(1, b"VARIABLE_VALUE") + field(2, name.encode()) + field(3, key.encode()),
            ),
        )
        for key, name in full_names.items()
    )
