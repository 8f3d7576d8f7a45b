"""What both versions of TensorFlow's checkpoints share: types, shapes, slices and their keys."""

from __future__ import annotations

import bisect
import math
from typing import Any

import ml_dtypes
import numpy as np

from convert.wire.protobuf import WireError, bytes_of, fields, number_of, signed

#: Numbers of TensorFlow's DataType -> the type; names where there are no plain numbers.
DTYPES: dict[int, Any] = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    8: np.complex64,
    9: np.int64,
    10: np.bool_,
    11: np.int8,
    12: np.uint8,
    13: np.int32,
    14: ml_dtypes.bfloat16,
    15: np.int16,
    16: np.uint16,
    17: np.uint16,
    18: np.complex128,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
    24: ml_dtypes.float8_e5m2,
    25: ml_dtypes.float8_e4m3fn,
    26: ml_dtypes.float8_e4m3fnuz,
    27: ml_dtypes.float8_e4m3b11fnuz,
    28: ml_dtypes.float8_e5m2fnuz,
}
NO_NUMBERS = {7: "strings", 20: "a resource", 21: "a variant"}
MAX_AXES = 254
Extent = tuple[int, int]  # start and length along one axis; -1 is the whole axis


def shape_of(data: bytes, label: str) -> tuple[int, ...]:
    """The axes of a TensorShapeProto.

    Raises:
        WireError: it is no shape of an array.
    """
    axes = []
    for number, content in fields(data):
        if number == 3 and content:
            raise WireError(f"{label} has a shape of unknown rank")
        if number == 2:
            size = 0
            for inner, value in fields(bytes_of(content, label)):
                if inner == 1:
                    size = signed(number_of(value, label))
            if size < 0:
                raise WireError(f"{label} has an axis of {size}")
            axes.append(size)
    if len(axes) > MAX_AXES or math.prod(axes) >= 2**63:
        raise WireError(f"{label} has an impossible shape of {len(axes)} axes")
    return tuple(axes)


def extents_of(data: bytes, label: str) -> tuple[Extent, ...]:
    """The extents of a TensorSliceProto."""
    found = []
    for number, content in fields(data):
        if number == 1:
            start, length = 0, -1
            for inner, value in fields(bytes_of(content, label)):
                if inner == 1:
                    start = signed(number_of(value, label))
                elif inner == 2:
                    length = signed(number_of(value, label))
            found.append((start, length))
    return tuple(found)


def slice_key(key: bytes) -> tuple[str, tuple[Extent, ...]]:
    """The name and extents that the key of a slice encodes, in TensorFlow's ordered code.

    Raises:
        WireError: it is no such key.
    """
    position, name = 1, bytearray()
    while True:
        if position + 1 >= len(key):
            raise WireError(f"the key of a slice {key!r:.80} has no end of its name")
        byte, follow = key[position], key[position + 1]
        if byte == 0 and follow == 1:
            position += 2
            break
        if (byte, follow) in ((0, 0xFF), (0xFF, 0)):
            name.append(byte)
            position += 2
        elif byte in (0, 0xFF):
            raise WireError(f"the key of a slice {key!r:.80} is escaped wrongly")
        else:
            name.append(byte)
            position += 1
    size = key[position] if position < len(key) else 9
    if size > 8 or position + 1 + size > len(key):
        raise WireError(f"the key of a slice {key!r:.80} has no number of axes")
    rank = int.from_bytes(key[position + 1 : position + 1 + size], "big")
    position += 1 + size
    if rank > MAX_AXES:
        raise WireError(f"the key of a slice {key!r:.80} has {rank} axes")
    extents = []
    for _ in range(rank):
        start, position = _ordered(key, position)
        length, position = _ordered(key, position)
        extents.append((start, length))
    try:
        return name.decode("utf-8"), tuple(extents)
    except UnicodeDecodeError:
        raise WireError(f"the name in the key of a slice {key!r:.80} is not UTF-8") from None


def _ordered(key: bytes, position: int) -> tuple[int, int]:
    """A signed number of the ordered code: as many leading one-bits as bytes, for positives."""
    if position >= len(key):
        raise WireError(f"the key of a slice {key!r:.80} is cut off")
    negative = key[position] < 0x80
    head = key[position : position + 10]
    if negative:
        head = bytes(byte ^ 0xFF for byte in head)
    ones = bin(int.from_bytes(head.ljust(10, b"\0"), "big") | 1 << 80)[3:].find("0")
    size = ones
    if not 1 <= size <= 10 or position + size > len(key):
        raise WireError(f"the key of a slice {key!r:.80} contains a malformed number")
    bits = int.from_bytes(head[:size], "big") & ((1 << (8 * size - size - 1)) - 1)
    return (-bits - 1 if negative else bits), position + size


def any_overlap(boxes: list[list[Extent]]) -> bool:
    """Whether two boxes share a cell; sorted along the first axis, so few are compared."""
    filled = sorted(box for box in boxes if all(count for _, count in box))
    starts = [box[0][0] if box else 0 for box in filled]
    for i, box in enumerate(filled):
        end = box[0][0] + box[0][1] if box else 1
        for other in filled[i + 1 : bisect.bisect_left(starts, end)]:
            if all(a < c + d and c < a + b for (a, b), (c, d) in zip(box, other, strict=True)):
                return True
    return False
