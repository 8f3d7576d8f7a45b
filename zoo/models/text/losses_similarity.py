"""Losses over probabilities and over pairs: focal, R-Drop's divergence, CoSENT."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .losses import IGNORED
from .reductions import masked_mean, precise


def focal_loss(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy that counts less where the label is likely already.

    With p the probability of the label, -(1 - p)^gamma log p (arXiv:1708.02002, equation 4); 0
    for gamma is the plain cross-entropy.

    Args:
        logits: `(..., classes)`.
        labels: `(...)`, whole numbers below `classes`; -100 is left out.
        gamma: at least 0.
        weight: of each class, `(classes,)`; the paper's alpha.

    Returns:
        One number, in nats: the mean over labels that are given, 0 where there is none.

    Example:
        >>> import torch
        >>> focal_loss(torch.zeros(1, 2), torch.tensor([1]))  # log(2) / 4
        tensor(0.1733)
    """
    asked = labels != IGNORED
    wanted = labels.masked_fill(~asked, 0)[..., None]
    log_p = precise(logits).log_softmax(-1).gather(-1, wanted)[..., 0]
    # 1 - p without cancellation, and with a gradient of 0 rather than none where p is 1.
    rest = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
    losses = -(rest**gamma) * log_p
    if weight is not None:
        losses = losses * weight.to(losses)[wanted[..., 0]]
    return masked_mean(losses, asked)


def symmetric_kl(logits: Tensor, others: Tensor, mask: Tensor | None = None) -> Tensor:
    """How far two passes with different dropout are apart, as R-Drop adds it to the loss.

    Half of KL(p || q) + KL(q || p) (arXiv:2106.14448), which is half the sum of
    (p - q) (log p - log q).

    Args:
        logits: `(..., classes)`.
        others: of the other pass, of the same shape.
        mask: true or 1 where a distribution counts, `(...)`; None is everywhere.

    Returns:
        The mean, in nats, at least 0; its gradient reaches both.

    Example:
        >>> import torch
        >>> one = torch.tensor([[0.0, 1.0]])
        >>> symmetric_kl(one, one)
        tensor(0.)
    """
    log_p, log_q = (precise(each).log_softmax(-1) for each in (logits, others))
    apart = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1) / 2
    return apart.mean() if mask is None else masked_mean(apart, mask)


def cosent_loss(similarities: Tensor, labels: Tensor, scale: float = 20.0) -> Tensor:
    """Rank pairs of texts by cosine as their labels rank them.

    With the cosines c, log(1 + the sum of e^(scale (c_k - c_i)) over all pairs i and k of which i
    has the higher label) (Su Jianlin, "CoSENT", 2022).

    Args:
        similarities: cosines in [-1, 1], `(pairs,)`; see `pair_similarities`.
        labels: how near the texts of each pair are to each other, `(pairs,)`; only their order
            counts.
        scale: the inverse of a temperature, above 0.

    Returns:
        One number, in nats; 0 where all labels are equal.
    """
    values = precise(similarities) * scale
    gaps = values[None, :] - values[:, None]  # row i, column k
    wrong = gaps.masked_fill(~(labels[:, None] > labels[None, :]), -math.inf).flatten()
    return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(0)


def pair_similarities(vectors: Tensor) -> Tensor:
    """Cosines of neighbouring rows: the first with the second, the third with the fourth ...

    Args:
        vectors: `(2 * pairs, width)`.

    Returns:
        In [-1, 1], `(pairs,)`.
    """
    return cosine_similarity(precise(vectors[::2]), precise(vectors[1::2]), dim=-1)
