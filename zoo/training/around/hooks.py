"""The shape of everything that stands around an optimizer's step."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch.optim import Optimizer

from zoo.errors import UsageError


def torch_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer itself, without the wrapping that accelerate puts around it.

    Raises:
        UsageError: it is no `torch.optim.Optimizer`.
    """
    inner = getattr(optimizer, "optimizer", optimizer)
    if not isinstance(inner, Optimizer):
        raise UsageError(f"{type(optimizer).__name__} is no torch.optim.Optimizer; attach to one")
    return inner


def check_number(
    name: str, value: float, minimum: float, maximum: float, ends: str = "[]"
) -> float:
    """The number, if it lies in an interval.

    Args:
        name: what it is called where it was given.
        value: the number.
        minimum: where the interval begins.
        maximum: where it ends.
        ends: "[)" and so on; the end at a round bracket does not belong to it.

    Raises:
        UsageError: it is outside, or no number.
    """
    inside = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and minimum <= value <= maximum  # False for a NaN
        and not (ends[0] == "(" and value == minimum)
        and not (ends[1] == ")" and value == maximum)
    )
    if not inside:
        interval = f"{ends[0]}{minimum:g}, {maximum:g}{ends[1]}"
        raise UsageError(f"{name} is {value!r}; give a number in {interval}")
    return value


def check_count(name: str, value: int) -> int:
    """The number, if it is a whole one of at least 1.

    Raises:
        UsageError: it is less, or no whole number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} is {value!r}; give a whole number of at least 1")
    return value


def has_closure(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a step, as its hooks are told, makes its gradients itself."""
    return any(callable(each) for each in (*args[1:], *kwargs.values()))  # after the optimizer


def has_overflow(optimizer: Any) -> bool:
    """Whether a GradScaler found an infinity, with which a fused optimizer's step does nothing."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


class AroundStep:
    """Something that happens before and after every step of an optimizer.

    It is attached to the optimizer with torch's hooks, so that the optimizer keeps its class:
    schedulers, accelerate and the Trainer see nothing of it. A step that a gradient scaler skips
    does not count, nor does one without gradients, such as a chain leaves when it holds back a
    step. Several can be attached; they act in the order of their attachment.

    Attributes:
        needs_gradients: whether gradients have to exist before the step, which then cannot be
            given a closure.
    """

    needs_gradients: ClassVar[bool] = False

    def __init__(self) -> None:
        self._handles: list[Any] = []

    def attach(self, optimizer: Any) -> Self:
        """Act around each step of an optimizer from now on.

        Args:
            optimizer: of torch, or as accelerate wraps it.

        Raises:
            UsageError: it is attached already, or to something that is no optimizer.
        """
        if self._handles:
            raise UsageError(f"{type(self).__name__} is attached already; detach() it first")
        optimizer = torch_optimizer(optimizer)
        self.check(optimizer)
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]
        return self

    def detach(self) -> None:
        """Act no more; what was done to the weights stays."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @torch.no_grad()
    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.needs_gradients and has_closure(args, kwargs):
            raise UsageError(
                f"{type(self).__name__} looks at gradients before the step, and a closure makes "
                "them later; call backward first and step without a closure"
            )
        self.before_step(optimizer)

    @torch.no_grad()
    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        groups = optimizer.param_groups
        moved = any(p.grad is not None for group in groups for p in group["params"])
        if moved and not has_overflow(optimizer):
            self.after_step(optimizer)

    def check(self, optimizer: Optimizer) -> None:
        """Raise `UsageError` if this cannot be attached to the optimizer."""

    def before_step(self, optimizer: Optimizer) -> None:
        """What happens before a step, when the gradients are final."""

    def after_step(self, optimizer: Optimizer) -> None:
        """What happens after a step."""
