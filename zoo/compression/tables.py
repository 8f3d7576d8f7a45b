r"""Stored tables of :math:`\exp`, :math:`\Phi` and :math:`\Phi^{-1}`, and lookups in them.

The `exp` and `erf` of two C libraries may differ in the last bit. This module uses only the tables
and single additions, multiplications, divisions and floors of doubles, which IEEE 754 rounds
in one way only; NumPy does one operation per call, so nothing is fused.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.errors import IntegrityError

Doubles = NDArray[np.float64]

STORED = Path(__file__).with_name("tables.safetensors")
BUCKETS = 512  # of a latent dimension, each of the same prior mass; a power of two
EDGE_BITS = 24  # binary places of a bucket's edges
CENTRE_BITS = 12  # and of its centre, which the decoder network reads
EXP_STEPS, EXP_LIMIT = 128, 16
NORMAL_STEPS, NORMAL_LIMIT = 128, 7


@dataclass(frozen=True)
class Tables:
    """The tables that `make_tables` made.

    Attributes:
        exponentials: exp(i / `EXP_STEPS`) for i from -`EXP_LIMIT` `EXP_STEPS` on.
        normal_cumulative: the standard normal's distribution function on its grid.
        edges: between the buckets, `BUCKETS` - 1 values of the standard normal.
        centres: of the buckets, whole numbers in units of 2^-`CENTRE_BITS`.
    """

    exponentials: Doubles
    normal_cumulative: Doubles
    edges: Doubles
    centres: Doubles

    def exp(self, steps: Doubles) -> Doubles:
        """The exponential of multiples of 1 / `EXP_STEPS`, clipped to the table's range."""
        last = EXP_LIMIT * EXP_STEPS
        places = np.clip(steps, -last, last) + last
        found: Doubles = self.exponentials[places.astype(np.intp)]
        return found

    def normal_below(self, values: Doubles) -> Doubles:
        r""":math:`\Phi` interpolated linearly between grid points; never decreases."""
        grid = np.clip(values, -NORMAL_LIMIT, NORMAL_LIMIT) * NORMAL_STEPS
        grid += NORMAL_LIMIT * NORMAL_STEPS
        whole = np.minimum(np.floor(grid), len(self.normal_cumulative) - 2.0)
        places = whole.astype(np.intp)
        grid -= whole
        grid *= _rises()[places]
        grid += self.normal_cumulative[places]
        return grid


@cache
def tables() -> Tables:
    """The stored tables, read once.

    Raises:
        IntegrityError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(STORED.read_bytes())
        edges = found["edges"] * 2.0**-EDGE_BITS
        return Tables(found["exponentials"], found["normal_cumulative"], edges, found["centres"])
    except (OSError, KeyError, SafetensorError) as error:
        raise IntegrityError(f"{STORED}: cannot be read ({error}); install genae again") from None


@cache
def _rises() -> Doubles:
    return np.diff(tables().normal_cumulative)
