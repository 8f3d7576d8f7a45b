"""Whether a training still computes with finite numbers, asked before anything is written."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from zoo.errors import DivergedError

SUGGESTED_RATE = 1e-3  # or a tenth of the card's, where that is lower


def check_value(name: str, value: float) -> None:
    """Raise `DivergedError` unless a logged value is a finite number."""
    if not math.isfinite(value):
        raise DivergedError(f"{name} is {value}")


def check_tensors(named: Iterable[tuple[str, Any]]) -> None:
    """Raise `DivergedError` for the first floating tensor with a value that is not finite."""
    for name, tensor in named:
        if torch.is_tensor(tensor) and tensor.is_floating_point():
            if not bool(tensor.detach().isfinite().all()):
                raise DivergedError(f"{name} holds values that are not finite")


def check_model(model: nn.Module) -> None:
    """Raise `DivergedError` unless every parameter and buffer is finite."""
    check_tensors(model.state_dict().items())


def check_optimizer(optimizer: Any) -> None:
    """Raise `DivergedError` unless every moment that an optimizer keeps is finite."""
    for state in getattr(optimizer, "state", {}).values():
        if isinstance(state, dict):
            check_tensors((f"the optimizer's {name}", tensor) for name, tensor in state.items())


@torch.no_grad()
def check_outputs(model: Any, pixel_values: Tensor) -> None:
    """Raise `DivergedError` unless a model in use gives finite outputs."""
    model.eval()
    outputs = model(pixel_values, return_loss=False)
    check_tensors((f"the model's {name}", value) for name, value in outputs.items())


def holds_finite(checkpoint: Path) -> bool:
    """Whether the weights of a checkpoint can be read and are finite numbers."""
    try:
        for file in checkpoint.glob("*.safetensors"):
            with safe_open(file, framework="pt") as tensors:
                check_tensors((name, tensors.get_tensor(name)) for name in tensors.keys())
    except (DivergedError, SafetensorError, OSError):
        return False
    return True


def advice(reason: str, learning_rate: float, work: Path, checkpoint: Path | None) -> str:
    """What to say of a run that diverged.

    Args:
        reason: what is not finite.
        learning_rate: of the run.
        work: the folder of its checkpoints.
        checkpoint: the last one, which is finite; None if there is none.
    """
    lower = min(SUGGESTED_RATE, learning_rate / 10)
    text = (
        f"the training diverged: {reason}; nothing was published. Train again with a lower "
        f"learning_rate than {learning_rate:g}, such as --set learning_rate={lower:g}"
    )
    if checkpoint is None:
        return text
    return (
        f"{text}, and another --output, or after removing {work}; the last finite checkpoint is "
        f"kept: {checkpoint}"
    )
