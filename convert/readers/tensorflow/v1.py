"""TensorFlow checkpoints of the first version: every data file is a table of names and tensors.

Values are typed lists of a protocol buffer. Those of fixed width lie in the file as an array does
and are read there, box by box; numbers of variable width are decoded as a whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convert.readers.base import Checkpoint
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
from convert.weights.lazy import Box, LazyTensor, assemble
from convert.wire.protobuf import WireError, bytes_of, fields, number_of, part_of, signed
from zoo.errors import IntegrityError

#: Fields of a TensorProto that contain values -> type of each fixed-width item; None is varints.
VALUES: dict[int, Any] = {
    5: np.dtype("<f4"),
    6: np.dtype("<f8"),
    7: None,
    9: np.dtype("<f4"),  # complex, as pairs
    10: None,
    11: None,
    12: np.dtype("<f8"),
    13: None,  # the bits of half precision
    16: None,
    17: None,
}
HALF = 13
MAX_VARINT = 10  # bytes


@dataclass
class Slice(LazyTensor):
    """A part of a tensor, its values a TensorProto that stays in the file where it is large."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    proto: Any

    @cached_property
    def packed(self) -> Span | None:
        """The values' bytes, where they lie in the file as an array does."""
        lists = list(itertools.islice(_lists(self.proto), 2))
        if len(lists) != 1 or not isinstance(lists[0][1], Span):
            return None
        ((number, values),) = lists
        stored = VALUES[number]
        return values if stored == self.dtype and len(values) == self.nbytes else None

    def block(self, box: Box) -> np.ndarray:
        """The values in a box."""
        if self.packed is not None:
            return self.packed.box(box, self.shape, self.dtype)
        values: np.ndarray = self.decoded[box]
        return values

    @cached_property
    def decoded(self) -> np.ndarray:
        """All values, where they must be read from first to last."""
        return _decode(_lists(self.proto), self.shape, self.dtype)

    def verify(self) -> None:
        """Check the checksum of the block that it lies in, and forget what was decoded."""
        self.__dict__.pop("decoded", None)
        if isinstance(self.proto, Span) and self.proto.seal is not None:
            self.proto.seal.verify()


