"""Losses that text models share."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

IGNORED = -100  # a label that is not asked about, as in transformers


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of tokens or of their classes, averaged over those that have a label.

    Args:
        logits: `(batch, length, classes)`; computed in float32 at least.
        labels: `(batch, length)`, whole numbers below `classes`; -100 is left out.

    Returns:
        One number, in nats; not a number where every label is -100.

    Example:
        >>> import torch
        >>> token_loss(torch.zeros(1, 2, 4), torch.tensor([[3, -100]]))  # log 4
        tensor(1.3863)
    """
    return cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED)


def shifted(labels: Tensor, start_id: int | None, pad_id: int | None) -> Tensor:
    """What a decoder reads to predict the labels: the start token, then all but the last.

    Args:
        labels: `(batch, length)`; -100 becomes padding.
        start_id: None is 0.
        pad_id: None is 0.

    Returns:
        Ids, `(batch, length)`.
    """
    start = labels.new_full((len(labels), 1), start_id or 0)
    ids = torch.cat([start, labels[:, :-1]], 1)
    return ids.masked_fill(ids == IGNORED, pad_id or 0)
