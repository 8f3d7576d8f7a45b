"""Sorted tables of keys and values, in blocks, as LevelDB and TensorFlow's index files have them.

Format: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.readers.crc32c import crc32c, mask
from convert.readers.protobuf import WireError, varint
from convert.readers.snappy import decompress

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
TRAILER = 5  # compression type, masked checksum


def entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) of a table, in the order of keys.

    Args:
        data: the whole file; index files are small.

    Raises:
        WireError: it is no such table; says where.
    """
    if len(data) < FOOTER:
        raise WireError(f"{len(data)} bytes are too few for a table's footer of {FOOTER}")
    footer = data[-FOOTER:]
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


def _block(data: bytes, offset: int, size: int, name: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one block."""
    if offset + size + TRAILER > len(data) - FOOTER:
        raise WireError(f"{name}: {size} bytes at {offset} run past the file of {len(data)}")
    stored = data[offset : offset + size + 1]
    checksum = int.from_bytes(data[offset + size + 1 : offset + size + TRAILER], "little")
    if mask(crc32c(stored)) != checksum:
        raise WireError(f"{name}: its checksum is wrong")
    kind = stored[-1]
    if kind not in (0, 1):
        raise WireError(f"{name}: unknown compression {kind}")
    content = decompress(stored[:-1]) if kind else stored[:-1]
    if len(content) < 4:
        raise WireError(f"{name}: too short")
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    if end < 0:
        raise WireError(f"{name}: {restarts} restarts do not fit into {len(content)} bytes")
    for i in range(restarts):
        place = end + 4 * i
        if int.from_bytes(content[place : place + 4], "little") > end:
            raise WireError(f"{name}: a restart lies past its entries")
    content, position, key = content[:end], 0, b""
    while position < end:
        shared, position = varint(content, position)
        new, position = varint(content, position)
        length, position = varint(content, position)
        if shared > len(key) or new + length > end - position:
            raise WireError(f"{name}: an entry runs past the block")
        following = key[:shared] + content[position : position + new]
        position += new
        if following <= key and position > new + 3:
            raise WireError(f"{name}: keys are out of order")
        key = following
        yield key, content[position : position + length]
        position += length
