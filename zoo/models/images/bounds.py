"""Terms and bounds of the log-likelihood of models with a Gaussian posterior."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    r"""KL from :math:`N(\mu, \sigma^2)` to N(0, 1) per dimension, in nats, same shape as mean.

    .. math:: \tfrac12 (\mu^2 + \sigma^2 - \log \sigma^2 - 1)

    Example:
        >>> gaussian_kl(torch.tensor([2.0]), torch.zeros(1))
        tensor([2.])
    """
    return 0.5 * (mean.square() + log_var.exp() - log_var - 1)


def gaussian_log_prob(value: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log-density of a diagonal Gaussian in nats, summed over the last dimension."""
    squares = (value - mean).square() * (-log_var).exp()
    return -0.5 * (squares + log_var + math.log(2 * math.pi)).sum(-1)


class Estimate(NamedTuple):
    r"""What importance weights say of log q(x), each of shape `(B,)`.

    Attributes:
        log_prob: :math:`L_K`, nats.
        standard_error: of log_prob, nats, by the delta method: the relative standard deviation of
            the mean weight. NaN for K = 1; too small where the largest weights were missed, of
            which a small effective sample size warns.
        effective_sample_size: :math:`(\sum w)^2 / \sum w^2`, from 1 to K.
        elbo: mean of the log-weights, nats: the evidence lower bound.
    """

    log_prob: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    elbo: Tensor


class ImportanceWeightedBound:
    r"""Running :math:`\log \frac1K \sum_k w_k` over importance weights that arrive in chunks.

    Memory does not grow with K (Burda et al., arXiv:1509.00519, equation 8).
    """

    def __init__(self) -> None:
        self.log_total: Tensor | None = None  # log of the sum of weights
        self.log_squares: Tensor | None = None  # log of the sum of their squares
        self.sum: Tensor | None = None  # of log-weights
        self.count = 0
        self.kind = torch.float32  # of the answer: that of the weights

    def update(self, log_weights: Tensor) -> None:
        """Take more log-weights, shape `(samples, B)`, in nats."""
        self.kind = log_weights.dtype
        if log_weights.device.type != "mps":  # which has no float64
            log_weights = log_weights.double()  # thousands of small terms are added up
        total = torch.logsumexp(log_weights, 0)
        squares = torch.logsumexp(2 * log_weights, 0)
        added = log_weights.sum(0)
        if self.log_total is None or self.log_squares is None or self.sum is None:
            self.log_total, self.log_squares, self.sum = total, squares, added
        else:
            self.log_total = torch.logaddexp(self.log_total, total)
            self.log_squares = torch.logaddexp(self.log_squares, squares)
            self.sum = self.sum + added
        self.count += len(log_weights)

    def value(self) -> Tensor:
        """The bound so far, in nats, shape `(B,)`."""
        return self.estimate().log_prob

    def estimate(self) -> Estimate:
        """The bound so far, and how far it can be trusted."""
        if self.log_total is None or self.log_squares is None or self.sum is None:
            raise ValueError("the bound has seen no importance weights yet; call update first")
        effective = (2 * self.log_total - self.log_squares).exp().clamp(1, self.count)
        # s^2 / (K mean^2) with s^2 over K - 1.
        variance = (1 / effective - 1 / self.count) * self.count / max(self.count - 1, 1)
        error = variance.sqrt() if self.count > 1 else torch.full_like(variance, math.nan)
        log_prob = self.log_total - math.log(self.count)
        found = (log_prob, error, effective, self.sum / self.count)
        return Estimate(*(value.to(self.kind) for value in found))
