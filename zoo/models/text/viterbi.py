"""The best paths of labels, for a whole batch at once; ties go to the lower label.

Source: the Viterbi algorithm (Forney, 1973) as `ViterbiDecoder` of bert4keras 0.11.5 breaks ties;
several best paths, Seshadri and Sundberg's list Viterbi (1994).
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from .reductions import precise

Paths = list[list[int]]


def transition_scores(
    transitions: Tensor, forbidden: Collection[Sequence[int]] | Tensor | None = None
) -> Tensor:
    """Transitions, some of which may not be.

    Args:
        transitions: `(labels, labels)`.
        forbidden: pairs of labels, from and to; or a bool tensor `(labels, labels)`, true where
            none may go.

    Returns:
        A copy with minus infinity where a path may not go.
    """
    scores = transitions.clone()
    if forbidden is None:
        return scores
    if isinstance(forbidden, Tensor):
        return scores.masked_fill(forbidden.bool(), -math.inf)
    for first, second in forbidden:
        scores[first, second] = -math.inf
    return scores


def viterbi(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None = None,
    starts: Collection[int] | None = None,
    ends: Collection[int] | None = None,
    forbidden: Collection[Sequence[int]] | Tensor | None = None,
) -> Paths:
    """The best path of each text.

    Args:
        emissions: `(batch, length, labels)`.
        transitions: `(labels, labels)`, from the label of the row to that of the column.
        mask: true or 1 where a position is visible, `(batch, length)`; None is everywhere.
            Hidden positions have no place in a path, wherever they stand.
        starts: labels that a path may begin with; None is all.
        ends: labels that it may end with; None is all.
        forbidden: as of `transition_scores`.

    Returns:
        A list of labels for each text, as long as it has visible positions. Where all that is
        allowed leaves no path, the lowest labels, as bert4keras gives them.

    Example:
        >>> import torch
        >>> viterbi(torch.zeros(1, 3, 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        [[0, 1, 0]]
    """
    best = n_best(emissions, transitions, 1, mask, starts, ends, forbidden)
    return [paths[0][0] for paths in best]


def n_best(
    emissions: Tensor,
    transitions: Tensor,
    count: int,
    mask: Tensor | None = None,
    starts: Collection[int] | None = None,
    ends: Collection[int] | None = None,
    forbidden: Collection[Sequence[int]] | Tensor | None = None,
) -> list[list[tuple[list[int], float]]]:
    """The best paths of each text with their scores, best first.

    Args:
        emissions: as of `viterbi`, and what follows.
        transitions: the same.
        count: number of paths of each text, at least 1.
        mask: the same.
        starts: the same.
        ends: the same.
        forbidden: the same.

    Returns:
        For each text at most `count` different paths and the sum of emissions and transitions
        along each; fewer where there are fewer, but one always, of score minus infinity where
        none is allowed.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    values, lengths = _packed(precise(emissions.detach()), mask)
    longest, labels = values.shape[1:]
    matrix = transition_scores(precise(transitions.detach()), forbidden)
    first = values[:, 0] + _allowed(starts, labels, values)
    scores = torch.full_like(first, -math.inf)[:, :, None].repeat(1, 1, count)
    scores[:, :, 0] = first  # (batch, label, rank)
    tails: list[Tensor] = []
    for place in range(1, longest):
        # Sums are made in this order, so that rounding breaks ties as it does in bert4keras.
        steps = (scores[:, :, :, None] + matrix[:, None, :]).flatten(1, 2)
        reached, origin = _best(steps + values[:, place, None, :], count, 1)
        inside = (place < lengths)[:, None, None]
        stay = torch.arange(labels * count, device=values.device).view(1, labels, count)
        scores = torch.where(inside, reached.transpose(1, 2), scores)
        tails.append(torch.where(inside, origin.transpose(1, 2), stay))
    final = (scores + _allowed(ends, labels, values)[:, None]).flatten(1)
    totals, state = _best(final, count, 1)
    paths = [state]
    for origin in reversed(tails):
        paths.append(origin.flatten(1).gather(1, paths[-1]))
    labels_of = torch.stack(paths[::-1], -1) // count  # (batch, rank, length)
    return [
        [
            (path[:length], total)
            for rank, (path, total) in enumerate(zip(row, sums, strict=True))
            if rank == 0 or total > -math.inf
        ]
        for row, sums, length in zip(
            labels_of.tolist(), totals.tolist(), lengths.tolist(), strict=True
        )
    ]


def _best(values: Tensor, count: int, dim: int) -> tuple[Tensor, Tensor]:
    """The largest along an axis and where they are; the first of equals comes first."""
    found: list[Any] = []
    for rank in range(count):  # a whole sort takes longer, and `topk` breaks ties anyhow
        if rank:
            values = values.scatter(dim, found[-1].indices, -math.inf)
        found.append(values.max(dim, keepdim=True))
    largest = torch.cat([each.values for each in found], dim)
    return largest, torch.cat([each.indices for each in found], dim)


def _packed(emissions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Visible positions moved to the front, and how many each text has."""
    batch, longest = emissions.shape[:2]
    if mask is None:
        return emissions, torch.full((batch,), longest, device=emissions.device)
    seen = mask.bool()
    order = seen.long().sort(dim=1, descending=True, stable=True).indices
    packed = emissions.gather(1, order[..., None].expand_as(emissions))
    return packed, seen.sum(1)


def _allowed(labels: Collection[int] | None, count: int, like: Tensor) -> Tensor:
    """0 for a label that is allowed, minus infinity for others, `(count,)`."""
    if labels is None:
        return like.new_zeros(count)
    scores = like.new_full((count,), -math.inf)
    scores[list(labels)] = 0
    return scores
