"""Rows run backwards: which tensor of a model's folder becomes which of a legacy checkpoint."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convert.families.base import PART_OPTIONS, Family, Settings
from convert.identify.by_order import in_order
from convert.plan import SHOWN
from convert.weights.ops import KEEP, TRANSPOSE, Op, then
from convert.weights.renames import rename
from convert.weights.rows import Row, expand
from convert.weights.steps import Step
from convert.writers.layers import weight_names
from zoo.errors import IntegrityError, UsageError
from zoo.hints import nearest

if TYPE_CHECKING:
    import numpy as np

PIECE = 4 * 2**20  # bytes of rows at a time
STRIP = 32 * 2**20  # bytes of a transposed tensor at a time: each strip reads all of the rows
TURNED = "(out, in) -> (in, out)"

#: What transformers stores besides the weights, and the reasons to leave it behind.
UNNEEDED = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"(^|\.)(position_ids|token_type_ids|embed_positions\.weight)$", "computed anew"),
        (r"\.attn\.(masked_)?bias$", "a mask"),
    )
)
#: Names under which a tied tensor may be stored once more.
TIED = re.compile(r"(^|\.)(decoder|lm_head|embed_tokens)\.(weight|bias)$")


@dataclass(frozen=True)
class Pair:
    """One legacy tensor and where it comes from.

    Attributes:
        step: its source in the folder, its legacy name and shape, and what happens.
        layer: the Keras layer that has it.
        place: which of `count` equal parts of the source's last axis it is.
        count: how many.
        made: where it is computed anew: gives the array.
    """

    step: Step
    layer: str
    place: int = 0
    count: int = 1
    made: Callable[[tuple[int, ...]], np.ndarray] | None = None

    def pieces(self, tensors: Mapping[str, Any]) -> Iterator[np.ndarray]:
        """The legacy array, whole rows of its first axis at a time."""
        if self.made is not None:
            yield self.made(self.step.shape)
            return
        tensor = tensors[self.step.source]
        *rows, width = tensor.shape
        begin, end = (width * place // self.count for place in (self.place, self.place + 1))
        if not rows:
            yield tensor.block((slice(begin, end),))
        elif self.step.op.invert is KEEP.invert:
            row = width * tensor.dtype.itemsize
            for part in _ranges(0, rows[0], PIECE // row):
                yield tensor.block((part, slice(begin, end)))
        else:
            assert self.step.op.invert is TRANSPOSE.invert is not None
            column = rows[0] * tensor.dtype.itemsize
            for part in _ranges(begin, end, STRIP // column):
                yield TRANSPOSE.invert(tensor.block((slice(0, rows[0]), part)))


def _ranges(begin: int, end: int, max_length: int) -> Iterator[slice]:
    """Slices of at most so many, and of at least one."""
    step = max(1, max_length)
    for start in range(begin, end, step):
        yield slice(start, min(start + step, end))


@dataclass(frozen=True)
class Place:
    """Where a row's tensor lies in the folder.

    Attributes:
        name: of the stored tensor.
        shape: of the stored tensor.
        op: from the array under our name to the stored one.
        number: which of `count` equal parts of its last axis it is.
        count: how many.
    """

    name: str
    shape: tuple[int, ...]
    op: Op
    number: int
    count: int


@dataclass(frozen=True)
class Pairing:
    """The rows of a family and the tensors of a folder, each with the other; no form yet.

    Attributes:
        family: whose rows they are.
        settings: the resolved ones.
        rows: those that are present, in the order in which bert4keras makes its layers, each with
            the place of its tensor; None where it is computed anew.
        left: tensors that stay behind, with the reason.
    """

    family: Family
    settings: Settings
    rows: list[tuple[Row, Place | None]]
    left: dict[str, str]

    def pairs(self, naming: str) -> list[Pair]:
        """What is written in a form, in the order of the rows.

        Args:
            naming: of the form: "tensorflow" or "keras".

        Raises:
            UsageError: the form has no name for a tensor, or one name for several.
        """
        named = self._named(naming)
        names = {name: name for name in named}
        if naming == "keras":
            names = weight_names(row for row, _ in named.values())
        return [
            self._pair(row, place, row.op_for(naming), names[name])
            for name, (row, place) in named.items()
        ]

    def _named(self, naming: str) -> dict[str, tuple[Row, Place | None]]:
        """The rows with their names in a form."""
        named: dict[str, tuple[Row, Place | None]] = {}
        for row, place in self.rows:
            name = row.name_in(naming)
            if name is None and not row.target:
                continue  # computed: no checkpoint has it
            if name is None:
                raise UsageError(
                    f"bert4keras has no name for {row.target} in a checkpoint: use --to keras-hdf5"
                )
            if name in named:
                raise UsageError(
                    f"{named[name][0].target} and {row.target} have one name in a checkpoint of "
                    f"{self.family.name}, {name}: use --to keras-hdf5"
                )
            named[name] = row, place
        return named

    def _pair(self, row: Row, place: Place | None, op: Op, name: str) -> Pair:
        """A row's tensor, the other way round."""
        if place is None:
            step = Step(("computed",), name, _sizes(row, self.settings), KEEP)
            return Pair(step, row.layer, made=row.made)
        op = then(op, place.op)
        turned = op.invert is TRANSPOSE.invert
        shape = (*place.shape[:-1], place.shape[-1] // place.count)
        words = [f"part {place.number + 1} of {place.count}"] * (place.count > 1)
        op = replace(op, name=", ".join(words + [TURNED] * turned) or KEEP.name)
        step = Step((place.name,), name, shape[::-1] if turned else shape, op)
        return Pair(step, row.layer, place.number, place.count)


def legacy_shapes(
    family: Family, tensors: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Legacy shapes of what a folder has of the first block and the rest, by Keras's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for row in expand(family.rows, _every_part(family, config), 1):
        op = row.op_for("keras")
        (step,) = _renamed(family, [Step((row.layer,), row.target, (), op)], config)
        if name := _stored(step.target, tensors):
            shape = tuple(tensors[name].shape)
            shapes[row.name_in("keras") or ""] = shape[::-1] if op is TRANSPOSE else shape
    return shapes


def pair_all(
    family: Family,
    settings: Settings,
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
    allow_unused: Sequence[str] = (),
) -> Pairing:
    """Pair every row with its tensor and every tensor with its row.

    Args:
        family: whose table it is.
        settings: the resolved ones.
        tensors: of the folder, by name.
        config: the folder's `config.json`.
        allow_unused: patterns of tensors that may be left behind.

    Raises:
        IntegrityError: tensors are absent, of another shape, or left over; names all of them.
    """
    present = {part for part, there in settings.parts.items() if there}
    parts = _every_part(family, config) | dict.fromkeys(present, True)
    rows = list(in_order(family.rows, replace(settings, parts=parts)))
    here = [present.issuperset(row.part.split("+")) for row in rows]
    steps = [
        Step((str(i),), row.target, _sizes(row, settings) if here[i] else (1,), KEEP)
        for i, row in enumerate(rows)
        if row.target
    ]
    problems: list[str] = []
    places: dict[int, Place] = {}
    used: set[str] = set()
    takers: dict[str, str] = {}  # tensors that rows of absent parts would take -> the part
    for step in _renamed(family, steps, config):
        stored = _stored(step.target, tensors)
        numbers = [int(source) for source in step.sources]
        if not all(here[i] for i in numbers):
            takers |= {stored: rows[numbers[0]].part} if stored else {}
        elif stored is None:
            near = nearest(step.target, tensors)
            hint = f"; the nearest is {near}" if near else ""
            problems.append(f"absent from the folder: {step.target}{hint}")
        else:
            used.add(stored)
            shape = tuple(tensors[stored].shape)
            if shape != step.shape:
                problems.append(
                    f"of another shape: {stored} is {shape}; the configuration asks for "
                    f"{step.shape}"
                )
            for number, (source, op) in enumerate(step.parts):
                places[int(source)] = Place(stored, shape, op, number, len(numbers))
    left = {}
    for name in tensors:
        if name in used:
            continue
        part = takers.get(name, "")
        if reason := _why_left(name, part, settings, tensors, used, allow_unused):
            left[name] = reason
        else:
            problems.append(_left_over(name, part, tensors))
    if problems:
        raise IntegrityError(_disagreement(family, problems))
    pairing = [(row, places.get(i)) for i, row in enumerate(rows) if here[i]]
    return Pairing(family, settings, pairing, left)


def _every_part(family: Family, config: Mapping[str, Any]) -> dict[str, bool]:
    """All parts; of the two kinds of conditional normalisation the one that is meant."""
    hidden = config.get("condition_hidden_size") is not None
    parts = {part: True for row in family.rows for part in row.part.split("+")}
    return parts | {"condition": not hidden, "hidden_condition": hidden}


def _renamed(family: Family, steps: list[Step], config: Mapping[str, Any]) -> list[Step]:
    """Steps under the names of the class that the folder is of."""
    own = str(config.get("model_type")).startswith("genae_")
    return steps if own else rename(steps, family.renames)


def _stored(target: str, tensors: Mapping[str, Any]) -> str | None:
    """A tensor's name in the folder: a model without heads is saved without its prefix."""
    bare = target.partition(".")[2]
    return next((name for name in (target, bare) if name and name in tensors), None)


def _sizes(row: Row, settings: Settings) -> tuple[int, ...]:
    return tuple(settings.sizes[one] if isinstance(one, str) else one for one in row.shape)


def _why_left(
    name: str,
    part: str,
    settings: Settings,
    tensors: Mapping[str, Any],
    used: set[str],
    allow_unused: Sequence[str],
) -> str | None:
    """Why a tensor may stay behind, or None where it may not."""
    for pattern, reason in UNNEEDED:
        if pattern.search(name):
            return reason
    option = PART_OPTIONS.get(part)
    if option and settings.options.get(option) is False:
        return f"left out by {option}=False"
    if TIED.search(name) and (twin := _twin(name, tensors, used)):
        return f"a copy of {twin}"
    allowed = (one for one in allow_unused if fnmatch.fnmatchcase(name, one))
    return next((f"allowed by {pattern}" for pattern in allowed), None)


def _left_over(name: str, part: str, tensors: Mapping[str, Any]) -> str:
    """A line on a tensor that nobody takes."""
    option = PART_OPTIONS.get(part)
    hint = f", which {option}=True would take" if option else f" (part {part})" if part else ""
    return f"not in the map: {name} {tuple(tensors[name].shape)}{hint}"


def _twin(name: str, tensors: Mapping[str, Any], used: set[str]) -> str | None:
    """A tensor that is written and has the same values."""
    tensor = tensors[name]
    alike = (
        other
        for other in sorted(used)
        if tensors[other].shape == tensor.shape and tensors[other].dtype == tensor.dtype
    )
    for other in alike:
        both = zip(tensor.chunks(PIECE), tensors[other].chunks(PIECE), strict=True)
        if all(a.tobytes() == b.tobytes() for a, b in both):
            return other
    return None


def _disagreement(family: Family, problems: list[str]) -> str:
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    lines = "".join(f"\n  {line}" for line in [*problems[:SHOWN], *more])
    return (
        f"the folder and the map of {family.title} disagree on {len(problems)} tensors:{lines}\n"
        "Are the family and the options right (--family, --option KEY=VALUE)? What is to be left "
        "behind on purpose: --allow-unused PATTERN."
    )
