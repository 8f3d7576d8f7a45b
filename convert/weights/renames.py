"""From genae's names to those of transformers, where it has the architecture."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.weights.ops import KEEP, TRANSPOSE, Op, then

if TYPE_CHECKING:
    from convert.weights.steps import Step


@dataclass(frozen=True)
class Rename:
    r"""One line of a table of names.

    Attributes:
        pattern: of genae's name, a regular expression that fits all of it.
        target: transformers' name; `\1` stands for a group.
        op: on genae's array.
        place: where several tensors become one, side by side: which this is.
    """

    pattern: str
    target: str
    op: Op = KEEP
    place: int = 0


def rename(steps: Iterable[Step], table: Iterable[Rename]) -> list[Step]:
    """Steps under other names; those that meet in one target become one step.

    The first line that fits counts; what no line fits keeps its name.
    """
    lines = [(re.compile(line.pattern), line) for line in table]
    done: dict[str, list[tuple[int, Step]]] = {}
    for step in steps:
        place, moved = 0, step
        for pattern, line in lines:
            if match := pattern.fullmatch(step.target):
                place = line.place
                op = then(step.op, line.op)
                shape = step.shape[::-1] if line.op is TRANSPOSE else step.shape
                moved = replace(step, target=match.expand(line.target), op=op, shape=shape)
                break
        done.setdefault(moved.target, []).append((place, moved))
    return [_join([step for _, step in sorted(group, key=_place)]) for group in done.values()]


def _place(pair: tuple[int, Step]) -> int:
    return pair[0]


def _join(steps: list[Step]) -> Step:
    """Several steps to one target, side by side along its last axis."""
    if len(steps) == 1:
        return steps[0]
    shape = (*steps[0].shape[:-1], sum(step.shape[-1] for step in steps))
    parts = [pair for step in steps for pair in step.parts]
    names = list(dict.fromkeys(op.name for _, op in parts))
    op = steps[0].op
    return replace(
        steps[0],
        op=op if len(names) == 1 else replace(op, name=" | ".join(names)),
        sources=tuple(source for source, _ in parts),
        shape=shape,
        ops=tuple(op for _, op in parts),
    )
