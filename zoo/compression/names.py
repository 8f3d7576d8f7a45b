"""File names in few bytes: runs of numbers cost next to nothing.

Names of one pattern, such as `0000.png`, `0001.png`, ..., are stored as the texts between their
numbers and, for each number, the step from one name to the next, or all its digits; others as
text. LZMA packs either.
"""

import json
import lzma
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "lc": 0, "pb": 0}]
MOST_DIGITS = 100  # of a number
LARGEST = 1 << 26  # bytes of names when unpacked


def pack(names: Sequence[str]) -> bytes:
    """Names as bytes, in their order."""
    value: Any = _columns(names) or list(names)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return lzma.compress(text.encode(), lzma.FORMAT_RAW, filters=FILTERS)


def unpack(packed: bytes, count: int) -> list[str]:
    """The names again.

    Raises:
        ValueError: if the bytes are not so many names.
    """
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
        text = reader.decompress(packed, LARGEST)
        if not reader.eof or reader.unused_data:
            raise ValueError("names are cut short or too long")
        value = json.loads(text)
        names = value if isinstance(value, list) else _names(value, count)
    except (lzma.LZMAError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"names cannot be unpacked ({error})") from None
    if len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names are not {count} texts")
    return names


def _columns(names: Sequence[str]) -> dict[str, Any] | None:
    """Texts and columns of names that differ in their numbers only; else None.

    A column is `[width, first, step]`, or `[width, digits]` of numbers that are all as wide.
    """
    split = [re.split(r"([0-9]+)", name) for name in names]
    texts = split[0][::2]
    if any(parts[::2] != texts for parts in split) or len(texts) < 2:
        return None
    columns: list[list[int | str]] = []
    for place in range(1, len(split[0]), 2):
        digits = [parts[place] for parts in split]
        width = min(map(len, digits))
        if width > MOST_DIGITS:
            return None
        numbers = [int(each) for each in digits]
        steps = {after - before for before, after in pairwise(numbers)} or {0}
        if len(steps) == 1 and digits == [f"{number:0{width}}" for number in numbers]:
            columns.append([width, numbers[0], *steps])
        elif all(len(each) == width for each in digits):
            columns.append([width, "".join(digits)])
        else:
            return None
    return {"texts": texts, "columns": columns}


def _names(value: Any, count: int) -> list[str]:
    texts, columns = value["texts"], value["columns"]
    if len(texts) != len(columns) + 1:
        raise ValueError("names have texts and numbers that do not alternate")
    written = []
    for width, first, *step in columns:
        if not isinstance(width, int) or not 1 <= width <= MOST_DIGITS:
            raise ValueError("names have numbers of a width that cannot be")
        if step:
            numbers = [first + step[0] * place for place in range(count)]
            written.append([f"{number:0{width}d}" for number in numbers])
        else:
            written.append([first[p : p + width] for p in range(0, len(first), width)])
        if not max(map(len, written[-1]), default=0) <= 2 * MOST_DIGITS:
            raise ValueError("names have numbers that cannot be")
    rows = zip(*written, strict=True)
    return ["".join(map("".join, zip(texts, (*row, ""), strict=True))) for row in rows]
