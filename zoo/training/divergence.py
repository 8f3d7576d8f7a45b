"""Whether a training still computes with plausible numbers, checked before anything is written."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.trainer import TRAINER_STATE_NAME

from zoo.errors import DivergedError
from zoo.models.images.distributed import alone

from .gradients.sharding import whole

SUGGESTED_RATE = 1e-3  # or a tenth of the card's, if that is lower
# Finite numbers can be absurd. On images in [0, 1] a network that is not broken never has such
# numbers: the running variance is that of activations in the millions, and steps of a usual
# learning rate never take a weight that far.
MAX_MAGNITUDE = 1e12
MAX_CODE = 1e6
MAX_WEIGHT = 1e4
# Maximum ratio of the loss after training to that before it, or to 1. A loss that is warmed up or
# annealed grows too, but not that much.
GROWTH = 100
NOTED = 0.25  # share of the loss before; a few steps on few images change it by less
LOSS_EXAMPLES = 64  # enough to see a loss that exploded


def check_value(name: str, value: float) -> None:
    """Raise `DivergedError` unless a logged value is a finite number."""
    if not math.isfinite(value):
        raise DivergedError(f"{name} is {value}")


def check_tensors(named: Iterable[tuple[str, Any]]) -> None:
    """Raise `DivergedError` for the first floating tensor with a value that is not finite."""
    for name, tensor in named:
        if torch.is_tensor(tensor) and tensor.is_floating_point():
            if not bool(whole(tensor.detach()).isfinite().all()):
                raise DivergedError(f"{name} contains values that are not finite")


def check_sizes(named: Iterable[tuple[str, Any]], maximum: float = MAX_MAGNITUDE) -> None:
    """Raise `DivergedError` for the first tensor of a model that is not finite, or absurd."""
    for name, each in named:
        tensor = whole(each.detach())  # all processes see the same, and stop together
        check_tensors([(name, tensor)])
        if tensor.is_floating_point() and tensor.numel():
            if (found := float(tensor.abs().max())) > maximum:
                raise DivergedError(f"{name} contains values up to {found:.3g}")


def check_model(model: nn.Module) -> None:
    """Raise `DivergedError` unless every parameter and buffer is finite and plausible."""
    check_sizes(model.state_dict().items())
    check_sizes(model.named_parameters(), MAX_WEIGHT)


def check_optimizer(optimizer: Any) -> None:
    """Raise `DivergedError` unless every moment that an optimizer keeps is finite."""
    for state in getattr(optimizer, "state", {}).values():
        if isinstance(state, dict):
            check_tensors((f"the optimizer's {name}", tensor) for name, tensor in state.items())


@torch.no_grad()
def check_outputs(model: Any, inputs: Mapping[str, Any]) -> None:
    """Raise `DivergedError` unless a model in eval mode gives finite outputs."""
    model.eval()
    outputs = model(**inputs)
    # Where heads know what is hidden, minus infinity says so.
    check_tensors(
        (f"the model's {name}", value.clamp(min=-MAX_MAGNITUDE) if "mask" in outputs else value)
        for name, value in _leaves(outputs)
    )


def _leaves(outputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tensors among outputs, those of several heads too, with their names."""
    for name, value in outputs.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{part}", each) for part, each in _leaves(value))
        elif torch.is_tensor(value):
            yield name, value


@contextmanager
def in_use(model: Any, seed: int | None = None) -> Iterator[None]:
    """A model in eval mode without gradients; mode and random state are then what they were.

    Args:
        model: any.
        seed: of torch's generators meanwhile; None leaves them as they are.
    """
    mode = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad(), alone():
        if seed is not None:
            torch.manual_seed(seed)
        model.eval()
        yield
    model.train(mode)


def loss_in_use(
    model: Any, inputs: Callable[[], Mapping[str, Any]], seed: int | None = None
) -> float:
    """The loss of a model in eval mode; mode and random state do not change.

    Args:
        model: anything that gives a loss.
        inputs: makes what it is called with, random numbers included.
        seed: of torch's generators meanwhile; None leaves them as they are.
    """
    with in_use(model, seed):
        return float(model(**inputs()).loss)


def check_growth(before: float, after: float) -> None:
    """Raise `DivergedError` if a loss is not finite, or so much larger than before training."""
    check_value("the loss of the trained model", after)
    if after > GROWTH * max(abs(before), 1):
        raise DivergedError(f"the loss is {after:.3g}, before training it was {before:.3g}")


def is_finite(checkpoint: Path) -> bool:
    """Whether a checkpoint can be read and its weights are finite and plausible."""
    weights = list(checkpoint.glob("*.safetensors"))
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_bytes())
        for file in weights:
            with safe_open(file, framework="pt") as tensors:
                check_sizes((name, tensors.get_tensor(name)) for name in tensors.keys())
    except (DivergedError, SafetensorError, OSError, ValueError):
        return False
    saved = [*checkpoint.glob("*.pt*"), *checkpoint.glob("*.bin")]  # torch's files
    return bool(weights) and all(map(is_zipfile, saved))


def advice(reason: str, learning_rate: float, work: Path, checkpoint: Path | None) -> str:
    """The message for a run that diverged.

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
