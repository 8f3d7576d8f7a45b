"""The wire format of protocol buffers, as far as checkpoints use it: one flat message.

Data may be `bytes` or a range of a file that is cut as bytes are; what is cut from it stays there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_VARINT = 10  # bytes


class WireError(ValueError):
    """Bytes that are no such message; the reader adds file and place."""


def varint(data: Any, position: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends.

    Raises:
        WireError: it runs past the end or is longer than 64 bits.
    """
    if position < len(data) and data[position] < 0x80:  # nearly all are
        return data[position], position + 1
    value = 0
    for count in range(MAX_VARINT):
        if position >= len(data):
            raise WireError(f"a number runs past the end at byte {position}")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value >= 2**64:
                raise WireError(f"a number of more than 64 bits ends at byte {position}")
            return value, position
    raise WireError(f"a number of more than {MAX_VARINT} bytes at byte {position - MAX_VARINT}")


def signed(value: int) -> int:
    """A 64-bit number that may be negative."""
    return value - 2**64 if value >= 2**63 else value


def fields(data: Any) -> Iterator[tuple[int, Any]]:
    """(field number, value) in stored order: numbers for wire types 0, 1 and 5, bytes for 2.

    Raises:
        WireError: the message is malformed.
    """
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {position}")
        if kind == 0:
            value, position = varint(data, position)
            yield number, value
            continue
        if kind == 2:
            size, position = varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise WireError(f"wire type {kind} of field {number} is not used by checkpoints")
        if size > len(data) - position:
            raise WireError(f"field {number} of {size} bytes runs past the end")
        piece = data[position : position + size]
        position += size
        yield number, piece if kind == 2 else int.from_bytes(bytes(piece), "little")


def number_of(value: Any, what: str) -> int:
    """A field that must be a number."""
    if not isinstance(value, int):
        raise WireError(f"{what} is no number")
    return value


def bytes_of(value: Any, what: str) -> bytes:
    """A field that must be bytes."""
    return bytes(part_of(value, what))


def part_of(value: Any, what: str) -> Any:
    """A field that must be bytes, left where it is."""
    if isinstance(value, int):
        raise WireError(f"{what} is a number, not a message")
    return value
