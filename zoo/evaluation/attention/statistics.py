"""What a head's weights of attention say in a few numbers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Statistics:
    """Means over the tokens that attend, of one head.

    Attributes:
        entropy: of the weights, in nats.
        entropy_share: entropy as a share of that of uniform attention to all visible tokens, in
            [0, 1]; None where each token sees one alone.
        neighbors: weight on the tokens just before and after, in [0, 1]; None where the tokens
            attended to are of another text.
        itself: weight on the token itself; None likewise.
        first: weight on the first token, in [0, 1].
        last: weight on the last token, in [0, 1].
    """

    entropy: float
    entropy_share: float | None
    neighbors: float | None
    itself: float | None
    first: float
    last: float


def measure(weights: Tensor, visible: Tensor, *, same_text: bool = True) -> list[Statistics]:
    """The statistics of heads.

    Args:
        weights: `(heads, queries, keys)`, in [0, 1], rows with sum 1.
        visible: which keys a query may see, bool `(queries, keys)`.
        same_text: whether key j is the token of query j.

    Returns:
        One for each head.
    """
    weights = weights.double()
    entropies = torch.special.entr(weights).sum(-1).mean(-1)
    greatest = visible.sum(-1).double().log().mean()
    near = itself = None
    if same_text:
        itself = weights.diagonal(dim1=-2, dim2=-1).sum(-1) / weights.shape[1]
        sides = [weights.diagonal(side, -2, -1).sum(-1) for side in (-1, 1)]
        near = (sides[0] + sides[1]) / weights.shape[1]
    return [
        Statistics(
            entropy=entropies[head].item(),
            entropy_share=(entropies[head] / greatest).item() if greatest > 0 else None,
            neighbors=None if near is None else near[head].item(),
            itself=None if itself is None else itself[head].item(),
            first=weights[head, :, 0].mean().item(),
            last=weights[head, :, -1].mean().item(),
        )
        for head in range(len(weights))
    ]


def uniform(visible: Tensor) -> Tensor:
    """Weights `(1, queries, keys)` of a head that looks at all visible tokens alike."""
    seen = visible.double()
    return (seen / seen.sum(-1, keepdim=True))[None]


def average(found: list[Statistics]) -> Statistics:
    """The means of several heads' statistics."""

    def mean(name: str) -> float | None:
        values = [getattr(one, name) for one in found]
        return None if None in values else sum(values) / len(values)

    means: dict[str, Any] = {name: mean(name) for name in Statistics.__dataclass_fields__}
    return Statistics(**means)
