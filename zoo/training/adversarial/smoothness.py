"""Objectives that ask for steady outputs: virtual attacks, a gradient penalty, R-Drop."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from zoo.errors import UsageError
from zoo.training.around.hooks import check_count, check_number
from zoo.training.whole_batch import as_the_first, num_parts

from .objective import (
    Objective,
    Run,
    divergence,
    embedding_weight,
    gradient,
    logits_of,
    recorded_lookups,
    replaced,
    unit,
)

INFINITY = float("inf")


class VirtualAdversarial(Objective):
    r"""The loss, and how far the predictions move under the perturbation that moves them most.

    .. math:: L + \alpha\,\mathrm{KL}\big(p(E) \,\|\, p(E + \delta)\big), \qquad
        \delta = \epsilon \frac{v}{\|v\| + 10^{-8}}, \qquad
        v \leftarrow \nabla_r \mathrm{KL}\big(p(E) \,\|\, p(E + r)\big)\Big|_{r = \xi v / \|v\|}

    v starts as Gaussian noise of the shape of E, norms are over the whole matrix, p(E) and delta
    are held fixed (Miyato et al., Virtual adversarial training, arXiv:1704.03976, and
    bert4keras's recipe, whose xi is 10). It needs no labels: `smoothness` is that term alone.

    Args:
        epsilon: norm of the perturbation, above 0.
        xi: norm of the probe, above 0.
        num_iterations: of the power iteration, at least 1.
        alpha: weight of the term, at least 0.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        xi: float = 10.0,
        num_iterations: int = 1,
        *,
        alpha: float = 1.0,
    ) -> None:
        self.epsilon = check_number("epsilon", epsilon, 0, INFINITY, "()")
        self.xi = check_number("xi", xi, 0, INFINITY, "()")
        self.num_iterations = check_count("num_iterations", num_iterations)
        self.alpha = check_number("alpha", alpha, 0, INFINITY, "[)")

    def total(self, model: nn.Module, inputs: Mapping[str, Any], run: Run) -> tuple[Tensor, Any]:
        """The loss at the embeddings, and the divergence near them."""
        loss, outputs = run()
        term = self.smoothness(model, inputs, logits_of(model, outputs), lambda: run()[1])
        return loss + self.alpha * term, outputs

    def smoothness(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        logits: Tensor,
        run: Any,
        noise: Tensor | None = None,
    ) -> Tensor:
        """KL(p(E) || p(E + delta)) in nats, averaged over texts (`divergence`).

        Args:
            model: the text model.
            inputs: the batch.
            logits: of the model at its embeddings.
            run: gives the model's outputs.
            noise: where v starts, in the shape of E; None draws it from a Gaussian.
        """
        weight = embedding_weight(model)
        targets = logits.detach()
        direction = as_the_first(torch.randn_like(weight)) if noise is None else noise
        for _ in range(self.num_iterations):
            probe = (self.xi * unit(direction)).detach().requires_grad_()
            with replaced(model, weight, weight + probe):
                moved = logits_of(model, run())
            direction = gradient(divergence(model, inputs, targets, moved), probe)
        with replaced(model, weight, weight + self.epsilon * unit(direction)):
            return divergence(model, inputs, targets, logits_of(model, run()))


class GradientPenalty(Objective):
    r"""The loss, and the size of its gradient at the looked-up embeddings.

    .. math:: L + \tfrac{1}{2}\,\epsilon \sum_{b,t} \|\partial L / \partial e_{bt}\|^2

    over all positions of the batch: a token that occurs twice counts twice (Gulrajani et al.,
    arXiv:1704.00028, for classifiers as in bert4keras's recipe). It takes second derivatives of
    the whole model: about three times the cost of a plain step. Attention is computed without
    fused kernels, which have none; a model with another implementation than "sdpa" needs "eager".

    Args:
        epsilon: weight of the penalty, at least 0.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(self, epsilon: float = 1.0) -> None:
        self.epsilon = check_number("epsilon", epsilon, 0, INFINITY, "[)")

    def total(self, model: nn.Module, inputs: Mapping[str, Any], run: Run) -> tuple[Tensor, Any]:
        """The loss and its penalty."""
        weight = embedding_weight(model)
        with sdpa_kernel(SDPBackend.MATH), recorded_lookups(model, weight) as lookups:
            loss, outputs = run()
        if not lookups:
            raise UsageError(f"{type(model).__name__} looked up no embeddings; give it input_ids")
        slopes = torch.autograd.grad(loss, lookups, create_graph=True)
        penalty = sum((slope.square().sum() for slope in slopes), torch.zeros_like(loss))
        # The loss of all is the mean of theirs, whose slopes are so many times smaller.
        return loss + 0.5 * self.epsilon * penalty / num_parts(), outputs


class RDrop(Objective):
    r"""The mean loss of two runs with dropout, and how far their predictions are apart.

    .. math:: \tfrac{1}{2}(L_1 + L_2)
        + \tfrac{\alpha}{4} \big(\mathrm{KL}(p_1 \| p_2) + \mathrm{KL}(p_2 \| p_1)\big)

    half of equation 3 of Liang et al. (R-Drop: regularized dropout for neural networks, NeurIPS
    2021, arXiv:2106.14448, with the same alpha), so that without dropout it equals the loss.
    Twice the cost of a plain step.

    Args:
        alpha: weight of the divergence, at least 0; the paper uses 1 to 5.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(self, alpha: float = 4.0) -> None:
        self.alpha = check_number("alpha", alpha, 0, INFINITY, "[)")

    def total(self, model: nn.Module, inputs: Mapping[str, Any], run: Run) -> tuple[Tensor, Any]:
        """The mean of two losses, and the divergence of two predictions."""
        (one, first), (other, second) = run(), run()
        p, q = logits_of(model, first), logits_of(model, second)
        apart = divergence(model, inputs, p, q) + divergence(model, inputs, q, p)
        return (one + other) / 2 + self.alpha / 4 * apart, second
