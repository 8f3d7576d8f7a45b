"""Attributes of HDF5 files, read only if what they claim could be true.

For a text of variable length the C library allocates what its descriptor claims, up to 4 GiB,
before it looks for the text, and in a damaged collection of texts it walks on the spot for ever.
h5py shows no descriptor, so they are looked up in the file: an attribute's message lies there in
one piece, its name followed by type, shape and value (HDF5 File Format Specification 3.0,
IV.A.2.m), and the value names the collections (III.E).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 2**20  # Keras cuts longer lists of names at 64,512
PIECE = 4 * 2**20  # bytes looked through at a time
HEAD = struct.Struct("<BBHHH")  # version, flags, sizes of name, type and shape
COLLECTION = b"GCOL\1"
MAX_TEXTS = 2**16  # of a collection, which numbers them with two bytes
MAX_SHAPE = 4096  # bytes of type and shape; a text's are under a hundred
#: First bytes of a type that is text of one length, which claims no more than it has (IV.A.2.d).
FIXED = (b"\x13", b"\x23", b"\x33")
VERSIONS = {1: (0, 8), 2: (0, 1), 3: (1, 1)}  # bytes between head and name, alignment of parts


class Attributes:
    """Those of one open file; where its data sets' values lie in one piece, none is looked for."""

    def __init__(self, path: Path, file: Any, datasets: Iterable[Any] = ()) -> None:
        self.path, self.size = path, path.stat().st_size
        self.address, self.length = file.id.get_create_plist().get_sizes()  # bytes of each
        self.base = file.userblock_size
        stored = ((each.id.get_offset(), each.id.get_storage_size()) for each in datasets)
        self.values = sorted((start, start + size) for start, size in stored if start is not None)
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._checked: set[int] = set()  # addresses of collections
        self._collected = 0  # bytes of them

    def value(self, group: Any, name: str) -> Any:
        """What h5py makes of an attribute that contains text, or nothing.

        Raises:
            ValueError: it contains something else, which can crash the C library, or claims more
                than any that Keras writes, or than the file contains.
        """
        import h5py

        stored = group.attrs.get_id(name)
        count = 0 if stored.shape is None else math.prod(stored.shape)
        if (claimed := count * stored.dtype.itemsize) > MAX_BYTES:
            raise ValueError(f"attribute {name!r} claims {claimed} bytes")
        if not count:
            return []
        if h5py.check_string_dtype(stored.dtype) is None:
            raise ValueError(f"attribute {name!r} contains no text")
        if stored.dtype.kind == "O":
            self._check_texts(name)
        return group.attrs[name]

    def _check_texts(self, name: str) -> None:
        if name not in self._places:
            self._places[name] = list(self.places(name))
        if not self._places[name]:
            raise ValueError(f"attribute {name!r} lies nowhere in the file")
        with self.path.open("rb") as file:
            for place, count in self._places[name]:
                file.seek(place)
                size = 4 + self.address + 4  # length, collection, number in it
                content = file.read(min(count, MAX_BYTES) * size)
                texts = [content[at : at + size] for at in range(0, len(content) - size + 1, size)]
                if (claimed := sum(_number(text[:4]) for text in texts)) > self.size:
                    raise ValueError(f"attribute {name!r} claims texts of {claimed} bytes")
                for address in {_number(text[4:-4]) for text in texts} - self._checked:
                    self._check_collection(file, name, self.base + address)
                    self._checked.add(address)

    def _check_collection(self, file: Any, name: str, address: int) -> None:
        """Every text in a collection must lie inside of it, so that the next one lies ahead."""
        head = 8 + self.length  # of the collection, and of each text
        if address > self.size:
            return  # which the library refuses, as it does what is no collection
        file.seek(address)
        start = file.read(head)
        if not start.startswith(COLLECTION):
            return
        self._collected += _number(start[8:])
        if self._collected > self.size:
            raise ValueError(f"attribute {name!r} is kept in texts larger than the file")
        content, at = start + file.read(max(0, _number(start[8:]) - head)), _aligned(head)
        for _ in range(MAX_TEXTS):
            if at + head > len(content):
                return
            number, size = _number(content[at : at + 2]), _number(content[at + 8 : at + head])
            # Number 0 is the free space, whose size includes its head.
            step = head + _aligned(size) if number else size
            if step < head or at + step > len(content):
                raise ValueError(
                    f"attribute {name!r} is kept in a collection of texts that is damaged: "
                    f"number {number} claims {size} bytes"
                )
            at += step
        raise ValueError(f"attribute {name!r} is kept with more than {MAX_TEXTS} texts")

    def places(self, name: str) -> Iterator[tuple[int, int]]:
        """Where the values of all messages with this name begin, and how many they are."""
        wanted = name.encode() + b"\0"
        overlap = len(wanted) + HEAD.size + MAX_SHAPE
        with self.path.open("rb") as file:
            for start, end in self._gaps():
                file.seek(start)
                content = b""
                while piece := file.read(min(PIECE, end - file.tell())):
                    content = content[-overlap:] + piece
                    offset = file.tell() - len(content)
                    for place, count in _values_in(content, wanted):
                        yield offset + place, count

    def _gaps(self) -> Iterator[tuple[int, int]]:
        """The parts of the file between data sets' values."""
        at = 0
        for start, end in (*self.values, (self.size, self.size)):
            if start > at:
                yield at, min(start, self.size)
            at = max(at, end)


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def _values_in(content: bytes, name: bytes) -> Iterator[tuple[int, int]]:
    """Places and numbers of the values of messages in a piece."""
    at = content.find(name)
    while at >= 0:
        for version, (gap, step) in VERSIONS.items():
            head = content[max(0, at - gap - HEAD.size) : at - gap]
            if len(head) == HEAD.size and head[0] == version:
                sizes = HEAD.unpack(head)[2:]
                if sizes[0] == len(name):
                    *before, shape = (-(-size // step) * step for size in sizes)
                    if content[at + before[0] : at + before[0] + 1] in FIXED:
                        continue  # of another attribute with this name, next to one to be checked
                    start = at + sum(before)
                    yield start + shape, _count(content[start : start + shape])
        at = content.find(name, at + 1)


def _count(shape: bytes) -> int:
    """How many values a shape's message stands for (Specification 3.0, IV.A.2.b)."""
    rank, first = (shape[1], 8 if shape[0] == 1 else 4) if len(shape) > 1 else (0, 0)
    axes = (shape[at : at + 8] for at in range(first, first + 8 * rank, 8))
    return math.prod(map(_number, axes))
