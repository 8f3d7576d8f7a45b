"""File names in few bytes: a JSON list, compressed by LZMA."""

import json
import lzma
from collections.abc import Sequence

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "lc": 0, "pb": 0}]
MAX_BYTES = 1 << 26  # of names when unpacked


def pack(names: Sequence[str]) -> bytes:
    """Names as bytes, in their order."""
    text = json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    return lzma.compress(text.encode(), lzma.FORMAT_RAW, filters=FILTERS)


def unpack(packed: bytes, count: int) -> list[str]:
    """The names of packed bytes.

    Raises:
        ValueError: if the bytes are not `count` names.
    """
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
        text = reader.decompress(packed, MAX_BYTES)
        if not reader.eof or reader.unused_data:
            raise ValueError("names are incomplete or too long")
        names = json.loads(text)
    except (lzma.LZMAError, RecursionError) as error:
        raise ValueError(f"names cannot be unpacked ({error})") from None
    if not (isinstance(names, list) and len(names) == count):
        raise ValueError(f"names are not {count} texts")
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"names are not {count} texts")
    return names
