"""safetensors files written as a stream: a block in memory at a time, however large a tensor.

The layout: eight bytes with the header's length, the header as JSON, then the tensors' bytes
without gaps (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.weights.lazy import boxes
from convert.weights.steps import Step
from convert.wire.safetensors import DTYPES, WEIGHTS
from zoo.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np

BLOCK = 8 * 2**20  # bytes of a tensor that are made at a time
PIECE = 4 * 2**20  # bytes handed on at a time
STRIP = 64  # rows


def write(
    folder: Path,
    steps: Sequence[Step],
    tensors: Mapping[str, Any],
    *,
    dtype: str | None = None,
    max_shard_bytes: int,
    metadata: Mapping[str, str] | None = None,
    advance: Callable[[int], None] = lambda written: None,
    unsound: list[str] | None = None,
) -> list[str]:
    """Write the weights.

    Args:
        folder: where to.
        steps: what becomes of what.
        tensors: lazy tensors by stored name.
        dtype: of every floating-point tensor; None keeps each one's own.
        max_shard_bytes: a file is not begun beyond it; a larger tensor has a file of its own.
        metadata: for the header of every file, besides the format.
        advance: called with bytes as they are written.
        unsound: receives the names of tensors with values that are written as not-a-number or
            infinity.

    Returns:
        The names of the files.

    Raises:
        IntegrityError: a tensor cannot be read, or has a type that safetensors lacks.
    """
    unsound = [] if unsound is None else unsound
    kinds = kinds_of(steps, tensors, dtype)
    shards = list(_shards(steps, kinds, max_shard_bytes))
    count = len(shards)
    names = (
        [WEIGHTS]
        if count == 1
        else [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    )
    for name, shard in zip(names, shards, strict=True):
        with (folder / name).open("wb") as file:
            file.write(_header(shard, kinds, metadata or {}))
            for step in shard:
                for piece in _pieces(step, tensors, kinds[step.target], unsound):
                    file.write(piece)
                    advance(len(piece))
    if count > 1:
        index = {
            "metadata": {"total_size": sum(_bytes(step, kinds) for step in steps)},
            "weight_map": {
                step.target: name
                for name, shard in zip(names, shards, strict=True)
                for step in shard
            },
        }
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / f"{WEIGHTS}.index.json").write_text(text, encoding="utf-8")
        names.append(f"{WEIGHTS}.index.json")
    return names


def kinds_of(
    steps: Sequence[Step], tensors: Mapping[str, Any], dtype: str | None
) -> dict[str, np.dtype[Any]]:
    """The type that each target is written in; arguments as `write`.

    Raises:
        IntegrityError: safetensors lacks a type.
    """
    return {step.target: _kind(tensors[step.sources[0]], dtype) for step in steps}


def _kind(tensor: Any, dtype: str | None) -> np.dtype[Any]:
    """The type a tensor is written in."""
    import ml_dtypes
    import numpy as np

    own = np.dtype(tensor.dtype)
    floating = own.kind == "f" or own == ml_dtypes.bfloat16
    kind = np.dtype(dtype) if dtype and floating else own
    if kind.name not in DTYPES:
        raise IntegrityError(f"{tensor.name}: of type {kind.name}, which safetensors cannot store")
    return kind


def _bytes(step: Step, kinds: Mapping[str, np.dtype[Any]]) -> int:
    return math.prod(step.shape) * kinds[step.target].itemsize


def _shards(
    steps: Sequence[Step], kinds: Mapping[str, np.dtype[Any]], max_bytes: int
) -> Iterator[list[Step]]:
    shard: list[Step] = []
    size = 0
    for step in steps:
        if shard and size + _bytes(step, kinds) > max_bytes:
            yield shard
            shard, size = [], 0
        shard.append(step)
        size += _bytes(step, kinds)
    yield shard


def _header(
    shard: Sequence[Step], kinds: Mapping[str, np.dtype[Any]], metadata: Mapping[str, str]
) -> bytes:
    table: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for step in shard:
        begin, end = end, end + _bytes(step, kinds)
        table[step.target] = {
            "dtype": DTYPES[kinds[step.target].name],
            "shape": list(step.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin aligned
    return len(text).to_bytes(8, "little") + text


def _pieces(
    step: Step, tensors: Mapping[str, Any], kind: np.dtype[Any], unsound: list[str]
) -> Iterator[memoryview]:
    """The target's bytes, a piece at a time."""
    import ml_dtypes
    import numpy as np

    from convert.weights.views import SideBySide

    parts = [op.view(tensors[name]) for name, op in step.parts]
    made = parts[0] if len(parts) == 1 else SideBySide(parts)
    if tuple(made.shape) != step.shape:
        raise IntegrityError(f"{step.source}: became {made.shape}, not {step.shape}")
    floating = kind.kind == "f" or kind == ml_dtypes.bfloat16
    for box in boxes(made.shape, BLOCK // made.dtype.itemsize):
        for array in _rows(made.block(box)):
            with np.errstate(over="ignore", invalid="ignore"):  # reported once, by name
                values = _in_order(array, kind.newbyteorder("<"))
                sound = not floating or bool(np.isfinite(values).all())
            if not sound and step.target not in unsound:
                unsound.append(step.target)
            yield values.reshape(-1).view(np.uint8).data
    made.verify()


def _rows(array: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time, so that a transposed copy is small."""
    height = max(1, PIECE * len(array) // max(1, array.nbytes)) if array.ndim else 1
    if array.ndim == 0:
        yield array
        return
    for start in range(0, len(array), height):
        yield array[start : start + height]


def _in_order(array: np.ndarray, kind: np.dtype[Any]) -> np.ndarray:
    """A copy in C order.

    Of a transposed array a narrow strip is put together first: in strides of a whole row, often a
    power of two, values meet in the same few lines of the cache. Up to nine times faster.
    """
    import numpy as np

    if array.flags.c_contiguous:
        return np.ascontiguousarray(array, kind)
    out = np.empty(array.shape, kind)
    for start in range(0, len(array), STRIP):
        strip = slice(start, start + STRIP)
        out[strip] = array[strip].copy("K")
    return out
