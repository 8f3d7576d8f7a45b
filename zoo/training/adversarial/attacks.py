"""Attacks on the embeddings: the loss where a small change of them makes it largest."""

from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.training.around.hooks import check_count, check_number
from zoo.training.whole_batch import mean_of_parts

from .objective import Objective, Run, embedding_weight, gradient, replaced, unit

INFINITY = float("inf")


class PGD(Objective):
    r"""The loss at perturbed embeddings, found by projected gradient ascent.

    With E the matrix of token embeddings, tied ones included, and norms over the whole matrix:

    .. math:: \delta_0 = 0, \qquad \delta_{i+1} = \Pi_{\|\delta\| \le \epsilon}\!\left(
        \delta_i + \alpha \frac{g_i}{\|g_i\| + 10^{-8}}\right), \qquad
        g_i = \nabla_E L(E + \delta_i)

    and the objective :math:`L(E + \delta_k) + c\,L(E)`, the perturbation held fixed (Madry et
    al., Towards deep learning models resistant to adversarial attacks, ICLR 2018,
    arXiv:1706.06083, on embeddings as Miyato et al., arXiv:1605.07725). The weights are never
    written to. Beyond a plain step, it costs k more runs, each differentiated with respect to the
    embeddings.

    Args:
        epsilon: maximum norm of the perturbation, above 0.
        step_size: alpha, above 0.
        num_steps: k, at least 1.
        clean: c, at least 0. 0 is bert4keras's recipe; 1 is that of the paper on texts.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        step_size: float = 0.3,
        num_steps: int = 3,
        *,
        clean: float = 0.0,
    ) -> None:
        self.epsilon = check_number("epsilon", epsilon, 0, INFINITY, "()")
        self.step_size = check_number("step_size", step_size, 0, INFINITY, "()")
        self.num_steps = check_count("num_steps", num_steps)
        self.clean = check_number("clean", clean, 0, INFINITY, "[)")

    def total(self, model: nn.Module, inputs: Mapping[str, Any], run: Run) -> tuple[Tensor, Any]:
        """The loss at the perturbed embeddings, and a share of that at the embeddings."""
        weight = embedding_weight(model)
        shift = torch.zeros_like(weight)
        total = torch.zeros((), device=weight.device)
        for step in range(self.num_steps):
            shift.requires_grad_()
            with replaced(model, weight, weight + shift):
                loss, _ = run()
            keep = step == 0 and self.clean > 0
            slope = gradient(loss, shift, retain_graph=keep)
            if keep:
                total = self.clean * loss
            shift = ascended(shift.detach(), slope, self.step_size, self.epsilon)
        with replaced(model, weight, weight + shift):
            loss, outputs = run()
        return loss + total, outputs


class FGM(PGD):
    r"""The loss at embeddings moved along its gradient, :math:`L(E + \epsilon\,g / \|g\|)`.

    One step of `PGD` of the full size (Goodfellow et al., arXiv:1412.6572, and Miyato et al.,
    arXiv:1605.07725, with the norm over the whole matrix as in bert4keras's recipe). Beyond a
    plain step, it costs one more run, differentiated with respect to the embeddings.

    Args:
        epsilon: norm of the perturbation, above 0.
        clean: weight of the loss at the embeddings as they are, at least 0.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(self, epsilon: float = 0.5, *, clean: float = 0.0) -> None:
        super().__init__(epsilon, epsilon, 1, clean=clean)


class Free(Objective):
    r"""The mean of the losses at all perturbations on the way of the ascent of `PGD`.

    Each pass's gradients are used twice, for the weights and for the next perturbation, so that k
    passes cost k plain steps, the first of them at the embeddings as they are (Shafahi et al.,
    Adversarial training for free, arXiv:1904.12843; FreeLB, Zhu et al., arXiv:1909.11764,
    equation 5, here with one perturbation of the matrix that starts at 0).

    In your own loop, call `backward` in each of the `passes`::

        with contextlib.closing(objective.passes(model)) as passes:
            for share in passes:
                (share * model(**batch).loss).backward()

    Args:
        epsilon: maximum norm of the perturbation, above 0.
        step_size: of the ascent, above 0.
        num_passes: k, at least 1; with 1 it is plain training.

    Raises:
        UsageError: a number outside its range.
    """

    def __init__(self, epsilon: float = 1.0, step_size: float = 0.3, num_passes: int = 3) -> None:
        self.epsilon = check_number("epsilon", epsilon, 0, INFINITY, "()")
        self.step_size = check_number("step_size", step_size, 0, INFINITY, "()")
        self.num_passes = check_count("num_passes", num_passes)

    def passes(self, model: nn.Module) -> Generator[float, None, None]:
        """One item a pass, 1/k; the perturbation is in place until the next is asked for."""
        weight = embedding_weight(model)
        shift = torch.zeros_like(weight)
        for _ in range(self.num_passes):
            shift.requires_grad_()
            with replaced(model, weight, weight + shift):
                yield 1 / self.num_passes
            slope = torch.zeros_like(weight) if shift.grad is None else shift.grad
            slope = mean_of_parts(slope)
            shift = ascended(shift.detach(), slope, self.step_size, self.epsilon)


def ascended(shift: Tensor, slope: Tensor, step_size: float, epsilon: float) -> Tensor:
    """A perturbation a step further up, of norm epsilon at most."""
    moved = shift + step_size * unit(slope)
    norm = torch.linalg.vector_norm(moved)
    return torch.where(norm > epsilon, moved * (epsilon / norm), moved)
