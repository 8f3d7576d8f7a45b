"""Terms and bounds of the log-likelihood of models with a Gaussian posterior."""

import math

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


class ImportanceWeightedBound:
    r"""Running :math:`\log \frac1K \sum_k w_k` over importance weights that arrive in chunks.

    Memory does not grow with K (Burda et al., arXiv:1509.00519, equation 8).
    """

    def __init__(self) -> None:
        self.log_total: Tensor | None = None
        self.count = 0

    def update(self, log_weights: Tensor) -> None:
        """Take more log-weights, shape `(samples, B)`, in nats."""
        chunk = torch.logsumexp(log_weights, 0)
        self.log_total = (
            chunk if self.log_total is None else torch.logaddexp(self.log_total, chunk)
        )
        self.count += len(log_weights)

    def value(self) -> Tensor:
        """The bound so far, in nats, shape `(B,)`."""
        if self.log_total is None:
            raise ValueError("the bound has seen no importance weights yet; call update first")
        return self.log_total - math.log(self.count)
