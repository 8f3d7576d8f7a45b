"""CRC-32C (Castagnoli), with the C library where it is installed, else on NumPy lanes.

One byte at a time is far too slow in Python. A checksum is linear over GF(2), so many lanes run
side by side, four bytes a step through two tables of 65,536 entries, and their results are joined
by the matrix that moves a checksum over a lane's length of zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

POLYNOMIAL = 0x82F63B78  # reflected
LANE = 512  # bytes; a lane's steps are a Python loop
MOST = 4 * 2**20  # bytes at a time: the lanes of one piece stay in the cache
MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview | np.ndarray, crc: int = 0) -> int:
    """The checksum of bytes, going on from the checksum of what came before.

    Example:
        >>> hex(crc32c(b"123456789")), hex(crc32c(b"6789", crc32c(b"12345")))
        ('0xe3069283', '0xe3069283')
    """
    return _best()(data, crc)


def mask(crc: int) -> int:
    """As stored: rotated and shifted, so that a checksum of checksums is not weak."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


@cache
def _best() -> Callable[..., int]:
    try:
        import google_crc32c
    except ImportError:
        return lanes
    if google_crc32c.implementation != "c":
        return lanes

    import numpy as np

    def c(data: bytes | memoryview | np.ndarray, crc: int = 0) -> int:
        # The library takes an array as it is, but no memoryview of bytes that may change.
        return int(google_crc32c.extend(crc, np.frombuffer(data, np.uint8)))

    return c


def lanes(data: bytes | memoryview | np.ndarray, crc: int = 0) -> int:
    """The checksum without the C library."""
    import numpy as np

    view = np.frombuffer(data, np.uint8)
    state = crc ^ 0xFFFFFFFF
    for start in range(0, len(view), MOST):
        piece = view[start : start + MOST]
        whole = len(piece) // LANE * LANE
        if whole >= 64 * LANE:
            state = _lanes(piece[:whole], state)
            piece = piece[whole:]
        state = _bytewise(piece.tobytes(), state)
    return state ^ 0xFFFFFFFF


def _bytewise(data: bytes, state: int) -> int:
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def _lanes(piece: np.ndarray, state: int) -> int:
    """The state after a piece of whole lanes."""
    import numpy as np

    low, high = _wide_tables()
    words = np.ascontiguousarray(piece.view("<u4").reshape(-1, LANE // 4).T)
    states = np.zeros(words.shape[1], np.uint32)
    states[0] = state
    halves = states.view("<u2")  # of each state the lower, then the upper
    first, second = np.empty_like(states), np.empty_like(states)
    for word in words:
        states ^= word
        np.take(low, halves[0::2], out=first, mode="clip")
        np.take(high, halves[1::2], out=second, mode="clip")
        np.bitwise_xor(first, second, out=states)
    # Neighbours are joined pair by pair; of an odd number the first waits for the next round.
    length = LANE
    while len(states) > 1:
        odd = len(states) % 2
        left, right = states[odd::2], states[odd + 1 :: 2]
        joined = _times(_zeros(length), left) ^ right
        if odd:  # its own length does not matter, only the equal lengths of those after it
            joined = np.concatenate([states[:1], joined])
        states = joined
        length *= 2
    return int(states[0])


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


@cache
def _wide_tables() -> tuple[np.ndarray, np.ndarray]:
    """What the lower and the upper half of a word become after four bytes of zeros."""
    import numpy as np

    table = np.array(_table(), np.uint32)
    halves = np.arange(65536, dtype=np.uint32)
    results = []
    for state in (halves, halves << np.uint32(16)):
        for _ in range(4):
            state = table[state & 0xFF] ^ (state >> np.uint32(8))
        results.append(state)
    return results[0], results[1]


@cache
def _zeros_columns(length: int) -> tuple[int, ...]:
    """Column i: what bit i becomes after `length` bytes of zeros; length is a power of two."""
    if length == 1:
        table = _table()
        return tuple(table[(1 << bit) & 0xFF] ^ ((1 << bit) >> 8) for bit in range(32))
    import numpy as np

    half = np.array(_zeros_columns(length // 2), np.uint32)
    return tuple(int(value) for value in _times(half, half))


@cache
def _zeros(length: int) -> np.ndarray:
    import numpy as np

    return np.array(_zeros_columns(length), np.uint32)


def _times(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """A matrix over GF(2), by its columns, times many vectors."""
    import numpy as np

    result = np.zeros_like(vectors)
    for bit in range(32):
        result ^= np.where(vectors >> np.uint32(bit) & np.uint32(1), matrix[bit], np.uint32(0))
    return result
