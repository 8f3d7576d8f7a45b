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
from convert.weights.ops import KEEP, TRANSPOSE
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
NAMINGS = {"tf-checkpoint": "tensorflow", "keras-hdf5": "keras"}
TURNED = "(out, in) -> (in, out)"

#: What transformers stores beside the weights, and the reasons to leave it behind.
BESIDE = tuple(
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
        layer: of Keras, which holds it.
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


def _ranges(begin: int, end: int, most: int) -> Iterator[slice]:
    """Slices of at most so many, and at least one."""
    step = max(1, most)
    for start in range(begin, end, step):
        yield slice(start, min(start + step, end))


def legacy_shapes(
    family: Family, tensors: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """What a folder holds of the first block and the rest: Keras's names -> legacy shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for row in expand(family.rows, _everything(family, config), 1):
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
    to: str,
    config: Mapping[str, Any],
    allow_unused: Sequence[str] = (),
) -> tuple[list[Pair], dict[str, str]]:
    """Pair every row with its tensor and every tensor with its row.

    Args:
        family: whose table it is.
        settings: what holds.
        tensors: of the folder, by name.
        to: the form to be written.
        config: the folder's `config.json`.
        allow_unused: patterns of tensors that may be left behind.

    Returns:
        What is written, in the order in which bert4keras makes its layers; and what is not, with
        the reason.

    Raises:
        UsageError: the form has no name for a tensor.
        IntegrityError: tensors are absent, of another shape, or left over; names all of them.
    """
    naming = NAMINGS[to]
    rows = {name: row for row, name in _named(family, settings, naming)}
    written = weight_names(rows.values()) if naming == "keras" else {name: name for name in rows}
    forward = [
        Step((name,), row.target, _sizes(row, settings), row.op_for(naming))
        for name, row in rows.items()
    ]
    problems: list[str] = []
    pairs: dict[str, Pair] = {}
    used: set[str] = set()
    for step in _renamed(family, [step for step in forward if step.target], config):
        stored = _stored(step.target, tensors)
        if stored is None:
            near = nearest(step.target, tensors)
            hint = f"; the nearest is {near}" if near else ""
            problems.append(f"absent from the folder: {step.target}{hint}")
            continue
        used.add(stored)
        if tuple(tensors[stored].shape) != step.shape:
            problems.append(
                f"of another shape: {stored} is {tuple(tensors[stored].shape)}; the "
                f"configuration asks for {step.shape}"
            )
            continue
        for place, name in enumerate(step.sources):
            pairs[name] = _pair(step, stored, place, written[name], rows[name].layer)
    for step in forward:
        if not step.target:
            (name,) = step.sources
            there = Step(("computed",), written[name], step.shape, KEEP)
            pairs[name] = Pair(there, rows[name].layer, made=rows[name].made)
    left, over = _left(family, settings, tensors, used, config, allow_unused)
    if problems := problems + over:
        raise IntegrityError(_disagreement(family, problems))
    return [pairs[name] for name in rows], left


def _pair(step: Step, stored: str, place: int, name: str, layer: str) -> Pair:
    """One source of a step, the other way round."""
    count = len(step.sources)
    turned = step.op.invert is TRANSPOSE.invert
    shape = (*step.shape[:-1], step.shape[-1] // count)
    words = [f"part {place + 1} of {count}"] * (count > 1) + [TURNED] * turned
    op = replace(step.op, name=", ".join(words) or KEEP.name)
    back = Step((stored,), name, shape[::-1] if turned else shape, op)
    return Pair(back, layer, place, count)


def _named(family: Family, settings: Settings, naming: str) -> Iterator[tuple[Row, str]]:
    """The rows that are there with their names in a form.

    Raises:
        UsageError: the form has none for one of them, or one name for several.
    """
    taken: dict[str, Row] = {}
    for row in in_order(family.rows, settings):
        name = row.name_in(naming)
        if name is None and not row.target:
            continue  # computed: no checkpoint holds it
        if name is None:
            raise UsageError(
                f"bert4keras has no name for {row.target} in a checkpoint: use --to keras-hdf5"
            )
        if name in taken:
            raise UsageError(
                f"{taken[name].target} and {row.target} have one name in a checkpoint of "
                f"{family.name}, {name}: use --to keras-hdf5"
            )
        taken[name] = row
        yield row, name


def _everything(family: Family, config: Mapping[str, Any]) -> dict[str, bool]:
    """All parts; of the two kinds of conditional normalisation the one that is meant."""
    hidden = config.get("condition_hidden_size") is not None
    parts = {part: True for row in family.rows for part in row.part.split("+")}
    return parts | {"condition": not hidden, "hidden_condition": hidden}


def _renamed(family: Family, steps: list[Step], config: Mapping[str, Any]) -> list[Step]:
    """Steps under the names of the class that the folder is of."""
    ours = str(config.get("model_type")).startswith("genae_")
    return steps if ours else rename(steps, family.renames)


def _stored(target: str, tensors: Mapping[str, Any]) -> str | None:
    """A tensor's name in the folder: a model without heads is saved without its prefix."""
    bare = target.partition(".")[2]
    return next((name for name in (target, bare) if name and name in tensors), None)


def _sizes(row: Row, settings: Settings) -> tuple[int, ...]:
    return tuple(settings.sizes[one] if isinstance(one, str) else one for one in row.shape)


def _left(
    family: Family,
    settings: Settings,
    tensors: Mapping[str, Any],
    used: set[str],
    config: Mapping[str, Any],
    allow_unused: Sequence[str],
) -> tuple[dict[str, str], list[str]]:
    """What may stay behind, with the reason; and what may not, as lines of a message."""
    everything = expand(
        family.rows, _everything(family, config), settings.config["num_hidden_layers"]
    )
    steps = [Step((row.part,), row.target, (1,), row.op) for row in everything if row.target]
    takers = {
        _stored(step.target, tensors): step.sources[0] for step in _renamed(family, steps, config)
    }
    left: dict[str, str] = {}
    over: list[str] = []
    for name in tensors:
        if name in used:
            continue
        part = takers.get(name, "")
        option = PART_OPTIONS.get(part)
        reasons = [reason for pattern, reason in BESIDE if pattern.search(name)]
        if option and settings.options.get(option) is False:
            reasons.append(f"left out by {option}=False")
        if TIED.search(name) and (twin := _twin(name, tensors, used)):
            reasons.append(f"a copy of {twin}")
        reasons += [
            f"allowed by {word}" for word in allow_unused if fnmatch.fnmatchcase(name, word)
        ]
        if reasons:
            left[name] = reasons[0]
            continue
        hint = f", which {option}=True would take" if option else f" (part {part})" if part else ""
        over.append(f"not in the map: {name} {tuple(tensors[name].shape)}{hint}")
    return left, over


def _twin(name: str, tensors: Mapping[str, Any], used: set[str]) -> str | None:
    """A tensor that is written and has the same values."""
    mine = tensors[name]
    alike = (
        other
        for other in sorted(used)
        if tensors[other].shape == mine.shape and tensors[other].dtype == mine.dtype
    )
    for other in alike:
        both = zip(mine.chunks(PIECE), tensors[other].chunks(PIECE), strict=True)
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
