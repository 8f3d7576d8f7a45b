"""CRC-32C (Castagnoli), as TensorFlow's files store it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PIECE = 4 * 2**20  # bytes at a time: a piece stays in the cache between reading and adding up
MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview | np.ndarray, crc: int = 0) -> int:
    """The checksum of bytes, going on from the checksum of what came before.

    Example:
        >>> hex(crc32c(b"123456789")), hex(crc32c(b"6789", crc32c(b"12345")))
        ('0xe3069283', '0xe3069283')
    """
    import google_crc32c
    import numpy as np

    # The library takes an array as it is, but no memoryview of bytes that may change.
    return int(google_crc32c.extend(crc, np.frombuffer(data, np.uint8)))


def mask(crc: int) -> int:
    """As stored: rotated and shifted, so that a checksum of checksums is not weak."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF
