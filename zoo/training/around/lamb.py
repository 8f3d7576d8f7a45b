"""LAMB: Adam's direction, in steps as long as each tensor's norm asks for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.errors import UsageError

from .hooks import check_number

INFINITY = float("inf")


class LAMB(Optimizer):
    r"""Adam with decoupled weight decay and layer adaptation.

    .. math:: u = \frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda w, \qquad
        w \leftarrow w - \eta \, \frac{\|w\|}{\|u\|} \, u

    for each tensor w, Euclidean norms; the ratio is 1 where a norm is 0 (You et al., Large batch
    optimization for deep learning: training BERT in 76 minutes, ICLR 2020, arXiv:1904.00962,
    algorithm 2 with the identity for phi; bert4keras's `extend_with_weight_decay` and
    `extend_with_layer_adaptation` over Adam). A step moves a tensor by eta times its norm,
    whatever the size of the gradients.

    Each option may differ between parameter groups. With `adapt` False a group has the ratio 1,
    as usual for biases and norms: then it is AdamW.

    Args:
        params: tensors, or groups of them as of any optimizer of torch.
        lr: eta, at least 0.
        betas: decay of the two moments, each in [0, 1).
        eps: at least 0, added to the root after the bias correction.
        weight_decay: lambda, at least 0.
        adapt: scale the step by the ratio of norms.
        bias_correction: divide the moments by 1 - beta^t, t the number of the tensor's steps.

    Raises:
        UsageError: a number outside its range, or, in `step`, sparse gradients or complex weights.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> weight.grad = torch.tensor([1e-3, -1e-3])
        >>> LAMB([weight], lr=0.1, eps=0.0).step()
        >>> round(weight.data.dist(torch.tensor([3.0, 4.0])).item(), 6)  # a tenth of the norm, 5
        0.5
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        adapt: bool = True,
        bias_correction: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "adapt": adapt,
            "bias_correction": bias_correction,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for name in ("lr", "eps", "weight_decay"):
                check_number(name, group[name], 0, INFINITY, "[)")
            for number, beta in enumerate(group["betas"]):
                check_number(f"betas[{number}]", beta, 0, 1, "[)")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the current gradients.

        Args:
            closure: computes the loss again, with gradients.

        Returns:
            What the closure returned, None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            updates = self._directions(group, weights)
            if group["weight_decay"]:
                torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
            if group["adapt"]:
                torch._foreach_mul_(updates, trust_ratios(weights, updates))
            torch._foreach_add_(weights, updates, alpha=-group["lr"])
        return loss

    def _directions(self, group: dict[str, Any], weights: list[Tensor]) -> list[Tensor]:
        """Adam's directions, and the moments moved on."""
        beta1, beta2 = group["betas"]
        for weight in weights:
            if weight.grad is not None and weight.grad.is_sparse:
                raise UsageError("LAMB takes dense gradients; use an embedding with sparse=False")
            if weight.is_complex():
                raise UsageError("LAMB takes real weights; make them with torch.view_as_real")
            if not self.state[weight]:
                self.state[weight]["step"] = 0
                self.state[weight]["exp_avg"] = torch.zeros_like(weight)
                self.state[weight]["exp_avg_sq"] = torch.zeros_like(weight)
            self.state[weight]["step"] += 1
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        states = [self.state[weight] for weight in weights]
        means = [state["exp_avg"] for state in states]
        squares = [state["exp_avg_sq"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        directions: Sequence[Tensor] = means
        if group["bias_correction"]:
            steps = [state["step"] for state in states]
            torch._foreach_div_(roots, [(1 - beta2**step) ** 0.5 for step in steps])
            directions = torch._foreach_div(means, [1 - beta1**step for step in steps])
        torch._foreach_add_(roots, group["eps"])
        return list(torch._foreach_div(list(directions), list(roots)))


def trust_ratios(weights: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
    """Norm of each tensor over that of its update; 1 where either is 0."""
    sizes = zip(torch._foreach_norm(weights), torch._foreach_norm(updates), strict=True)
    return [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in sizes]
