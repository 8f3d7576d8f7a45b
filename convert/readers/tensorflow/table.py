"""Sorted tables of keys and values, in blocks, as LevelDB and TensorFlow's index files have them.

Format: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convert.wire.crc32c import crc32c, mask
from convert.wire.protobuf import WireError, varint
from convert.wire.snappy import decompress

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
TRAILER = 5  # compression type, masked checksum
LARGE = 2**20  # bytes of a block that is left in its file


def is_table(path: Path) -> bool:
    """Whether a file ends as TensorFlow's tables do."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        return file.read() == MAGIC


def entries(data: Any) -> Iterator[tuple[bytes, Any]]:
    """Every (key, value) of a table, in the order of keys.

    Args:
        data: the whole file, as bytes or as a `Span`, of which large blocks stay where they are:
            then their values are parts of the span, under the block's checksum.

    Raises:
        WireError: it is no such table; says where.
    """
    if len(data) < FOOTER:
        raise WireError(f"{len(data)} bytes are too few for a table's footer of {FOOTER}")
    footer = bytes(data[len(data) - FOOTER :])
    if footer[-8:] != MAGIC:
        raise WireError(f"its last 8 bytes are {footer[-8:].hex()}, not a table's {MAGIC.hex()}")
    handles = footer[:-8]
    _, _, position = _handle(handles, 0)
    offset, size, _ = _handle(handles, position)
    last = None
    for _, value in _block(data, offset, size, "index block"):
        begin, length, _ = _handle(value, 0)
        for key, entry in _block(data, begin, length, f"block at byte {begin}"):
            if last is not None and key <= last:
                raise WireError(f"keys are out of order: {key!r:.80} after {last!r:.80}")
            last = key
            yield key, entry


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return offset, size, position


def _block(data: Any, offset: int, size: int, name: str) -> Iterator[tuple[bytes, Any]]:
    """The entries of one block."""
    if offset + size + TRAILER > len(data) - FOOTER:
        raise WireError(f"{name}: {size} bytes at {offset} run past the file of {len(data)}")
    stored = data[offset : offset + size + 1]
    checksum = int.from_bytes(bytes(data[offset + size + 1 : offset + size + TRAILER]), "little")
    kind = stored[size]
    if kind == 0 and size > LARGE and not isinstance(data, bytes):
        stored = stored.sealed(checksum, name)
    else:
        stored = bytes(stored)
        if mask(crc32c(stored)) != checksum:
            raise WireError(f"{name}: its checksum is wrong")
    if kind not in (0, 1):
        raise WireError(f"{name}: unknown compression {kind}")
    content = decompress(stored[:size]) if kind else stored[:size]
    if len(content) < 4:
        raise WireError(f"{name}: too short")
    restarts = int.from_bytes(bytes(content[len(content) - 4 :]), "little")
    end = len(content) - 4 * (restarts + 1)
    if end < 0:
        raise WireError(f"{name}: {restarts} restarts do not fit into {len(content)} bytes")
    places = bytes(content[end : len(content) - 4])
    if any(place > end for (place,) in struct.iter_unpack("<I", places)):
        raise WireError(f"{name}: a restart lies past its entries")
    content, position = content[:end], 0
    key: bytes | None = None
    while position < end:
        shared, position = varint(content, position)
        new, position = varint(content, position)
        length, position = varint(content, position)
        before = key or b""
        if shared > len(before) or new + length > end - position:
            raise WireError(f"{name}: an entry runs past the block")
        following = before[:shared] + bytes(content[position : position + new])
        position += new
        if key is not None and following <= key:
            raise WireError(f"{name}: keys are out of order")
        key = following
        yield key, content[position : position + length]
        position += length
