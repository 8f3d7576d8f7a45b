r"""How the stored tables were made: `python -m zoo.compression.make_tables`.

Decimal arithmetic is defined to the last digit, so that the tables can be reproduced anywhere;
coders read the stored file and never this module.
"""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from statistics import NormalDist

import numpy as np
from safetensors.numpy import save

from .tables import (
    BUCKETS,
    CENTRE_BITS,
    EDGE_BITS,
    EXP_LIMIT,
    EXP_STEPS,
    NORMAL_LIMIT,
    NORMAL_STEPS,
    STORED,
)

DIGITS = 50
PI = Decimal("3.14159265358979323846264338327950288419716939937510582")


def exponentials() -> np.ndarray:
    """exp(i / EXP_STEPS), each rounded once to a double."""
    count = EXP_LIMIT * EXP_STEPS
    return _doubles((Decimal(i) / EXP_STEPS).exp() for i in range(-count, count + 1))


def cumulative(x: Decimal) -> Decimal:
    r"""Standard normal :math:`\Phi(x)` by the series of its density times x, x^3/3, x^5/15, ..."""
    term = total = x
    odd = 1
    while abs(term) > Decimal(10) ** -DIGITS:
        odd += 2
        term = term * x * x / odd
        total += term
    return Decimal("0.5") + total * (-x * x / 2).exp() / (2 * PI).sqrt()


def normal_cumulative() -> np.ndarray:
    r""":math:`\Phi` on a grid of `NORMAL_STEPS` a unit, from -`NORMAL_LIMIT` on."""
    count = NORMAL_LIMIT * NORMAL_STEPS
    upper = [cumulative(Decimal(i) / NORMAL_STEPS) for i in range(count + 1)]
    return _doubles([1 - value for value in upper[:0:-1]] + upper)


def quantile(probability: Decimal) -> Decimal:
    r""":math:`\Phi^{-1}`: Newton's steps from a first guess that is good to a dozen digits."""
    x = Decimal(NormalDist().inv_cdf(float(probability)))
    for _ in range(3):
        density = (-x * x / 2).exp() / (2 * PI).sqrt()
        x -= (cumulative(x) - probability) / density
    return x


def prior_buckets() -> tuple[np.ndarray, np.ndarray]:
    """Edges and centres by mass of buckets of equal prior mass, as whole numbers."""
    edges = [quantile(Decimal(i) / BUCKETS) for i in range(1, BUCKETS)]
    centres = [quantile(Decimal(2 * i + 1) / (2 * BUCKETS)) for i in range(BUCKETS)]
    return (
        _doubles(round(x * 2**EDGE_BITS) for x in edges),
        _doubles(round(x * 2**CENTRE_BITS) for x in centres),
    )


def make() -> bytes:
    """The file of tables."""
    with localcontext() as context:
        context.prec = DIGITS
        edges, centres = prior_buckets()
        return save(
            {
                "exponentials": exponentials(),
                "normal_cumulative": normal_cumulative(),
                "edges": edges,
                "centres": centres,
            }
        )


def _doubles(values: Iterable[Decimal | int]) -> np.ndarray:
    return np.array([float(value) for value in values], dtype="<f8")


if __name__ == "__main__":
    STORED.write_bytes(make())
