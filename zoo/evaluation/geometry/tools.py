"""What a statistic takes besides the codes, and what it returns."""

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
        count: number of codes, pairs or images behind it.
        p_value: of the hypothesis that the codes are N(0, I); None if there is no test.
        parts: the value for each dimension, if defined.
    """

    value: float
    count: int
    p_value: float | None = None
    parts: tuple[float, ...] = ()


Readings = dict[str, Reading]


@dataclass(frozen=True)
class Tools:
    """A source of randomness, the networks, and whether to test.

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
