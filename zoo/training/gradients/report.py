"""What a chain did in a step, and on average since it was last asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Value = Tensor | float


@dataclass(frozen=True)
class Report:
    """One run of a chain.

    Attributes:
        skip: whether the optimizer must not step; the gradients are then None.
        reason: why: "accumulating", "not finite", or "overflow" of a scaled loss; else empty.
        values: what each operation reports, by `operation/quantity`; tensors may still be on a
            device.
    """

    skip: bool
    reason: str
    values: Mapping[str, Value]

    @property
    def numbers(self) -> dict[str, float]:
        """The values as numbers; waits for the device once."""
        return as_numbers(self.values)


@dataclass
class Averages:
    """Means over steps, kept where the values are."""

    _totals: dict[str, Value] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: Mapping[str, Value]) -> None:
        """Take in the values of a step."""
        for name, value in values.items():
            self._totals[name] = self._totals[name] + value if name in self._totals else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def pop(self) -> dict[str, float]:
        """The means so far; new ones begin."""
        means = {n: total / self._counts[n] for n, total in as_numbers(self._totals).items()}
        self._totals.clear()
        self._counts.clear()
        return means


def as_numbers(values: Mapping[str, Value]) -> dict[str, float]:
    """Values as numbers, fetched from a device together."""
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    fetched: dict[str, float] = {}
    if tensors:
        first = next(iter(tensors.values()))
        moved = torch.stack([value.detach().to(first) for value in tensors.values()])
        fetched = dict(zip(tensors, moved.tolist(), strict=True))
    return {n: fetched[n] if isinstance(v, Tensor) else v for n, v in values.items()}


def labels(ops: Sequence[str]) -> list[str]:
    """Names for reports: `clip_norm`, and `clip_norm_2` for the second."""
    counts: Counter[str] = Counter()
    made = []
    for op in ops:
        counts[op] += 1
        made.append(op if counts[op] == 1 else f"{op}_{counts[op]}")
    return made
