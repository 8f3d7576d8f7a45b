"""TensorFlow checkpoints of the second version: an index of names, and data files of raw tensors.

Tensors are read with plain reads, not through a memory map: pages of a map count as the process's
memory, and a conversion would seem to hold the whole model.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from convert.readers.base import Checkpoint, nbytes
from convert.readers.crc32c import crc32c, mask
from convert.readers.protobuf import WireError, bytes_of, fields, number_of, signed
from convert.readers.table import entries
from zoo.errors import IntegrityError, NotFoundError

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
MOST_AXES = 254
Extent = tuple[int, int]  # start and length along one axis; -1 is the whole axis


@dataclass(frozen=True)
class Place:
    """Where the bytes of a tensor or slice are."""

    shard: int
    offset: int
    size: int
    checksum: int


class Shards:
    """The data files of a checkpoint, opened when they are needed."""

    def __init__(self, prefix: Path, count: int, swap: bool, verify_checksums: bool) -> None:
        self.prefix, self.count = prefix, count
        self.swap, self.verify = swap, verify_checksums
        self._files: dict[int, BinaryIO] = {}
        self._sizes: dict[int, int] = {}

    def path(self, shard: int) -> Path:
        """The file of a shard; its name is worked out, never read from a file."""
        name = f"{self.prefix.name}.data-{shard:05}-of-{self.count:05}"
        return self.prefix.with_name(name)

    def size(self, shard: int) -> int:
        """Bytes of a shard.

        Raises:
            NotFoundError: it is missing.
        """
        if shard not in self._sizes:
            path = self.path(shard)
            if not path.is_file():
                there = sorted(p.name for p in path.parent.glob(f"{self.prefix.name}.data-*"))
                raise NotFoundError(
                    f"{path} is missing: the index says {self.count} data file(s); there is "
                    f"{', '.join(there) or 'none'}"
                )
            self._sizes[shard] = path.stat().st_size
        return self._sizes[shard]

    def read(self, place: Place, start: int, stop: int) -> bytes:
        """Bytes of a tensor from `start` to `stop`."""
        if place.shard not in self._files:
            self._files[place.shard] = self.path(place.shard).open("rb")
        file = self._files[place.shard]
        file.seek(place.offset + start)
        data = file.read(stop - start)
        if len(data) != stop - start:
            raise IntegrityError(
                f"{self.path(place.shard)}: ends {stop - start - len(data)} bytes too early"
            )
        return data

    def close(self) -> None:
        """Close what was opened."""
        for file in self._files.values():
            file.close()
        self._files.clear()


@dataclass
class BundleTensor:
    """A tensor that is stored in one piece."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    place: Place
    shards: Shards

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return self.place.size

    def chunks(self, max_bytes: int) -> Iterator[np.ndarray]:
        """The values a piece at a time; the checksum is checked after the last."""
        step = max(1, max_bytes // self.dtype.itemsize) * self.dtype.itemsize
        crc = 0
        for start in range(0, self.place.size, step):
            data = self.shards.read(self.place, start, min(start + step, self.place.size))
            if self.shards.verify:
                crc = crc32c(data, crc)
            yield self._values(data)
        self._check(crc)

    def numpy(self) -> np.ndarray:
        """The values."""
        flat = np.empty(math.prod(self.shape), self.dtype)
        filled = 0
        for piece in self.chunks(4 * 2**20):
            flat[filled : filled + len(piece)] = piece
            filled += len(piece)
        return flat.reshape(self.shape)

    def _values(self, data: bytes) -> np.ndarray:
        values = np.frombuffer(data, self.dtype)
        return values.byteswap() if self.shards.swap else values

    def _check(self, crc: int) -> None:
        if self.shards.verify and mask(crc) != self.place.checksum:
            raise IntegrityError(
                f"{self.shards.path(self.place.shard)}: the checksum of {self.name!r} "
                f"({self.place.size} bytes at {self.place.offset}) is wrong: the file is damaged; "
                "get it again"
            )


@dataclass
class SlicedTensor:
    """A partitioned variable: one tensor stored as slices."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slices: list[tuple[tuple[slice, ...], BundleTensor]]

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return nbytes(self.shape, self.dtype)

    def numpy(self) -> np.ndarray:
        """The values, put together."""
        whole = np.empty(self.shape, self.dtype)
        for where, part in self.slices:
            whole[where] = part.numpy()
        return whole

    def chunks(self, max_bytes: int) -> Iterator[np.ndarray]:
        """The values in C order; the slices are put together first."""
        flat = self.numpy().reshape(-1)
        step = max(1, max_bytes // self.dtype.itemsize)
        for start in range(0, len(flat), step):
            yield flat[start : start + step]


@dataclass
class Entry:
    """What the index says of one name."""

    kind: int
    shape: tuple[int, ...]
    place: Place
    slices: list[tuple[Extent, ...]]


def open_bundle(prefix: Path, *, verify_checksums: bool = True) -> Checkpoint:
    """Open a checkpoint by its prefix; reads the index only.

    Raises:
        NotFoundError: the index or a data file is missing.
        IntegrityError: the index is damaged, or does not agree with itself or the data files.
    """
    index = prefix.with_name(f"{prefix.name}.index")
    try:
        return _open(prefix, index, verify_checksums)
    except WireError as error:
        raise IntegrityError(f"{index}: {error}{_guess(index)}") from None


def _guess(path: Path) -> str:
    """What a file that is no table may be."""
    with path.open("rb") as file:
        if file.read(23) == b"version https://git-lfs":
            return "; it is a Git LFS pointer: fetch the file itself with `git lfs pull`"
    return ""


def _open(prefix: Path, index: Path, verify_checksums: bool) -> Checkpoint:
    records: dict[str, Entry] = {}
    parts: dict[tuple[str, tuple[Extent, ...]], Entry] = {}
    shards = None
    for key, value in entries(index.read_bytes()):
        if shards is None:
            if key != b"":
                raise WireError(f"its first key is {key!r:.60}, not the header's empty one")
            shards = Shards(prefix, *_header(value), verify_checksums)
        elif key[0] == 0:
            parts[_slice_key(key)] = _entry(key, value)
        else:
            try:
                name = key.decode("utf-8")
            except UnicodeDecodeError:
                raise WireError(f"the name {key!r:.80} is not UTF-8") from None
            records[name] = _entry(key, value)
    if shards is None:
        raise WireError("it has no header")
    checkpoint = Checkpoint("tf_bundle", [index], {}, handles=[shards])
    spans: list[tuple[int, int, int, str]] = []
    for name, entry in records.items():
        if entry.kind not in DTYPES:
            what = NO_NUMBERS.get(entry.kind, f"values of type {entry.kind}")
            checkpoint.unreadable[name] = f"holds {what}"
        elif entry.slices:
            checkpoint.tensors[name] = _assemble(name, entry, parts, shards, spans)
        else:
            checkpoint.tensors[name] = _tensor(name, entry, shards, spans)
    used = {shard for shard, *_ in spans}
    checkpoint.files += [shards.path(shard) for shard in sorted(used)]
    checkpoint.notes += _overlaps(spans)
    return checkpoint


def _header(value: bytes) -> tuple[int, bool]:
    """Number of shards, and whether bytes must be swapped."""
    import sys

    count, endianness = 0, 0
    for number, content in fields(value):
        if number == 1:
            count = signed(number_of(content, "num_shards"))
        elif number == 2:
            endianness = number_of(content, "endianness")
        elif number == 3:
            for inner, version in fields(bytes_of(content, "version")):
                if inner == 2 and number_of(version, "min_consumer") > 1:
                    raise WireError(f"it asks for a reader of version {version!r}; known is 1")
    if not 0 < count <= 99_999:
        raise WireError(f"its header says {count} data files")
    if endianness not in (0, 1):
        raise WireError(f"its header says byte order {endianness}")
    return count, bool(endianness) != (sys.byteorder == "big")


def _entry(key: bytes, value: bytes) -> Entry:
    """One record of the index."""
    label = f"the record of {key!r:.80}"
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    slices: list[tuple[Extent, ...]] = []
    for number, content in fields(value):
        if number == 2:
            shape = _shape(bytes_of(content, label), label)
        elif number == 7:
            slices.append(_extents(bytes_of(content, label), label))
        elif number in numbers:
            numbers[number] = signed(number_of(content, label))
    if numbers[1] == 0:
        raise WireError(f"{label} has no type")
    if min(numbers.values()) < 0:
        raise WireError(f"{label} has a negative place or size")
    return Entry(numbers[1], shape, Place(numbers[3], numbers[4], numbers[5], numbers[6]), slices)


def _shape(data: bytes, label: str) -> tuple[int, ...]:
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
    if len(axes) > MOST_AXES or math.prod(axes) >= 2**63:
        raise WireError(f"{label} has an impossible shape of {len(axes)} axes")
    return tuple(axes)


def _extents(data: bytes, label: str) -> tuple[Extent, ...]:
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


def _slice_key(key: bytes) -> tuple[str, tuple[Extent, ...]]:
    """The name and extents that the key of a slice encodes, in TensorFlow's ordered code."""
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
    if rank > MOST_AXES:
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
        raise WireError(f"the key of a slice {key!r:.80} holds a malformed number")
    bits = int.from_bytes(head[:size], "big") & ((1 << (8 * size - size - 1)) - 1)
    return (-bits - 1 if negative else bits), position + size


def _tensor(
    name: str, entry: Entry, shards: Shards, spans: list[tuple[int, int, int, str]]
) -> BundleTensor:
    """A record with bytes, checked against its data file's size."""
    dtype = np.dtype(DTYPES[entry.kind])
    place = entry.place
    if nbytes(entry.shape, dtype) != place.size:
        raise WireError(
            f"{name!r} is {entry.shape} of {dtype.name}, "
            f"{nbytes(entry.shape, dtype)} bytes, but {place.size} are stored"
        )
    if place.shard >= shards.count:
        raise WireError(f"{name!r} lies in data file {place.shard} of {shards.count}")
    missing = place.offset + place.size - shards.size(place.shard)
    if missing > 0:
        raise WireError(
            f"{name!r} ends {missing} bytes behind the end of {shards.path(place.shard).name}: "
            "the data file is truncated; get it again"
        )
    spans.append((place.shard, place.offset, place.offset + place.size, name))
    return BundleTensor(name, entry.shape, dtype, place, shards)


def _assemble(
    name: str,
    entry: Entry,
    parts: dict[tuple[str, tuple[Extent, ...]], Entry],
    shards: Shards,
    spans: list[tuple[int, int, int, str]],
) -> SlicedTensor:
    """A tensor of slices that lie inside it, do not overlap and cover it."""
    dtype = np.dtype(DTYPES[entry.kind])
    found = []
    boxes: list[list[Extent]] = []
    for extents in entry.slices:
        if len(extents) != len(entry.shape):
            raise WireError(f"a slice of {name!r} has {len(extents)} axes, not {len(entry.shape)}")
        box = []
        for (start, length), size in zip(extents, entry.shape, strict=True):
            count = size if length == -1 else length
            begin = 0 if length == -1 else start
            if begin < 0 or count < 0 or begin + count > size:
                raise WireError(f"a slice of {name!r} lies outside its shape {entry.shape}")
            box.append((begin, count))
        part = _stored_part(name, extents, parts)
        if part.kind != entry.kind or part.shape != tuple(count for _, count in box):
            raise WireError(f"a slice of {name!r} has another type or shape than its place")
        where = tuple(slice(begin, begin + count) for begin, count in box)
        found.append((where, _tensor(name, part, shards, spans)))
        boxes.append(box)
    covered = sum(math.prod(count for _, count in box) for box in boxes)
    if covered != math.prod(entry.shape) or _any_overlap(boxes):
        raise WireError(f"the slices of {name!r} overlap or do not cover its shape {entry.shape}")
    return SlicedTensor(name, entry.shape, dtype, found)


def _stored_part(
    name: str, extents: tuple[Extent, ...], parts: dict[tuple[str, tuple[Extent, ...]], Entry]
) -> Entry:
    """The record of a slice; a whole axis is -1 in some keys and starts at 0 in all."""
    key = tuple((0, -1) if length == -1 else (start, length) for start, length in extents)
    for candidate in (key, extents):
        if (name, candidate) in parts:
            return parts[name, candidate]
    raise WireError(f"a slice of {name!r} is listed but not stored")


def _any_overlap(boxes: list[list[Extent]]) -> bool:
    """Whether two boxes share a cell; sorted along the first axis, so few are compared."""
    filled = sorted(box for box in boxes if all(count for _, count in box))
    starts = [box[0][0] if box else 0 for box in filled]
    for i, box in enumerate(filled):
        end = box[0][0] + box[0][1] if box else 1
        for other in filled[i + 1 : bisect.bisect_left(starts, end)]:
            if all(a < c + d and c < a + b for (a, b), (c, d) in zip(box, other, strict=True)):
                return True
    return False


def _overlaps(spans: list[tuple[int, int, int, str]]) -> list[str]:
    """Notes on tensors that share bytes: legal, but nobody writes it."""
    notes = []
    ordered = sorted(span for span in spans if span[1] < span[2])
    for (shard, _, end, name), (other, begin, _, following) in itertools.pairwise(ordered):
        if shard == other and begin < end:
            notes.append(f"{name} and {following} share bytes of data file {shard}")
    return notes[:5]
