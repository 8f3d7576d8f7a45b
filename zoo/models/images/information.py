r"""Mutual information from scores of pairs: estimators, negatives, score networks.

A score T(x, y) is trained to be high for pairs of the joint distribution P ("positive") and low
for pairs of the product of the margins Q ("negative"), here other examples of the same batch.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import at_least_float32

NO_PAIR = -math.inf  # the score of an example with itself among its negatives


def count_pairs(negative: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """How many negatives there are along some dimensions, as floats."""
    return (negative > NO_PAIR).sum(dim).to(negative.dtype)


def infonce(positive: Tensor, negative: Tensor) -> Tensor:
    r"""InfoNCE, :math:`E_P[T - \log \tfrac1N \sum_j e^{T_j}]` (van den Oord, arXiv:1807.03748).

    A lower bound on the mutual information in nats that cannot exceed log N, with N candidates:
    the positive and its negatives.

    Args:
        positive: shape `(..., B)`.
        negative: shape `(..., B, M)`, or `(B, M)` for all; -inf where there is no pair.

    Returns:
        Shape `(...)`, in nats.

    Example:
        >>> infonce(torch.zeros(3), torch.zeros(3, 2))
        tensor(0.)
    """
    candidates = torch.logaddexp(positive, negative.logsumexp(-1))
    return (positive - candidates + information_cap(negative)).mean(-1)


def information_cap(negative: Tensor) -> Tensor:
    """Log N in nats, `(..., B)`: what InfoNCE cannot exceed with these negatives."""
    return (1 + count_pairs(negative, -1)).log()


def jsd(positive: Tensor, negative: Tensor) -> Tensor:
    r"""Twice the Jensen-Shannon divergence of P and Q, bounded from below by a classifier.

    .. math:: 2 \log 2 - E_P[\mathrm{softplus}(-T)] - E_Q[\mathrm{softplus}(T)] \le 2 JS(P, Q)

    A score between independence, 0, and 2 log 2, never mutual information in nats. Arguments and
    shape as of `infonce`.

    Example:
        >>> jsd(torch.zeros(3), torch.zeros(3, 2)).abs() < 1e-6
        tensor(True)
    """
    joint = functional.softplus(-positive).mean(-1)
    product = functional.softplus(negative).sum((-2, -1)) / count_pairs(negative, (-2, -1))
    return 2 * math.log(2) - joint - product


def donsker_varadhan(positive: Tensor, negative: Tensor) -> Tensor:
    r"""Donsker and Varadhan's bound, :math:`E_P[T] - \log E_Q[e^T]`, in nats.

    A lower bound for infinitely many negatives only: with few, the logarithm's estimate is too
    low and the bound too high. Arguments and shape as of `infonce`.

    Example:
        >>> donsker_varadhan(torch.ones(3), torch.zeros(3, 2))
        tensor(1.)
    """
    pairs = count_pairs(negative, (-2, -1))
    return positive.mean(-1) - (negative.logsumexp((-2, -1)) - pairs.log())


ESTIMATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "infonce": infonce,
    "jsd": jsd,
    "donsker_varadhan": donsker_varadhan,
}
IN_NATS = ("infonce", "donsker_varadhan")


class DotProductScore(nn.Module):
    """Scores as inner products of two embeddings, over the root of their width.

    Layer norm, not batch norm, whose statistics would give away which pairs are positive.
    """

    def __init__(self, feature_size: int, code_size: int, width: int):
        super().__init__()
        self.scale = width**-0.5
        self.features = ResidualEmbedding(feature_size, width)
        self.codes = ResidualEmbedding(code_size, width)

    def embed(self, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(..., B, F)` and codes `(B, d)` as the two ends of a score."""
        return self.features(features), self.codes(codes)

    def paired(self, features: Tensor, codes: Tensor) -> Tensor:
        """Scores of embedded features with codes at the same place, `(..., B)`."""
        scores: Tensor = self.scale * (features * codes).sum(-1)
        return scores

    def matrix(self, features: Tensor, codes: Tensor) -> Tensor:
        """Scores `(..., B, B)` of every code (row) with every example's features (column)."""
        scores: Tensor = self.scale * codes @ features.transpose(-1, -2)
        return scores


