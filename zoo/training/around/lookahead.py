"""Lookahead: slow weights that follow the fast ones."""

from torch import Tensor
from torch.optim import Optimizer

from .hooks import AroundStep, check_count, check_number

SLOW, STEPS = "lookahead_slow", "lookahead_steps"


class Lookahead(AroundStep):
    r"""Every k steps move slow weights towards the optimizer's, and go on from there.

    .. math:: \phi \leftarrow \phi + \alpha (\theta - \phi), \qquad \theta \leftarrow \phi

    with slow weights :math:`\phi` that start at the weights given (Zhang et al., Lookahead
    optimizer: k steps forward, 1 step back, NeurIPS 2019, arXiv:1907.08610, algorithm 1). The
    optimizer's moments are left alone. bert4keras differs in two ways: its slow weights start at
    zero, and it counts its first step as a k-th one, which multiplies all weights by alpha.

    Slow weights and the count of steps are part of the optimizer's own state, and so of its
    `state_dict`: a resumed training is the same as an uninterrupted one. A parameter takes part
    from its first gradient on; one without is never moved.

    Args:
        num_steps: k, at least 1; the paper has 5 or 10.
        alpha: in (0, 1]; 1 changes nothing.

    Raises:
        UsageError: a number outside its range; a step with a closure.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = torch.optim.SGD([weight], lr=0.25)
        >>> _ = Lookahead(num_steps=2, alpha=0.5).attach(optimizer)
        >>> for _ in range(2):
        ...     weight.grad = torch.tensor([1.0])
        ...     _ = optimizer.step()
        >>> weight.item()  # half of the way to 0.5
        0.75
    """

    needs_gradients = True

    def __init__(self, num_steps: int = 5, alpha: float = 0.5) -> None:
        super().__init__()
        self.num_steps = check_count("num_steps", num_steps)
        self.alpha = check_number("alpha", alpha, 0, 1, "(]")
        self._starts: dict[Tensor, Tensor] = {}

    def before_step(self, optimizer: Optimizer) -> None:
        """Remember where parameters are that take their first step."""
        # Not in the state yet: optimizers make theirs only where a parameter has none.
        self._starts = {
            parameter: parameter.clone()
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and SLOW not in optimizer.state.get(parameter, ())
        }

    def after_step(self, optimizer: Optimizer) -> None:
        """Count the step; at every k-th, move the slow weights and go on from them."""
        for parameter, start in self._starts.items():
            optimizer.state[parameter][SLOW] = start
        self._starts = {}
        for group in optimizer.param_groups:
            group[STEPS] = group.get(STEPS, 0) + 1
            if group[STEPS] % self.num_steps:
                continue
            for parameter in group["params"]:
                if SLOW in optimizer.state.get(parameter, ()):
                    slow = optimizer.state[parameter][SLOW]
                    parameter.copy_(slow.lerp_(parameter, self.alpha))
