"""File names in few bytes: runs of numbers cost next to nothing.

Names of one pattern, such as `0000.png`, `0001.png`, ..., are stored as the texts between their
numbers and, for each number, the steps from one name to the next; others as text. LZMA packs
either.
"""

import json
import lzma
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "pb": 0}]
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
    """Texts, widths and steps of names that differ in their numbers only; else None."""
    split = [re.split(r"([0-9]+)", name) for name in names]
    texts = split[0][::2]
    if any(parts[::2] != texts for parts in split) or len(texts) < 2:
        return None
    columns = []
    for place in range(1, len(split[0]), 2):
        digits = [parts[place] for parts in split]
        width = min(map(len, digits))
        numbers = [int(each) for each in digits]
        if any(f"{n:0{width}}" != each for n, each in zip(numbers, digits, strict=True)):
            return None
        steps = [after - before for before, after in pairwise(numbers)]
        if len(set(steps)) <= 1:
            steps = steps[:1]
        columns.append([width, numbers[0], steps])
    return {"texts": texts, "columns": columns}


def _names(value: Any, count: int) -> list[str]:
    texts, columns = value["texts"], value["columns"]
    if len(texts) != len(columns) + 1:
        raise ValueError("names have texts and numbers that do not alternate")
    written = []
    for width, first, steps in columns:
        if len(steps) == 1:
            steps = steps * (count - 1)
        numbers = list(accumulate(steps, initial=first))
        if len(numbers) != count or not 0 <= width <= 255 or max(map(abs, numbers)) > 10**255:
            raise ValueError("names have a number that cannot be")
        written.append([f"{number:0{width}}" for number in numbers])
    rows = zip(*written, strict=True)
    return ["".join(map("".join, zip(texts, (*row, ""), strict=True))) for row in rows]
