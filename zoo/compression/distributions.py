"""Distributions to code with: of a posterior over buckets, and of pixels under a likelihood.

They have the same bits on every machine, in the form that `constriction` takes. The outputs of
networks are whole numbers in units of 2^-`ACTIVATION_BITS` (`integers`).
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from constriction import stream

from .integers import ACTIVATION_BITS
from .tables import BUCKETS, EXP_STEPS, Doubles, tables

LOG_VARIANCE_LIMIT = 10  # as the model clamps it, in both directions


def in_steps(values: Doubles, steps: int) -> Doubles:
    """Activations rounded to multiples of 1/steps, as whole numbers."""
    return np.floor(values * (steps * 2.0**-ACTIVATION_BITS) + 0.5)


class Posterior:
    """The encoder's diagonal Gaussian over buckets of equal prior mass."""

    def masses(self, outputs: Doubles) -> Doubles:
        """Probabilities `(d, BUCKETS)` from one image's means and log-variances, `(2 d,)`."""
        mean, log_var = np.split(outputs, 2)
        mean = mean * 2.0**-ACTIVATION_BITS
        # exp(-log_var / 2) in the table's steps: half as many steps of the variance.
        steps = in_steps(log_var, EXP_STEPS // 2)
        limit = LOG_VARIANCE_LIMIT * EXP_STEPS // 2
        inverse = tables().exp(-np.clip(steps, -limit, limit))
        values = tables().edges - mean[:, None]
        values *= inverse[:, None]
        below = np.empty((len(mean), BUCKETS + 1))
        below[:, 0], below[:, -1] = 0.0, 1.0
        below[:, 1:-1] = tables().normal_below(values)
        found: Doubles = np.diff(below)
        return np.maximum(found, 0.0, out=found)


class Pixels(ABC):
    """A likelihood's distribution of whole pixel values.

    Attributes:
        levels: maximum value of a pixel.
        parameters: outputs of the decoder network for each pixel.
        family: the model family of `constriction`.
    """

    levels: int
    parameters: int
    family: Any

    @abstractmethod
    def probabilities(self, outputs: Doubles) -> Doubles:
        """Parameters of the family, one row per pixel, from the decoder outputs of one image."""

    @abstractmethod
    def information(self, outputs: Doubles, pixels: np.ndarray) -> float:
        """Information of one image's pixels in bits, given its decoder outputs."""


class BernoulliPixels(Pixels):
    """Two-valued pixels from logits."""

    levels = 1
    parameters = 1

    def __init__(self) -> None:
        self.family = stream.model.Bernoulli(perfect=False)

    def probabilities(self, outputs: Doubles) -> Doubles:
        """The chance of a one, `(pixels,)`."""
        return 1.0 / (1.0 + tables().exp(-in_steps(outputs, EXP_STEPS)))

    def information(self, outputs: Doubles, pixels: np.ndarray) -> float:
        """Bits of one image's pixels."""
        chance = self.probabilities(outputs)
        return float(-np.log2(np.where(pixels == 1, chance, 1 - chance)).sum())


class BetaBinomialPixels(Pixels):
    r"""Pixels of 256 values from :math:`\log \alpha` and :math:`\log \beta`.

    The probability of k is proportional to :math:`r_k(\alpha)\, r_{255-k}(\beta)`, with
    :math:`r_k(\alpha) = \prod_{j<k} (\alpha + j) / (j + 1)`: one row of a table for each of the
    shapes that the grid knows, and one multiplication.
    """

    levels = 255
    parameters = 2
    log_shape_steps = 64
    min_log_shape, max_log_shape = -9, 7  # as in the likelihood

    def __init__(self) -> None:
        self.family = stream.model.Categorical(perfect=False)
        count = (self.max_log_shape - self.min_log_shape) * self.log_shape_steps + 1
        steps = self.min_log_shape * self.log_shape_steps + np.arange(count, dtype=np.float64)
        shapes = tables().exp(steps * (EXP_STEPS // self.log_shape_steps))
        trials = np.arange(self.levels, dtype=np.float64)
        rows = np.ones((count, self.levels + 1))
        rows[:, 1:] = (shapes[:, None] + trials) / (trials + 1.0)
        np.multiply.accumulate(rows, axis=1, out=rows)
        # The largest rows reach 1e283: a power of two, which rounds nothing, keeps products small.
        exponents = np.frexp(rows.max(axis=1))[1]
        self.rising = np.ldexp(rows, -exponents[:, None])
        self.falling = np.ascontiguousarray(self.rising[:, ::-1])
        self._room: tuple[Doubles, Doubles] | None = None

    def probabilities(self, outputs: Doubles) -> Doubles:
        """Weights of the 256 values, `(pixels, 256)`; overwritten by the next call."""
        steps = in_steps(outputs, self.log_shape_steps) - self.min_log_shape * self.log_shape_steps
        places = np.clip(steps, 0, len(self.rising) - 1).astype(np.intp)
        alpha, beta = np.split(places, 2)
        if self._room is None or len(self._room[0]) != len(alpha):
            shape = (len(alpha), self.levels + 1)
            self._room = np.empty(shape), np.empty(shape)
        product, other = self._room
        np.take(self.rising, alpha, axis=0, out=product, mode="clip")
        np.take(self.falling, beta, axis=0, out=other, mode="clip")
        return np.multiply(product, other, out=product)

    def information(self, outputs: Doubles, pixels: np.ndarray) -> float:
        """Bits of one image's pixels."""
        weights = self.probabilities(outputs)
        taken = weights[np.arange(len(pixels)), pixels]
        return float((np.log2(weights.sum(axis=1)) - np.log2(taken)).sum())


#: By the likelihood's name in a model's config.
PIXELS: dict[str, type[Pixels]] = {
    "bernoulli": BernoulliPixels,
    "beta_binomial": BetaBinomialPixels,
}
