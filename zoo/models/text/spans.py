"""Spans and triples of scores, in bert4keras's form: whole numbers, both ends included."""

import torch
from torch import Tensor


def inside(mask: Tensor) -> Tensor:
    """Visible tokens but the first and the last of each text, which stand for no text.

    Args:
        mask: true or 1 where a token is visible, `(batch, length)`.

    Returns:
        Bool, of the same shape.
    """
    seen = mask.bool()
    before, behind = seen.long().cumsum(1), seen.long().flip(1).cumsum(1).flip(1)
    return seen & (before > 1) & (behind > 1)


def find_spans(scores: Tensor, mask: Tensor, threshold: float = 0.0) -> list[list[list[int]]]:
    """Spans whose score is above a threshold.

    Args:
        scores: `(batch, heads, length, length)`, row the start, column the end.
        mask: true or 1 where a token is visible, `(batch, length)`; the first and last of them
            are in no span.
        threshold: of scores.

    Returns:
        `[head, start, end]` of each text, in this order.
    """
    within = inside(mask)
    found = (scores > threshold) & (within[:, :, None] & within[:, None, :])[:, None]
    return [found_in.nonzero().tolist() for found_in in found]


def link_spans(entities: list[list[int]], heads: Tensor, tails: Tensor) -> list[list[int]]:
    """Triples of one text: pairs of entities whose first and last tokens are linked.

    Args:
        entities: `[head, start, end]`, head 0 of subjects, 1 of objects.
        heads: whether the first tokens of two spans are linked, bool, `(predicates, length,
            length)`, row the subject's, column the object's.
        tails: the same of the last tokens.

    Returns:
        `[subject start, subject end, predicate, object start, object end]`, in this order.
    """
    subjects, objects = (
        torch.tensor(
            [span[1:] for span in entities if span[0] == role],
            dtype=torch.long,
            device=heads.device,
        ).view(-1, 2)
        for role in (0, 1)
    )
    firsts = heads[:, subjects[:, 0, None], objects[:, 0]]
    lasts = tails[:, subjects[:, 1, None], objects[:, 1]]
    linked = (firsts & lasts).nonzero().tolist()  # predicate, subject, object
    spans = subjects.tolist(), objects.tolist()
    return sorted([*spans[0][first], each, *spans[1][second]] for each, first, second in linked)


def nearest_spans(starts: Tensor, ends: Tensor) -> list[list[int]]:
    """Every start with the nearest end at or after it, in the same column.

    Args:
        starts: bool, `(length, columns)`.
        ends: the same.

    Returns:
        `[column, start, end]`, by start and then column; starts without an end are left out.
    """
    length = len(ends)
    places = torch.arange(length, device=ends.device)[:, None].expand(ends.shape)
    # From behind: the smallest position of an end that is not before this one.
    nearest = places.masked_fill(~ends, length).flip(0).cummin(0).values.flip(0)
    found = (starts & (nearest < length)).nonzero().tolist()
    return [[column, start, int(nearest[start, column])] for start, column in found]