class ResidualEmbedding(nn.Module):
    """Linear, ReLU, linear, plus a linear shortcut; then layer norm."""

    def __init__(self, fan_in: int, width: int):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(fan_in, width), nn.ReLU(), nn.Linear(width, width))
        self.shortcut = nn.Linear(fan_in, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        values = values.to(self.shortcut.weight.dtype)  # codes may be drawn in higher precision
        embedded: Tensor = self.norm(self.hidden(values) + self.shortcut(values))
        return embedded


class ConcatenatedScore(nn.Module):
    """Scores by a network of three hidden layers on the code followed by the features."""

    def __init__(self, feature_size: int, code_size: int, width: int):
        super().__init__()
        self.code_size = code_size
        self.input = nn.Linear(code_size + feature_size, width)
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 1),
        )  # fmt: skip

    def embed(self, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Both parts' shares of the first layer, so that all pairs cost only their sum."""
        weight = self.input.weight
        of_codes, of_features = weight.tensor_split([self.code_size], 1)
        return (
            functional.linear(features.to(weight.dtype), of_features),
            functional.linear(codes.to(weight.dtype), of_codes, self.input.bias),
        )

    def paired(self, features: Tensor, codes: Tensor) -> Tensor:
        """Scores of embedded features with codes at the same place, `(..., B)`."""
        scores: Tensor = self.rest(features + codes).squeeze(-1)
        return scores

    def matrix(self, features: Tensor, codes: Tensor) -> Tensor:
        """Scores `(..., B, B)` of every code (row) with every example's features (column)."""
        return self.paired(features.unsqueeze(-3), codes.unsqueeze(-2))


Score = DotProductScore | ConcatenatedScore
SCORE_NETWORKS: dict[str, type[Score]] = {
    "dot_product": DotProductScore,
    "concatenated": ConcatenatedScore,
}


def all_pairs(score: Score, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Positive scores `(..., B)`, and `(..., B, B)` with -inf where a code meets its own image.

    Args:
        score: one of `SCORE_NETWORKS`.
        features: `(..., B, F)`.
        codes: `(B, d)`.
    """
    scores = at_least_float32(score.matrix(*score.embed(features, codes)))
    own = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return scores.diagonal(dim1=-2, dim2=-1), scores.masked_fill(own, NO_PAIR)


def all_locations(score: Score, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Positive scores `(L, B)`, and `(B, L * B)`, common to all L locations of the positives.

    A code must distinguish each local feature of its image from every location of the other
    images, as in Deep InfoMax's InfoNCE. With L times the candidates of `all_pairs` the bound
    saturates later; without locations, `(B, F)`, both are the same. Arguments as of `all_pairs`.
    """
    features, codes = score.embed(features, codes)
    scores = at_least_float32(score.matrix(features.flatten(0, -2), codes))
    places = scores.unflatten(1, (-1, len(codes)))
    positive = places.diagonal(dim1=0, dim2=2).reshape(features.shape[:-1])
    own = torch.eye(len(codes), dtype=torch.bool, device=codes.device)[:, None]
    return positive, places.masked_fill(own, NO_PAIR).flatten(1)


def derangement(score: Score, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Positive scores `(..., B)`, and `(..., B, 1)` with the features of the image before.

    A shuffle would on average pair one image per batch with itself; a roll pairs none.
    Arguments as of `all_pairs`.
    """
    features, codes = score.embed(features, codes)
    positive = score.paired(features, codes)
    negative = score.paired(features.roll(1, -2), codes)
    return at_least_float32(positive), at_least_float32(negative)[..., None]


PAIRINGS = {
    "all_pairs": all_pairs,
    "all_locations": all_locations,
    "derangement": derangement,
}
