"""What a statistic is given beside the codes, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """One statistic of one set of codes.

    Attributes:
        value: the number.
        count: how many codes, pairs or images it is of.
        p_value: of the hypothesis that the codes are N(0, I); None where it is no test.
        parts: the same by dimension, where there is such.
    """

    value: float
    count: int
    p_value: float | None = None
    parts: tuple[float, ...] = ()


Readings = dict[str, Reading]


@dataclass(frozen=True)
class Tools:
    """Randomness, the networks, and whether tests are wanted.

    Attributes:
        generator: on the CPU; a group of statistics has its own.
        decode: codes `(k, d)` to expected images, both on the CPU; None without a model.
        encode: images to codes (posterior means), likewise.
        tests: compute p-values that need permutations; a reference sample needs none.
    """

    generator: torch.Generator
    decode: Network | None = None
    encode: Network | None = None
    tests: bool = True

    def normal(self, count: int, size: int) -> Tensor:
        """A sample of the prior, `(count, size)`, float64."""
        return torch.randn((count, size), generator=self.generator, dtype=torch.float64)
