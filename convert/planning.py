"""Which tensor goes where: exact coverage in both directions, before a byte is read."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convert.families.base import DROPPED, PART_OPTIONS, Family, Settings
from convert.ops import WINDOW, Op, resize, select_rows, then
from convert.rows import GROWTH, Row, expand
from zoo.errors import IntegrityError
from zoo.hints import nearest

SHOWN = 12  # leftovers in a message; a whole foreign model should not fill the screen


@dataclass(frozen=True)
class Step:
    """One tensor on its way.

    Attributes:
        source: its name in the checkpoint, as stored.
        target: ours.
        shape: of the target.
        op: what happens to it.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    op: Op


@dataclass(frozen=True)
class Plan:
    """What becomes of every tensor.

    Attributes:
        steps: those that are written, in the order of the table.
        dropped: those that are not, with the reason.
    """

    steps: tuple[Step, ...]
    dropped: dict[str, str]


def rows_of(names: Sequence[str], format: str) -> dict[str, str]:
    """The names that rows use -> the names as stored.

    TensorFlow's names mean something. Keras's HDF5 files number the weights of a layer anew in
    each release, so there a row names the layer and the place among its weights.

    Example:
        >>> rows_of(["model_weights/MLM-Norm/MLM-Norm/beta:0"], "keras_hdf5")
        {'MLM-Norm#0': 'model_weights/MLM-Norm/MLM-Norm/beta:0'}
    """
    if format != "keras_hdf5":
        return {name: name for name in names}
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name in names:
        inside = name.removeprefix("model_weights/")
        layer = inside.partition("/")[0]
        if layer == "optimizer_weights":
            found[name] = name
            continue
        slot = counts.get(layer, 0)
        counts[layer] = slot + 1
        found[f"{layer}#{slot}"] = name
    return found


def plan(
    family: Family,
    format: str,
    tensors: Mapping[str, Any],
    settings: Settings,
    allow_unused: Sequence[str] = (),
) -> Plan:
    """Pair every row with its tensor and every tensor with its row.

    Args:
        family: whose table it is.
        format: of the checkpoint.
        tensors: by stored name, in stored order; their `shape` is looked at, nothing is read.
        settings: what holds.
        allow_unused: patterns (`cls/*`) of stored names that may be left over.

    Raises:
        IntegrityError: tensors are absent, of another shape, or left over; names all of them.
    """
    stored = rows_of(list(tensors), format)
    layers = settings.config["num_hidden_layers"]
    problems: list[str] = []
    steps, used = [], set()
    for row in expand(family.rows, settings.parts, layers):
        name = row.name_in(format)
        if name is None or name not in stored:
            near = nearest(name, stored) if name else None
            hint = f"; the nearest is {near}" if near else ""
            problems.append(f"absent from the checkpoint: {name or row.target}{hint}")
            continue
        used.add(name)
        shape = tuple(tensors[stored[name]].shape)
        wanted = tuple(_sizes_of(row, settings, settings.source_vocab))
        op = row.op_for(format)
        found = _shape_after(op, shape)
        if found != wanted and _can_resize(found, wanted, settings):
            op = then(op, resize(wanted, GROWTH[row.growth](found, wanted)))
        elif found != wanted:
            problems.append(
                f"of another shape: {stored[name]} is {shape}, which gives {found}; the "
                f"configuration asks for {wanted} ({', '.join(map(str, row.shape))})"
            )
            continue
        final = tuple(_sizes_of(row, settings, settings.sizes["vocab"]))
        keep = settings.options["keep_tokens"]
        if row.shape[0] == "vocab" and (keep is not None or settings.compounds):
            op = then(op, select_rows(keep, settings.compounds))
        steps.append(Step(stored[name], row.target, final, op))
    takers = _takers(family, format, layers)
    dropped: dict[str, str] = {}
    for name, original in stored.items():
        if name in used:
            continue
        if reason := _why_dropped(original, takers.get(name), settings, allow_unused):
            dropped[original] = reason
            continue
        part = takers.get(name)
        option = PART_OPTIONS.get(part or "")
        hint = f", which {option}=True would take" if option else f" (part {part})" if part else ""
        problems.append(f"not in the map: {original} {tuple(tensors[original].shape)}{hint}")
    if problems:
        raise IntegrityError(_disagreement(family, problems))
    return Plan(tuple(steps), dropped)


def _can_resize(found: tuple[int, ...], wanted: tuple[int, ...], settings: Settings) -> bool:
    """Whether the option is on, and each axis that grows has whole pairs."""
    return (
        bool(settings.options["autoresize_weights"])
        and len(found) == len(wanted)
        and all(new <= old or old % WINDOW == 0 for old, new in zip(found, wanted, strict=True))
    )


def _disagreement(family: Family, problems: list[str]) -> str:
    more = len(problems) - SHOWN
    lines = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
    return (
        f"the checkpoint and the map of {family.title} disagree on {len(problems)} tensors:{lines}"
        + (f"\n  and {more} more" if more > 0 else "")
        + "\nIs it the right configuration (--config) and are the options those of the model "
        "(--option KEY=VALUE)? What is to be left out on purpose: --allow-unused PATTERN."
    )


def _sizes_of(row: Row, settings: Settings, vocab: int) -> Iterator[int]:
    sizes = settings.sizes | {"vocab": vocab}
    for size in row.shape:
        yield sizes[size] if isinstance(size, str) else size


def _shape_after(op: Op, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape an operation gives, worked out on an array without memory."""
    import numpy as np

    return tuple(op.apply(np.broadcast_to(np.zeros((), np.uint8), shape)).shape)


def _takers(family: Family, format: str, layers: int) -> dict[str, str]:
    """Every name that some row would take -> the row's part."""
    everything = {part: True for row in family.rows for part in row.part.split("+")}
    return {
        name: row.part
        for row in expand(family.rows, everything, layers)
        if (name := row.name_in(format)) is not None
    }


def _why_dropped(
    name: str, part: str | None, settings: Settings, allow_unused: Sequence[str]
) -> str | None:
    """Why a tensor may be left over, or None where it may not."""
    for pattern, reason in DROPPED:
        if pattern.search(name):
            return reason
    option = PART_OPTIONS.get(part or "")
    if option and settings.options[option] is False:
        return f"left out by {option}=False"
    for word in allow_unused:
        if fnmatch.fnmatchcase(name, word):
            return f"allowed by {word}"
    return None


def parameters(steps: Sequence[Step]) -> int:
    """Number of values written."""
    return sum(math.prod(step.shape) for step in steps)
