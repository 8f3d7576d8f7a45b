"""Small plain PNGs, decoded in C while other threads of Python go on; Pillow reads all others."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: A PNG begins so, with its size behind: the signature, then the length and name of its header.
BEGIN = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
#: 8 bits of grey or RGB, compressed and filtered in the one way there is, not interlaced.
FORMS = (b"\x08\x00\x00\x00\x00", b"\x08\x02\x00\x00\x00")
END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
#: Parts that change no pixel, and their length.
PLAIN = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
MAX_PIXELS = 1 << 20  # Pillow lets go of Python, too, as long as it decodes larger ones
SIZE, PART, SUM = struct.Struct(">II"), struct.Struct(">I4s"), struct.Struct(">I")


def plain_pixels(content: bytes) -> "np.ndarray[Any, Any] | None":
    """The pixels of a PNG of which Pillow would say just the same.

    A whole PNG with 8 bits of grey or RGB, without transparency, profile, text or orientation.

    Args:
        content: of the file.

    Returns:
        uint8 `(H, W)` or `(H, W, 3)`; None for any other image, a damaged one among them, and
        where imagecodecs is not installed.
    """
    decoder = _decoder()
    if decoder is None or not (content.startswith(BEGIN) and content.endswith(END)):
        return None
    width, height = SIZE.unpack_from(content, 16)
    small = 0 < width * height <= MAX_PIXELS
    if not small or content[24:29] not in FORMS or not _is_plain(content):
        return None
    try:
        return decoder(content)
    except (RuntimeError, ValueError):  # Pillow says what is wrong
        return None


def pixels_or(
    content: Any, name: str, opened: Callable[[Any, str], T]
) -> "np.ndarray[Any, Any] | T":
    """The pixels of a plain PNG, and of anything else what a function makes of it.

    Args:
        content: of a cell or file; only bytes may be a PNG.
        name: what messages call it.
        opened: makes an image of the content and its name.
    """
    plain = plain_pixels(content) if isinstance(content, bytes) else None
    return opened(content, name) if plain is None else plain


def _is_plain(content: bytes) -> bool:
    """Whether all parts of a PNG are whole, and none says more than its pixels."""
    at, end = 8, len(content) - len(END)
    while at < end:
        length, name = PART.unpack_from(content, at)
        if at > 8 and name != b"IDAT" and PLAIN.get(name) != length:
            return False
        behind = at + 8 + length
        if behind + 4 > end:
            return False
        if zlib.crc32(content[at + 4 : behind]) != SUM.unpack_from(content, behind)[0]:
            return False
        at = behind + 4
    return at == end


@cache
def _decoder() -> "Callable[[bytes], np.ndarray[Any, Any]] | None":
    try:
        # Its png_decode prints what is damaged, and breaks Python's counting of references.
        from imagecodecs import spng_decode
    except ImportError:
        return None
    found: Callable[[bytes], np.ndarray[Any, Any]] = spng_decode
    return found
