"""Losses that text models share."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def token_loss(logits: Tensor, labels: Tensor):
    """Mean cross-entropy over labels that are not -100."""
    return cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