@dataclass
class V1Tensor(LazyTensor):
    """A tensor of one or several slices."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: Path
    slices: list[tuple[tuple[Extent, ...], Any]] = field(default_factory=list)

    @cached_property
    def parts(self) -> list[tuple[Box, Slice]]:
        """Where the slices lie in it.

        Raises:
            WireError: they do not cover it.
        """
        parts = []
        for extents, proto in self.slices:
            where = self._where(extents)
            shape = tuple(s.stop - s.start for s in where)
            parts.append((where, Slice(self.name, shape, self.dtype, proto)))
        boxes = [[(s.start, s.stop - s.start) for s in where] for where, _ in parts]
        covered = sum(math.prod(part.shape) for _, part in parts)
        if covered != math.prod(self.shape) or any_overlap(boxes):
            raise WireError(
                f"its slices contain {covered} values for a shape of {self.shape}, or overlap"
            )
        return parts

    def block(self, box: Box) -> np.ndarray:
        """The values in a box, put together."""
        with self._named():
            return assemble(box, self.dtype, self.parts)

    def verify(self) -> None:
        """Check the checksums of the blocks that it lies in."""
        with self._named():
            for _, part in self.parts:
                part.verify()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except WireError as error:
            raise IntegrityError(f"{self.path}: {self.name!r}: {error}") from None

    def _where(self, extents: tuple[Extent, ...]) -> Box:
        if len(extents) != len(self.shape):
            raise WireError(f"a slice has {len(extents)} axes, not {len(self.shape)}")
        found = []
        for (start, length), size in zip(extents, self.shape, strict=True):
            begin, count = (0, size) if length == -1 else (start, length)
            if begin < 0 or count < 0 or begin + count > size:
                raise WireError(f"a slice lies outside its shape {self.shape}")
            found.append(slice(begin, begin + count))
        return tuple(found)


def open_v1(paths: list[Path]) -> Checkpoint:
    """Open the files of a checkpoint; reads names and small blocks, large ones stay in the files.

    Args:
        paths: the one file, or all shards.

    Raises:
        IntegrityError: a file is damaged, or no such table.
    """
    checkpoint = Checkpoint("tf_v1", list(paths), {})
    checkpoint.details += [f"{len(paths)} files"] * (len(paths) > 1)
    tensors: dict[str, V1Tensor] = {}
    try:
        for path in paths:
            file = File(path)
            checkpoint.handles.append(file)
            try:
                for name, part in _read(Span(file, 0, file.size), path, checkpoint, tensors):
                    if name in tensors:
                        tensors[name].slices.append(part)
            except WireError as error:
                raise IntegrityError(f"{path}: {error}") from None
    except BaseException:
        checkpoint.close()
        raise
    checkpoint.tensors |= {name: tensors[name] for name in sorted(tensors)}
    return checkpoint


def _read(
    table: Span, path: Path, checkpoint: Checkpoint, tensors: dict[str, V1Tensor]
) -> Iterator[tuple[str, tuple[tuple[Extent, ...], Any]]]:
    """The slices of one file; what its first record says goes to the checkpoint."""
    first = True
    for key, value in entries(table):
        if first:
            if key != b"":
                raise WireError(f"its first key is {key!r:.60}, not the empty one")
            first = False
            for number, content in fields(value):
                if number == 1 and isinstance(content, int):
                    raise WireError(
                        "the index of a checkpoint of the second version; name it PREFIX.index, "
                        "as it was, next to its data files"
                    )
                if number == 1:
                    _meta(bytes_of(content, "meta"), path, checkpoint, tensors)
            continue
        if key[0] != 0:
            raise WireError(f"the key {key!r:.80} is not that of a slice")
        name, extents = slice_key(key)
        for number, content in fields(value):
            if number == 2:
                yield name, (extents, _proto(part_of(content, "data")))
    if first:
        raise WireError("it has no records")


def _meta(data: bytes, path: Path, checkpoint: Checkpoint, tensors: dict[str, V1Tensor]) -> None:
    """Names, shapes and types; a checkpoint of several files repeats them in each."""
    for number, content in fields(data):
        if number != 1:
            continue
        name, kind = "", 0
        shape: tuple[int, ...] = ()
        for inner, value in fields(bytes_of(content, "a tensor's meta")):
            if inner == 1:
                try:
                    name = bytes_of(value, "name").decode("utf-8")
                except UnicodeDecodeError:
                    raise WireError(f"the name {value!r:.80} is not UTF-8") from None
            elif inner == 2:
                shape = shape_of(bytes_of(value, "shape"), f"{name!r}")
            elif inner == 3:
                kind = signed(number_of(value, "type"))
            elif inner == 4:
                extents_of(bytes_of(value, "slice"), f"{name!r}")
        kind -= 100 * (kind > 100)  # a reference type means the type
        if kind in DTYPES:
            tensors.setdefault(name, V1Tensor(name, shape, np.dtype(DTYPES[kind]), path))
        else:
            what = NO_NUMBERS.get(kind, f"values of type {kind}")
            checkpoint.unreadable[name] = f"contains {what}"


def _proto(data: Any) -> Any:
    """The TensorProto of a SavedSlice."""
    for number, content in fields(data):
        if number == 3:
            return part_of(content, "values")
    return b""


def _lists(proto: Any) -> Iterator[tuple[int, Any]]:
    """The fields of a TensorProto that contain values."""
    return (pair for pair in fields(proto) if pair[0] in VALUES)


def _decode(
    lists: Iterable[tuple[int, Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray:
    """Values of one slice as an array."""
    pieces: list[np.ndarray] = []
    single = bytearray()  # values that stand alone, one after the other
    half = False

    def pack(stored: Any) -> None:
        if single:
            pieces.append(np.frombuffer(bytes(single), stored))
            single.clear()

    stored: Any = None
    for number, content in lists:
        half |= number == HALF
        if VALUES[number] != stored or not isinstance(content, int):
            pack(stored or np.dtype("<u8"))
        stored = VALUES[number]
        if isinstance(content, int):
            single += content.to_bytes(stored.itemsize if stored else 8, "little")
        elif stored is None:
            pieces.append(_varints(bytes(content)))
        elif len(content) % stored.itemsize:
            raise WireError(f"{len(content)} bytes are no whole number of values")
        else:
            pieces.append(np.frombuffer(bytes(content), stored))
    pack(stored or np.dtype("<u8"))
    flat = np.concatenate(pieces) if pieces else np.empty(0, dtype)
    if half and dtype.itemsize != 2:
        raise WireError(f"contains half-precision values for a tensor of {dtype}")
    if dtype.kind == "c" and len(flat) % 2:
        raise WireError(f"{len(flat)} parts are no whole number of complex values")
    if half:
        flat = flat.astype(np.uint16).view(dtype)
    elif dtype.kind == "c":
        flat = np.ascontiguousarray(flat).view(np.complex64 if flat.itemsize == 4 else complex)
    elif flat.dtype == np.uint64 and dtype.kind != "u":
        flat = flat.view(np.int64)
    if flat.size != math.prod(shape):
        raise WireError(f"contains {flat.size} values for a shape of {shape}")
    return flat.astype(dtype, copy=False).reshape(shape)


def _varints(data: bytes) -> np.ndarray:
    """Numbers of seven bits a byte, all at once."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise WireError("a number runs past the end")
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    if len(lengths) and lengths.max() > MAX_VARINT:
        raise WireError(f"a number of more than {MAX_VARINT} bytes")
    found = np.zeros(len(ends), np.uint64)
    for place in range(int(lengths.max()) if len(lengths) else 0):
        there = lengths > place
        seven = (raw[starts[there] + place] & 0x7F).astype(np.uint64)
        found[there] |= seven << np.uint64(7 * place)
    return found
