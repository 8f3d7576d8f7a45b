"""TensorFlow checkpoints of the second version: an index of names, and data files of raw tensors.

A tensor's bytes lie in one place and are read there, box by box.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convert.readers.base import Checkpoint
from convert.readers.contents import UNFINISHED, check_content
from convert.readers.tensorflow.checkpoint_file import visible_files
from convert.readers.tensorflow.object_graph import GRAPH, names_of
from convert.readers.tensorflow.slices import (
    DTYPES,
    NO_NUMBERS,
    Extent,
    any_overlap,
    extents_of,
    shape_of,
    slice_key,
)
from convert.readers.tensorflow.spans import File, Span
from convert.readers.tensorflow.table import entries
from convert.weights.lazy import Box, LazyTensor, assemble, nbytes
from convert.wire.protobuf import WireError, bytes_of, fields, number_of, signed, varint
from zoo.errors import IntegrityError, NotFoundError

STRING = 7  # TensorFlow's number of the type
CHECKSUM = 4  # bytes
MAX_TEXT = 2**26  # bytes of a graph of objects: a large model's is a few megabytes


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
        self._files: dict[int, File] = {}
        self._sizes: dict[int, int] = {}

    @property
    def big_endian(self) -> bool:
        """Whether values stand in that byte order."""
        import sys

        return self.swap == (sys.byteorder == "little")

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
                raise self._missing(path)
            check_content(path, raw=True)
            self._sizes[shard] = path.stat().st_size
        return self._sizes[shard]

    def _missing(self, path: Path) -> NotFoundError:
        """What to say of a shard that is not there, from what lies in its place."""
        there = [p.name for p in visible_files(path.parent) if self._may_be_data(p.name)]
        begun = [name for name in there if UNFINISHED.search(name)]
        step = "download it to this folder"
        if begun:
            step = f"{begun[0]} is an unfinished download: let it end, or start it again"
        elif there:
            step = "download it as well, or give one of these its name if it is that file"
        return NotFoundError(
            f"{path} is missing: the index says {self.count} data file(s); there is "
            f"{', '.join(there) or 'none'}; {step}"
        )

    def _may_be_data(self, name: str) -> bool:
        own = name.startswith(f"{self.prefix.name}.") and not name.endswith((".index", ".meta"))
        return own or ".data" in name

    def span(self, place: Place, name: str) -> Span:
        """Where a tensor's bytes are, under their checksum."""
        span = self.whole(place)
        what = f"{name!r} ({place.size} bytes at {place.offset})"
        return span.sealed(place.checksum, what) if self.verify else span

    def whole(self, place: Place) -> Span:
        """The bytes at a place, unchecked."""
        if place.shard not in self._files:
            self._files[place.shard] = File(self.path(place.shard))
        return Span(self._files[place.shard], place.offset, place.offset + place.size)

    def close(self) -> None:
        """Close what was opened."""
        for file in self._files.values():
            file.close()
        self._files.clear()


@dataclass
class BundleTensor(LazyTensor):
    """A tensor that is stored in one piece."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    place: Place
    shards: Shards

    @cached_property
    def span(self) -> Span:
        """Its bytes."""
        return self.shards.span(self.place, self.name)

    def block(self, box: Box) -> np.ndarray:
        """The values in a box."""
        values = self.span.box(box, self.shape, self.dtype)
        return values.byteswap(inplace=True) if self.shards.swap else values

    def verify(self) -> None:
        """Check the checksum."""
        if self.span.seal is not None:
            self.span.seal.verify()


@dataclass
class SlicedTensor(LazyTensor):
    """A partitioned variable: one tensor stored as slices, each where it belongs."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slices: list[tuple[Box, BundleTensor]]

    def block(self, box: Box) -> np.ndarray:
        """The values in a box, put together."""
        return assemble(box, self.dtype, self.slices)

    def verify(self) -> None:
        """Check the checksums."""
        for _, part in self.slices:
            part.verify()


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
            parts[slice_key(key)] = _entry(key, value)
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
            checkpoint.unreadable[name] = f"contains {what}"
            if name == GRAPH:
                checkpoint.graph = _text(entry, shards)
                checkpoint.full_names = names_of(checkpoint.graph)
        elif entry.slices:
            checkpoint.tensors[name] = _assemble(name, entry, parts, shards, spans)
        else:
            checkpoint.tensors[name] = _tensor(name, entry, shards, spans)
    used = {shard for shard, *_ in spans}
    checkpoint.files += [shards.path(shard) for shard in sorted(used)]
    checkpoint.notes += _overlaps(spans)
    checkpoint.details += [_count(shards.count, "data file")]
    if sliced := sum(bool(entry.slices) for entry in records.values()):
        checkpoint.details.append(f"{_count(sliced, 'tensor')} in slices")
    checkpoint.details += ["big-endian"] * shards.big_endian
    return checkpoint


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


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
            shape = shape_of(bytes_of(content, label), label)
        elif number == 7:
            slices.append(extents_of(bytes_of(content, label), label))
        elif number in numbers:
            numbers[number] = signed(number_of(content, label))
    if numbers[1] == 0:
        raise WireError(f"{label} has no type")
    if min(numbers.values()) < 0:
        raise WireError(f"{label} has a negative place or size")
    return Entry(numbers[1], shape, Place(numbers[3], numbers[4], numbers[5], numbers[6]), slices)


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


def _text(entry: Entry, shards: Shards) -> bytes:
    """The bytes of a record of one string; none where it is no such record.

    Stored are its length, a checksum of that, then the bytes.
    """
    place = entry.place
    if entry.kind != STRING or entry.shape or place.size > MAX_TEXT:
        return b""
    if place.shard >= shards.count or place.offset + place.size > shards.size(place.shard):
        return b""
    data = bytes(shards.whole(place))
    try:
        length, start = varint(data, 0)
    except WireError:
        return b""
    text = data[start + CHECKSUM :]
    return text if len(text) == length else b""


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
    if covered != math.prod(entry.shape) or any_overlap(boxes):
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


def _overlaps(spans: list[tuple[int, int, int, str]]) -> list[str]:
    """Notes on tensors that share bytes: legal, but nobody writes it."""
    notes = []
    ordered = sorted(span for span in spans if span[1] < span[2])
    for (shard, _, end, name), (other, begin, _, following) in itertools.pairwise(ordered):
        if shard == other and begin < end:
            notes.append(f"{name} and {following} share bytes of data file {shard}")
    return notes[:5]
