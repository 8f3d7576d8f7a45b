r"""Dense networks on integers, which are stored as doubles.

Weights and activations are on fixed grids, so every product and every sum of a layer is a whole
number; as long as all of them stay below :math:`2^{53}`, doubles hold them exactly, and a matrix
product gives the same result in any order, on any number of threads, fused or not. That bound is
checked for each layer when the network is built. Between layers the sums are rounded to the grid
of activations by a multiplication with a power of two and a floor, both exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import UsageError

from .tables import Doubles

ACTIVATION_BITS = 12  # binary places of an activation
WEIGHT_BITS = 16  # binary places of a weight
MAX_ACTIVATION = 2.0 ** (ACTIVATION_BITS + 10)
EXACT = 2.0**53

Matmul = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class IntegerLayer:
    """One linear layer.

    Attributes:
        weight: `(inputs, outputs)`, whole numbers.
        bias: `(outputs,)`, whole numbers in the unit of the sums.
        shift: binary places dropped from a sum to give an activation.
        min_value: lower limit of activations: 0 with a ReLU.
    """

    weight: Doubles
    bias: Doubles
    shift: int
    min_value: float

    def max_sum(self, max_input: float) -> float:
        """Upper bound on any partial sum, rounding included."""
        sums = np.abs(self.weight).sum(0) * max_input + np.abs(self.bias)
        return float(sums.max()) + 2.0**self.shift

    def __call__(self, values: Doubles, matmul: Matmul) -> Doubles:
        """Activations `(n, outputs)` of activations `(n, inputs)`, whole numbers both."""
        sums: Doubles = matmul(values, self.weight)
        sums = sums + self.bias
        sums *= 2.0**-self.shift
        sums += 0.5
        np.floor(sums, out=sums)
        return np.clip(sums, self.min_value, MAX_ACTIVATION, out=sums)


class IntegerNetwork:
    """Linear layers with ReLU between them, rounded to the grids.

    Args:
        layers: weight `(outputs, inputs)` and bias `(outputs,)` of each, as trained.
        levels: the network reads whole numbers 0..levels that stand for -1 to 1; None if it
            reads activations, in units of 2^-`ACTIVATION_BITS`.
        max_input: maximum absolute value of an input.
        matmul: the matrix product of doubles, of NumPy or of another library.

    Raises:
        UsageError: if a weight is not finite, or so large that sums could be rounded.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Doubles, Doubles]],
        *,
        levels: int | None,
        max_input: float,
        matmul: Matmul = np.matmul,
    ) -> None:
        self.matmul = matmul
        self.layers: list[IntegerLayer] = []
        self.max_sums: list[float] = []
        for number, (weight, bias) in enumerate(layers):
            min_value = 0.0 if number < len(layers) - 1 else -MAX_ACTIVATION
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise UsageError("the weights are not finite; nothing can be coded with them")
            if number == 0 and levels is not None:
                layer = _first_layer(weight, bias, levels, min_value)
            else:
                layer = IntegerLayer(
                    np.ascontiguousarray(_rounded(weight, WEIGHT_BITS).T),
                    _rounded(bias, WEIGHT_BITS + ACTIVATION_BITS),
                    WEIGHT_BITS,
                    min_value,
                )
            largest = layer.max_sum(max_input if number == 0 else MAX_ACTIVATION)
            if not largest < EXACT:
                raise UsageError(
                    f"layer {number} has weights so large that its sums can reach {largest:.3g}, "
                    f"and only those below 2^53 are exact; train with weight decay"
                )
            self.layers.append(layer)
            self.max_sums.append(largest)

    def __call__(self, values: Doubles) -> Doubles:
        """Outputs `(n, outputs)` of inputs `(n, inputs)`: whole numbers in units of the grid."""
        for layer in self.layers:
            values = layer(values, self.matmul)
        return values


def _first_layer(weight: Doubles, bias: Doubles, levels: int, min_value: float) -> IntegerLayer:
    """A layer that reads 2 k / levels - 1, on a grid finer by the levels."""
    bits = WEIGHT_BITS + (levels - 1).bit_length()
    scaled = _rounded(weight * (2.0 / levels), bits)
    # Summed as 64-bit integers, whose sum does not depend on the order.
    offset = _rounded(weight, bits).astype(np.int64).sum(1).astype(np.float64)
    return IntegerLayer(
        np.ascontiguousarray(scaled.T),
        _rounded(bias, bits) - offset,
        bits - ACTIVATION_BITS,
        min_value,
    )


def _rounded(values: Doubles, bits: int) -> Doubles:
    """The nearest whole numbers of values in units of 2^-bits."""
    return np.rint(values * 2.0**bits)
