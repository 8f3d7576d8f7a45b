"""Lazy updates: the rows of an embedding that a batch did not touch stay as they are."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import UsageError

from .hooks import AroundStep


class LazyRows(AroundStep):
    """Leave rows whose gradient is zero as they are, bit for bit, whatever the optimizer does.

    Momentum, Adam's moments and weight decay move a row long after the last batch that contained
    its token. Lazy rows move only when they have a gradient. The moments of the others go on
    decaying, as in bert4keras's `extend_with_lazy_optimization`, or are kept as well.

    Unlike `torch.optim.SparseAdam`, it takes dense gradients.

    Args:
        parameters: the matrices, such as `model.get_input_embeddings().weight`; a tied one has
            a gradient in every row, and then nothing is lazy.
        keep_moments: leave the optimizer's state of such a row alone too.

    Raises:
        UsageError: no parameters, or one that has no rows; a step with a closure.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(2, 1))
        >>> optimizer = torch.optim.AdamW([weight], lr=0.5, weight_decay=0.5)
        >>> _ = LazyRows([weight]).attach(optimizer)
        >>> weight.grad = torch.tensor([[1.0], [0.0]])
        >>> _ = optimizer.step()
        >>> weight.round(decimals=4).tolist()
        [[0.25], [1.0]]
    """

    needs_gradients = True

    def __init__(self, parameters: Iterable[nn.Parameter], *, keep_moments: bool = False) -> None:
        super().__init__()
        self.parameters = list(parameters)
        self.keep_moments = keep_moments
        if not self.parameters:
            raise UsageError("LazyRows has no parameters; give embedding matrices")
        for parameter in self.parameters:
            if parameter.ndim < 2:
                raise UsageError(
                    f"a parameter of shape {tuple(parameter.shape)} has no rows; give matrices"
                )
        self._kept: list[tuple[nn.Parameter, Tensor, dict[str | None, Tensor]]] = []

    def check(self, optimizer: Optimizer) -> None:
        """Raise `UsageError` if the optimizer does not move one of the parameters."""
        moved = {p for group in optimizer.param_groups for p in group["params"]}
        for parameter in self.parameters:
            if parameter not in moved:
                raise UsageError(
                    f"the optimizer has no parameter like the one of shape "
                    f"{tuple(parameter.shape)}; leave it out here, or do not freeze it"
                )

    def before_step(self, optimizer: Optimizer) -> None:
        """Copy what is to stay."""
        self._kept = []
        for parameter in self.parameters:
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise UsageError(
                    "LazyRows takes dense gradients; an embedding with sparse=True and "
                    "torch.optim.SparseAdam is lazy without it"
                )
            rows = (parameter.grad.flatten(1) == 0).all(1).nonzero().squeeze(1)
            kept: dict[str | None, Tensor] = {None: parameter[rows]}
            if self.keep_moments:
                kept |= {
                    name: value[rows]
                    for name, value in optimizer.state.get(parameter, {}).items()
                    if torch.is_tensor(value) and value.shape == parameter.shape
                }
            self._kept.append((parameter, rows, kept))

    def after_step(self, optimizer: Optimizer) -> None:
        """Put it back."""
        for parameter, rows, kept in self._kept:
            for name, values in kept.items():
                target = parameter if name is None else optimizer.state[parameter][name]
                target[rows] = values
        self._kept = []
