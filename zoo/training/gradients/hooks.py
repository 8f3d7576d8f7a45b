"""Between a chain and torch's optimizers: names, scaled gradients, accelerate's wrapper."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from zoo.errors import UsageError
from zoo.training.around.hooks import has_closure, has_overflow

from .patterns import plain


class Attached(RemovableHandle):
    """The handle of a hook that says when it is taken off."""

    def __init__(self, handle: RemovableHandle, removed: Callable[[], None]) -> None:
        self._handle, self._removed = handle, removed

    def remove(self) -> None:
        """Take the hook off."""
        self._handle.remove()
        self._removed()


def check_accumulation(optimizer: Any, window: int) -> None:
    """Refuse to accumulate where accelerate does.

    Raises:
        UsageError: naming both.
    """
    steps = getattr(getattr(optimizer, "gradient_state", None), "num_steps", 1)
    if steps > 1:
        raise UsageError(
            f"Accumulate(k={window}) and gradient_accumulation_steps={steps} are both set; leave "
            "one out"
        )


def names_of(
    optimizer: Optimizer, known: Mapping[nn.Parameter, str] | None
) -> tuple[tuple[str, ...], list[nn.Parameter], bool]:
    """Names and parameters of an optimizer, and whether the names are the model's.

    Args:
        optimizer: its groups may have `param_names`.
        known: names from a model, which then count.

    Raises:
        UsageError: a parameter is not of the model.
    """
    groups = optimizer.param_groups
    parameters = [each for group in groups for each in group["params"]]
    if known is not None:
        for strange in (each for each in parameters if each not in known):
            raise UsageError(
                f"attach: the optimizer has a parameter of shape {tuple(strange.shape)} that "
                "model= does not have; give the model it was made for"
            )
        return tuple(known[each] for each in parameters), parameters, True
    if all("param_names" in group for group in groups):
        names = tuple(plain(name) for group in groups for name in group["param_names"])
        return names, parameters, True
    return tuple(map(str, range(len(parameters)))), parameters, False


def check_step(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse a step whose gradients a hook before it cannot see, or sees only scaled.

    Raises:
        UsageError: it was given a closure, or the scaler itself.
    """
    if has_closure(args, kwargs):
        raise UsageError(
            "a step with a closure makes its gradients behind the chain's back; call "
            "chain.apply(model) at the end of the closure instead of attach"
        )
    if kwargs.get("grad_scaler") is not None:
        raise UsageError(
            "this optimizer unscales gradients itself, after the chain; call "
            "scaler.unscale_(optimizer) and chain.apply(model) before the step instead of attach"
        )


@torch.no_grad()
def unscale(optimizer: Any, parameters: Sequence[nn.Parameter]) -> bool:
    """Unscale what a GradScaler left to a fused optimizer.

    Returns:
        False if it found an infinity, and the optimizer would not step.
    """
    if has_overflow(optimizer):
        return False
    scale = getattr(optimizer, "grad_scale", None)
    if scale is not None:
        inverse = scale.double().reciprocal().float()  # as GradScaler.unscale_
        for each in parameters:
            if each.grad is not None:
                each.grad.mul_(inverse.to(each.grad.device))
        optimizer.grad_scale = None
    return True
