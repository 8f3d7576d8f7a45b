"""Likelihood of paths of labels: a linear-chain CRF, and a maximum-entropy Markov model.

Emissions are `(batch, length, labels)`, the matrix of transitions T `(labels, labels)`: T[i, j]
from label i to label j. Positions that a mask leaves out are stepped over, wherever they stand: a
transition goes from one visible position to the next. Recursions are in logarithms, in float32 at
least. Formulas: arXiv:1603.01360, section 2.2, without scores of start and end; the other model,
McCallum et al., ICML 2000, as `MaximumEntropyMarkovModel` of bert4keras 0.11.5 averages both
directions.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .losses import IGNORED
from .reductions import masked_mean, precise


def crf_loss(
    emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Minus the log-likelihood of each text's labels under a linear-chain CRF.

    log Z - (the sum of e[t, y_t] + the sum of T[y_(t-1), y_t]), where Z sums over all paths.

    Args:
        emissions: `(batch, length, labels)`; of hidden positions anything, infinities as well.
        transitions: `(labels, labels)`.
        labels: `(batch, length)`; positions of -100 are left out as if hidden.
        mask: true or 1 where a position is visible, `(batch, length)`; None is everywhere.

    Returns:
        `(batch,)`, in nats, at least 0; 0 for a text without visible positions.

    Example:
        >>> import torch  # all 2^3 paths are as likely as each other
        >>> crf_loss(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([[0, 1, 1]]))
        tensor([2.0794])
    """
    values, seen, wanted = _asked(emissions, labels, mask)
    matrix = transitions.to(values.dtype)
    path = values.gather(-1, wanted[..., None])[..., 0].masked_fill(~seen, 0).sum(-1)
    previous, follows = _neighbours(seen)
    steps = matrix[wanted.gather(1, previous), wanted].masked_fill(~follows, 0).sum(-1)
    return log_partition(values, matrix, seen) - path - steps


def log_partition(emissions: Tensor, transitions: Tensor, mask: Tensor) -> Tensor:
    """Log of the sum over all paths, by the forward recursion.

    Args:
        emissions: `(batch, length, labels)`, finite.
        transitions: `(labels, labels)`, of the same dtype.
        mask: bool, `(batch, length)`.

    Returns:
        `(batch,)`, in nats; 0 for a text without visible positions.
    """
    begun = (mask.long().cumsum(1) - mask.long()) > 0  # whether a visible position stands before
    totals = torch.zeros_like(emissions[:, 0])
    for place in range(emissions.shape[1]):
        arrived = (totals[:, :, None] + transitions).logsumexp(1)
        reached = torch.where(begun[:, place, None], arrived, 0.0) + emissions[:, place]
        totals = torch.where(mask[:, place, None], reached, totals)
    return totals.logsumexp(-1).masked_fill(~mask.any(1), 0)


def memm_loss(
    emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Cross-entropy of each label after the true one before it, averaged over both directions.

    Forwards, logits are z_0 = e_0 and z_t = (e_t + T[y_(t-1)]) / 2. Backwards, the same from the
    last position on with T transposed. Each is averaged over all visible positions of the batch.

    Args:
        emissions: `(batch, length, labels)`; of hidden positions anything, infinities as well.
        transitions: `(labels, labels)`.
        labels: `(batch, length)`; positions of -100 are left out as if hidden.
        mask: true or 1 where a position is visible, `(batch, length)`; None is everywhere.

    Returns:
        One number, in nats, at least 0; 0 where nothing is visible.
    """
    forwards, backwards = memm_losses(emissions, transitions, labels, mask)
    return (forwards + backwards) / 2


def memm_losses(
    emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Both directions of `memm_loss`, forwards and backwards, each one number."""
    values, seen, wanted = _asked(emissions, labels, mask)
    matrix = transitions.to(values.dtype)
    previous, follows = _neighbours(seen)
    following, precedes = (each.flip(1) for each in _neighbours(seen.flip(1)))
    following = seen.shape[1] - 1 - following
    forwards, backwards = (
        _direction(values, rows, wanted, wanted.gather(1, places), there, seen)
        for rows, places, there in (
            (matrix, previous, follows),
            (matrix.T, following, precedes),
        )
    )
    return forwards, backwards


def _direction(
    emissions: Tensor, rows: Tensor, labels: Tensor, before: Tensor, there: Tensor, seen: Tensor
) -> Tensor:
    """The loss of one direction; `there` says whether a label stands `before`."""
    logits = torch.where(there[..., None], (emissions + rows[before]) / 2, emissions)
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return masked_mean(losses.view(labels.shape), seen)


def _asked(
    emissions: Tensor, labels: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Finite emissions, which positions count, and labels that are all there."""
    seen = labels != IGNORED
    if mask is not None:
        seen = seen & mask.bool()
    values = precise(emissions).masked_fill(~seen[..., None], 0)
    return values, seen, labels.long().masked_fill(~seen, 0)


def _neighbours(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Of every position the last visible one before it, and whether it and that one count.

    Args:
        mask: bool, `(batch, length)`.

    Returns:
        Positions, 0 where there is none, and bool; both `(batch, length)`.
    """
    places = torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)
    last = places.masked_fill(~mask, -1).cummax(1).values
    before = torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], 1)
    return before.clamp(min=0), mask & (before >= 0)
