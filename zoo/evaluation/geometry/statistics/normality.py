"""Whether single dimensions, and projections on random lines, are standard normal."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools

PROJECTIONS = 100
LEVEL = 0.05  # of the tests, after Holm's correction

Numbers = NDArray[np.float64]


def normality(codes: Codes, tools: Tools) -> Readings:
    """Kolmogorov-Smirnov distances to N(0, 1), and sliced Wasserstein-2 to N(0, I)."""
    n, samples = codes.count, codes.samples
    lines = tools.normal(codes.size, PROJECTIONS)
    projections = samples @ (lines / lines.norm(dim=0))
    found: Readings = {}
    for name, columns in (("dims", samples), ("lines", projections)):
        distances, p_values = kolmogorov_smirnov(columns.numpy())
        adjusted = holm(p_values)
        found[f"ks_{name}"] = Reading(
            float(distances.max()), n, float(adjusted.min()), tuple(distances.tolist())
        )
        found[f"rejected_{name}"] = Reading(float((adjusted < LEVEL).mean()), n)
    found["sliced_wasserstein"] = Reading(_wasserstein(projections), n)
    return found


def kolmogorov_smirnov(columns: Numbers) -> tuple[Numbers, Numbers]:
    """Distance of each column of `(n, c)` to N(0, 1), and its asymptotic p-value."""
    n = len(columns)
    levels = stats.norm.cdf(np.sort(columns, axis=0))
    steps = np.arange(n + 1)[:, None] / n
    distances = np.maximum(steps[1:] - levels, levels - steps[:-1]).max(0)
    return distances, stats.kstwobign.sf(np.sqrt(n) * distances)


def holm(p_values: Numbers) -> Numbers:
    """P-values adjusted for their number (Holm, 1979), in the same order.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    found = np.empty_like(adjusted)
    found[order] = adjusted
    return found


def _wasserstein(projections: Tensor) -> float:
    """Root mean over lines of the squared Wasserstein-2 distance to N(0, 1)."""
    n = len(projections)
    quantiles = stats.norm.ppf((np.arange(n) + 0.5) / n)
    difference = projections.sort(0).values - torch.from_numpy(quantiles)[:, None]
    return difference.square().mean().sqrt().item()
