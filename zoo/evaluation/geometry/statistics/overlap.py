"""Balls and the space between them: overlap, coverage, holes, interpolations."""

import torch
from scipy import stats
from torch import Tensor

from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.tools import Reading, Readings, Tools
from zoo.models.images.entropy import nearest_neighbors
from zoo.models.images.interpolation import interpolate_latents

OVERLAPPING = 0.1  # Bhattacharyya coefficient from which two balls overlap
WITHIN = 0.95  # of a posterior's mass lies in its ball
HOLE = 0.01  # share of held-out codes that lie in places as empty as a hole
PAIRS = 500


def bhattacharyya(
    mean: Tensor, log_var: Tensor, other_mean: Tensor, other_log_var: Tensor
) -> Tensor:
    """Overlap of diagonal Gaussians, shape `(n,)`: 1 for equal ones, 0 for distant ones.

    Example:
        >>> zero = torch.zeros(1, 2)
        >>> bhattacharyya(zero, zero, zero, zero).item()
        1.0
    """
    variance, other = log_var.exp(), other_log_var.exp()
    both = variance + other
    logs = 0.5 * (2 * (0.5 * (log_var + other_log_var)).exp() / both).log()
    return (logs - (mean - other_mean).square() / (4 * both)).sum(1).exp()


def balls(codes: Codes, tools: Tools) -> Readings:
    """Overlap of each posterior with that of the nearest mean."""
    other = nearest_neighbors(codes.mean, 1)[:, 0]
    overlaps = bhattacharyya(codes.mean, codes.log_var, codes.mean[other], codes.log_var[other])
    share = (overlaps > OVERLAPPING).double().mean().item()
    return {
        "overlap": Reading(overlaps.mean().item(), codes.count),
        "overlapping": Reading(share, codes.count),
    }


def coverage(codes: Codes, tools: Tools) -> Readings:
    """Shares of prior codes and of held-out codes that lie in some posterior's ball."""
    prior = tools.normal(codes.count, codes.size)
    limit = stats.chi2.ppf(WITHIN, codes.size)
    shares = [
        (codes.density.nearest(points) < limit).double().mean().item()
        for points in (prior, codes.held_out)
    ]
    return {
        "coverage": Reading(shares[0], len(prior)),
        "coverage_held_out": Reading(shares[1], len(codes.held_out)),
    }


def hole_threshold(codes: Codes) -> float:
    """Log-density below which a place is a hole: the first percentile on held-out codes."""
    return codes.density.log_prob(codes.held_out).quantile(HOLE).item()


def holes(codes: Codes, tools: Tools) -> Readings:
    """Share of prior codes in places emptier than those of all but 1 % of the held-out codes."""
    prior = tools.normal(codes.count, codes.size)
    share = (codes.density.log_prob(prior) < hole_threshold(codes)).double().mean().item()
    return {"holes": Reading(share, codes.count)}


def pairs_of(codes: Codes, max_pairs: int) -> tuple[Tensor, Tensor]:
    """Pairs of held-out codes: those of the first half, each with one of the second."""
    half = min(len(codes.held_out) // 2, max_pairs)
    return codes.held_out[:half], codes.held_out[half : 2 * half]


def interpolation(codes: Codes, tools: Tools) -> Readings:
    """Log-density half-way between two held-out codes, and how far it is below the ends' mean."""
    start, end = pairs_of(codes, PAIRS)
    ends = codes.density.log_prob(torch.cat([start, end])).mean().item()
    found: Readings = {}
    for mode in ("linear", "slerp"):
        middle = interpolate_latents(start, end, 3, mode)[:, 1]
        density = codes.density.log_prob(middle).mean().item()
        found[f"midpoint_{mode}"] = Reading(density, len(start))
        found[f"dip_{mode}"] = Reading(ends - density, len(start))
    return found
