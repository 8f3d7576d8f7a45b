"""Distances of the whole cloud to the prior: entropy from neighbours, and kernels."""

import torch
from torch import Tensor

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools
from zoo.models.images.entropy import kozachenko_leonenko_entropy

# Widths of the inverse multiquadric kernel in units of 2 d, the mean squared distance of two
# prior codes: fixed by the prior, since a width taken from the sample would follow what it tests.
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PERMUTATIONS = 200
BLOCK = 2**21  # kernel values in memory at once


def entropy(codes: Codes, tools: Tools) -> Readings:
    """Nearest-neighbour entropy of the samples, k = 1; biased, so compare with the reference."""
    value = kozachenko_leonenko_entropy(codes.samples).item()
    return {"entropy_gap": Reading(value, codes.count)}


def maximum_mean_discrepancy(codes: Codes, tools: Tools) -> Readings:
    """Unbiased squared MMD to as many prior codes; its p-value is by permutation."""
    prior = tools.normal(codes.count, codes.size)
    value, p_value = mmd(codes.samples, prior, PERMUTATIONS if tools.tests else 0, tools.generator)
    return {"mmd": Reading(value, codes.count, p_value)}


def mmd(
    first: Tensor, second: Tensor, permutations: int, generator: torch.Generator
) -> tuple[float, float | None]:
    r"""Unbiased :math:`MMD^2` with :math:`k(r) = \sum_c C/(C + r^2)`, C = 2 d c.

    The kernel matrix is computed in blocks and multiplied with the indicators of all halves.

    Args:
        first: shape `(n, d)`.
        second: shape `(n, d)`.
        permutations: random halves of the pooled sample; 0 for no p-value.
        generator: of the permutations.

    Returns:
        The statistic, and the share of halves (the real one among them) that reach it.
    """
    n, size = first.shape
    pooled = torch.cat([first, second]).double()
    halves = torch.zeros(2 * n, permutations + 1)
    halves[:n, 0] = 1
    for column in range(1, permutations + 1):
        halves[torch.randperm(2 * n, generator=generator)[:n], column] = 1
    ones = torch.ones(2 * n, 1)
    weights = torch.cat([halves, ones], 1)
    squares = pooled.square().sum(1)
    products = []
    height = max(1, BLOCK // (2 * n))
    for start in range(0, 2 * n, height):
        rows = pooled[start : start + height]
        distances = squares[start : start + height, None] + squares - 2 * rows @ pooled.T
        distances = distances.clamp_(min=0).float()
        kernel = torch.zeros_like(distances)
        for width in WIDTHS:
            scale = 2 * size * width
            kernel += scale / (scale + distances)
        kernel.diagonal(start).zero_()
        products.append(kernel @ weights)
    sums = torch.cat(products).double()
    halves = halves.double()
    within, every = (halves * sums[:, :-1]).sum(0), sums[:, -1]
    row = every @ halves
    total = every.sum()
    # Of the three sums over pairs, two follow from the row sums.
    other, between = total - 2 * row + within, row - within
    found = (within + other) / (n * (n - 1)) - 2 * between / n**2
    p_value = (found >= found[0]).double().mean().item() if permutations else None
    return found[0].item(), p_value
