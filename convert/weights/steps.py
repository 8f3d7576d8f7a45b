"""What becomes of tensors: the nouns of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from convert.weights.ops import Op


@dataclass(frozen=True)
class Step:
    """One tensor on its way.

    Attributes:
        sources: its names in the checkpoint, as stored; several are put side by side.
        target: its name in the result.
        shape: of the target.
        op: what happens to each.
        ops: what happens to each, where that is not the same.
    """

    sources: tuple[str, ...]
    target: str
    shape: tuple[int, ...]
    op: Op
    ops: tuple[Op, ...] = ()

    @property
    def source(self) -> str:
        """What to print as its name."""
        return " + ".join(dict.fromkeys(self.sources))

    @property
    def parts(self) -> Iterator[tuple[str, Op]]:
        """Each source with what happens to it."""
        return zip(self.sources, self.ops or (self.op,) * len(self.sources), strict=True)


@dataclass(frozen=True)
class Plan:
    """What becomes of every tensor.

    Attributes:
        steps: those that are written, in the order of the table.
        dropped: those that are not, with the reason.
    """

    steps: tuple[Step, ...]
    dropped: dict[str, str]


def parameters(steps: Sequence[Step]) -> int:
    """Number of values written."""
    return sum(math.prod(step.shape) for step in steps)


def as_table(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """What becomes of each tensor, in types that JSON has."""
    return [
        {
            "source": step.source,
            "target": step.target,
            "shape": list(step.shape),
            "operation": step.op.name,
        }
        for step in steps
    ]
