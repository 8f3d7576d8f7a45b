"""Entropy of a batch of codes from the distances to their nearest neighbours."""

import math

import torch
from torch import Tensor

CHUNK = 2**19  # similarities in memory at once, which fit the cache
MIN_ROWS = 64
GROUPS = 256  # of columns, whose maxima are compared first
MIN_GROUPED = 1024  # columns, from which grouping pays
MIN_SQUARED_DISTANCE = 1e-12  # coincident codes get no gradient instead of an infinite one


@torch.no_grad()
def nearest_neighbors(
    points: Tensor, num_neighbors: int, references: Tensor | None = None
) -> Tensor:
    """Indices of the nearest references, or of the nearest OTHER points without references.

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
    # x.y - |y|^2 / 2, half the squared distance up to a constant per row, by one product: good
    # enough to rank; the distances of the neighbours found are recomputed without cancellation.
    center = references.mean(0)
    references, points = (references - center).detach(), (points - center).detach()
    points = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    references = torch.cat([references, -0.5 * references.square().sum(1, keepdim=True)], 1)
    # Columns are padded to whole groups by points that are infinitely far away.
    columns = -(-len(references) // GROUPS) * GROUPS
    height = min(max(MIN_ROWS, CHUNK // columns), len(points))
    similarity = references.new_full((height, columns), -math.inf)
    indices = []
    for start in range(0, len(points), height):
        rows = points[start : start + height]
        buffer = similarity[: len(rows)]
        found = buffer[:, : len(references)]
        torch.mm(rows, references.T, out=found)
        if others:
            found.diagonal(start).fill_(-math.inf)
        indices.append(largest(buffer, num_neighbors))
    return torch.cat(indices)


def largest(values: Tensor, count: int) -> Tensor:
    """Columns of the largest values of each row, `(rows, count)`, largest first.

    The largest values lie in the groups with the largest maxima; looking at the maxima first
    reads every value once instead of sorting them.
    """
    if values.shape[1] < MIN_GROUPED or count > GROUPS:
        return values.topk(count).indices
    best = values.view(len(values), -1, GROUPS).amax(1).topk(count).indices
    members = torch.arange(0, values.shape[1], GROUPS, device=values.device)
    candidates = (best[:, :, None] + members).flatten(1)
    order = values.gather(1, candidates).topk(count).indices
    return candidates.gather(1, order)


def neighbor_distances(
    points: Tensor, num_neighbors: int, references: Tensor | None = None
) -> Tensor:
    """Euclidean distances to the nearest neighbours, shape `(n, k)`, with gradient to both ends.

    The neighbours are found without a graph and held fixed; only their own distances are
    differentiated, which costs a fraction of a full distance matrix.
    """
    indices = nearest_neighbors(points, num_neighbors, references)
    references = points if references is None else references
    # Its backward adds rows in one pass, where that of indexing goes element by element.
    neighbors = references.index_select(0, indices.flatten()).unflatten(0, indices.shape)
    squared = (points[:, None] - neighbors).square().sum(-1)
    distances: Tensor = squared.clamp(min=MIN_SQUARED_DISTANCE).sqrt()
    return distances


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
    entropy: Tensor = dimension * distances.log().mean() + constant
    return entropy
