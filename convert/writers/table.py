"""Sorted tables in blocks, byte for byte as LevelDB's and TensorFlow's writers lay them out.

Format: https://github.com/google/leveldb/blob/main/doc/table_format.md. Nothing is compressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convert.readers.tensorflow.table import FOOTER, MAGIC
from convert.wire.crc32c import crc32c, mask

BLOCK = 256 * 2**10  # bytes after which TensorFlow closes a block
INTERVAL = 16  # entries between two whole keys of a data block

Entry = tuple[bytes, bytes]


def varint(value: int) -> bytes:
    """A number of seven bits a byte; a negative one as 64 bits."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer's message: a number, or bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: Iterable[Entry], interval: int = INTERVAL) -> bytes:
    """The content of a block: of each key what differs from the one before.

    Args:
        entries: in the order of keys.
        interval: after so many entries a key is stored whole.
    """
    out, restarts, last = bytearray(), [], b""
    for count, (key, value) in enumerate(entries):
        shared = 0
        if count % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    for place in restarts or [0]:
        out += place.to_bytes(4, "little")
    return bytes(out + len(restarts or [0]).to_bytes(4, "little"))


def table(entries: Sequence[Entry], block_bytes: int = BLOCK) -> bytes:
    """A whole table.

    Args:
        entries: in the order of keys, which all differ.
        block_bytes: a block is closed when it is as large.
    """
    out, handles = bytearray(), []

    def add(content: bytes) -> bytes:
        place = varint(len(out)) + varint(len(content))
        stored = content + b"\0"
        out.extend(stored + mask(crc32c(stored)).to_bytes(4, "little"))
        return place

    start = 0
    for stop in _cuts(entries, block_bytes):
        last = entries[stop - 1][0]
        follow = entries[stop][0] if stop < len(entries) else None
        key = _between(last, follow) if follow is not None else _after(last)
        handles.append((key, add(block(entries[start:stop]))))
        start = stop
    meta, index = add(block([])), add(block(handles, 1))
    return bytes(out) + (meta + index).ljust(FOOTER - len(MAGIC), b"\0") + MAGIC


def _cuts(entries: Sequence[Entry], max_bytes: int) -> Iterable[int]:
    """Where blocks end: behind the entry that makes one as large as it may be."""
    size, begin, last = 0, 0, b""
    for place, (key, value) in enumerate(entries):
        count = place - begin
        shared = 0
        if count % INTERVAL == 0:
            size += 4
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        rest = len(key) - shared
        size += len(varint(shared) + varint(rest) + varint(len(value))) + rest + len(value)
        last = key
        if size + 4 >= max_bytes or place == len(entries) - 1:
            yield place + 1
            size, begin = 0, place + 1


def _between(low: bytes, high: bytes) -> bytes:
    """A short key that is not before `low` and before `high`."""
    shared = 0
    while shared < min(len(low), len(high)) and low[shared] == high[shared]:
        shared += 1
    if shared < min(len(low), len(high)) and low[shared] + 1 < high[shared]:
        return low[:shared] + bytes([low[shared] + 1])
    return low


def _after(key: bytes) -> bytes:
    """A short key that is not before this one."""
    for place, byte in enumerate(key):
        if byte != 0xFF:
            return key[:place] + bytes([byte + 1])
    return key
