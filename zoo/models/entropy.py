"""Entropy of a batch of codes from the distances to their nearest neighbours."""

import math

import torch
from torch import Tensor

CHUNK = 512  # rows searched at a time: faster than more, and memory stays flat
SMALLEST_SQUARED_DISTANCE = 1e-12  # coincident codes give no pull instead of an infinite one


@torch.no_grad()
def nearest_neighbors(
    points: Tensor, num_neighbors: int, references: Tensor | None = None
) -> Tensor:
    """Indices of the nearest references, or of the nearest OTHER points where none are given.

    Args:
        points: shape `(n, d)`.
        num_neighbors: k, below n (at most the number of references).
        references: shape `(m, d)`.

    Returns:
        Indices of shape `(n, k)`, nearest first.

    Raises:
        ValueError: with fewer candidates than neighbours.
    """
    others = references is None
    references = points if references is None else references
    candidates = len(references) - int(others)
    if num_neighbors > candidates:
        raise ValueError(
            f"{num_neighbors} nearest neighbours need at least {num_neighbors + int(others)} "
            f"points, got {len(references)}; use a larger batch or fewer neighbours"
        )
    # ||x - y||^2 up to a constant per row, by one product: good enough to rank, and the distances
    # of the neighbours found are then recomputed without cancellation.
    center = references.mean(0)
    references, points = (references - center).detach(), (points - center).detach()
    bias = 0.5 * references.square().sum(1)
    indices = []
    for start in range(0, len(points), CHUNK):
        rows = points[start : start + CHUNK]
        similarity = torch.addmm(bias, rows, references.T, beta=-1)
        if others:
            diagonal = torch.arange(start, start + len(rows), device=rows.device)
            similarity[diagonal - start, diagonal] = -math.inf
        indices.append(similarity.topk(num_neighbors).indices)
    return torch.cat(indices)


def neighbor_distances(
    points: Tensor, num_neighbors: int, references: Tensor | None = None
) -> Tensor:
    """Euclidean distances to the nearest neighbours, shape `(n, k)`, with gradient to both ends.

    The neighbours are found without a graph and held fixed; only their own distances are
    differentiated, which costs a fraction of a full distance matrix.
    """
    indices = nearest_neighbors(points, num_neighbors, references)
    neighbors = (points if references is None else references)[indices]
    squared = (points[:, None] - neighbors).square().sum(-1)
    return squared.clamp(min=SMALLEST_SQUARED_DISTANCE).sqrt()


def log_unit_ball_volume(dimension: int) -> float:
    r"""Log-volume of the unit ball, :math:`\frac d2 \log \pi - \log\Gamma(\frac d2 + 1)`."""
    return 0.5 * dimension * math.log(math.pi) - math.lgamma(0.5 * dimension + 1)


def kozachenko_leonenko_entropy(points: Tensor, num_neighbors: int = 1) -> Tensor:
    r"""Nearest-neighbour estimate of the differential entropy of a sample, in nats.

    .. math:: \hat H = \frac dn \sum_i \log \epsilon_k(i) + \log V_d + \psi(n) - \psi(k)

    with :math:`\epsilon_k(i)` the distance to the k-th nearest other point (Kozachenko and
    Leonenko, 1987; Kraskov et al., 2004). Biased upwards in high dimension: compare it with its
    value on a normal batch of the same shape, never with the exact entropy.

    Args:
        points: shape `(n, d)`, n above k.
        num_neighbors: k.

    Returns:
        A scalar with gradient to every point; finite where points coincide.
    """
    count, dimension = points.shape
    distances = neighbor_distances(points.float(), num_neighbors)[:, -1]
    psi = torch.digamma(torch.tensor([count, num_neighbors], dtype=torch.float64)).tolist()
    constant = log_unit_ball_volume(dimension) + psi[0] - psi[1]
    return dimension * distances.log().mean() + constant
