"""Cross-entropy of several labels at once, whole or as places, and of the pointers built on it.

With scores s and the threshold 0 between labels that hold and labels that do not,

    loss = log(1 + sum over negatives of e^s) + log(1 + sum over positives of e^-s)

(arXiv:2208.02955). It is 0 where all positives are far above and all negatives far
below 0. Scores of minus infinity take no part. bert4keras 0.11.5 computes the negatives' sum of
labels that are given as places by subtraction, which loses digits; here it is a sum of its own.
"""

import math

import torch
from torch import Tensor

from .reductions import precise

CERTAIN = 1e-7  # labels this near to 0 or 1 are 0 or 1, as in Keras


def multilabel_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """The loss of labels that are given for every class.

    Args:
        scores: `(..., classes)`; minus infinity takes no part.
        labels: of the same shape, in [0, 1]; between them, the probability p that a label holds:
            e^s counts 1 - p times and e^-s p times.

    Returns:
        `(...)`, in nats, at least 0.

    Example:
        >>> import torch
        >>> multilabel_cross_entropy(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0]]))  # log 2 * 3
        tensor([1.7918])
    """
    scores, labels = precise(scores), labels.to(precise(scores).dtype)
    present = scores > -math.inf
    held = labels.clamp(CERTAIN, 1 - CERTAIN)
    finite = scores.masked_fill(~present, 0)
    negative = present & (labels < 1 - CERTAIN)
    positive = present & (labels > CERTAIN)
    against = (finite + (1 - held).log()).masked_fill(~negative, -math.inf)
    towards = (held.log() - finite).masked_fill(~positive, -math.inf)
    return _log_of_one_and(against) + _log_of_one_and(towards)


def sparse_multilabel_cross_entropy(
    scores: Tensor, places: Tensor, mask_zero: bool = False
) -> Tensor:
    """The loss of labels that are given by the classes that hold.

    Args:
        scores: `(..., classes)`; minus infinity takes no part.
        places: the classes that hold, `(..., slots)`, whole numbers below `classes`.
        mask_zero: class 0 takes no part; slots that hold no class are 0.

    Returns:
        `(...)`, in nats, at least 0.
    """
    scores = precise(scores)
    places = places.long()
    positive = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, places, True)
    kept = scores.gather(-1, places)
    absent = kept == -math.inf
    if mask_zero:
        absent = absent | (places == 0)
        first = torch.arange(scores.shape[-1], device=scores.device) == 0
        positive = positive | first
    against = scores.masked_fill(positive, -math.inf)
    towards = -kept.masked_fill(absent, math.inf)
    return _log_of_one_and(against) + _log_of_one_and(towards)


def _log_of_one_and(values: Tensor) -> Tensor:
    """log(1 + the sum of e^v) over the last axis; minus infinity adds nothing."""
    return torch.cat([values, torch.zeros_like(values[..., :1])], -1).logsumexp(-1)


def pointer_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The loss of spans that are given for every cell: `multilabel_cross_entropy` of each head.

    Args:
        scores: `(batch, heads, length, length)`; minus infinity takes no part.
        labels: of the same shape, in [0, 1].

    Returns:
        The mean over heads and texts, in nats.
    """
    return multilabel_cross_entropy(scores.flatten(2), labels.flatten(2)).mean()


def sparse_pointer_loss(scores: Tensor, spans: Tensor) -> Tensor:
    """The loss of spans that are given by start and end.

    The cell (0, 0) takes no part: slots without a span hold it.

    Args:
        scores: `(batch, heads, length, length)`; minus infinity takes no part.
        spans: `(batch, heads, slots, 2)`, positions of start and end, filled up with (0, 0).

    Returns:
        The sum over heads and the mean over texts, in nats.
    """
    spans = spans.long()
    places = spans[..., 0] * scores.shape[-1] + spans[..., 1]
    each = sparse_multilabel_cross_entropy(scores.flatten(2), places, mask_zero=True)
    return each.sum(1).mean()
