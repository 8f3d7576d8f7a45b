"""Representations of images at a model's taps, and an untrained encoder to set beside them."""

from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.gathering import shared
from zoo.hints import did_you_mean
from zoo.training.fitting import calibrate_batch_norm

from .subject import Context


def taps(model: Any) -> tuple[str, ...]:
    """Names of the layers that a model's `encode` can be asked for; `code` where it has but one.

    The first is the richest.
    """
    return tuple(getattr(model, "taps", ("code",)))


def check_tap(model: Any, tap: str | None) -> str:
    """The tap asked for, or the model's first.

    Raises:
        UsageError: if the model has no such tap.
    """
    known = taps(model)
    if tap is not None and tap not in known:
        raise UsageError(
            f"no tap {tap!r}; this model has {', '.join(known)}. {did_you_mean(tap, known)}"
        )
    return tap or known[0]


@torch.no_grad()
def represent(context: Context, pixels: Tensor, tap: str, model: Any = None) -> Tensor:
    """What a tap says of 8-bit images, in eval mode, float32 `(N, size)` on the CPU.

    Args:
        context: holds the model and says where it runs.
        pixels: uint8 `(N, C, H, W)`.
        tap: one of `taps`.
        model: another model than the context's, such as an untrained one.
    """
    model = context.model if model is None else model
    options = {} if tap == "code" else {"tap": tap}
    found: Tensor | None = None
    start = 0
    batches = context.batches(pixels, f"encoding at {tap}")
    for rows in shared(batches, lambda values: model.encode(values, **options).float().cpu()):
        if found is None:  # filled in place: a list and its concatenation would need twice as much
            found = torch.empty(len(pixels), rows.shape[1])
        found[start : start + len(rows)] = rows
        start += len(rows)
    assert found is not None
    return found


def untrained(context: Context, pixels: Tensor, seed: int) -> Any:
    """A model of the same shape with fresh weights, and batch-norm statistics of some images.

    Args:
        context: of the model whose shape it has.
        pixels: uint8 `(N, C, H, W)`, at least 2; fresh statistics would belittle the untrained.
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(context.model)(context.model.config).to(context.device)
        calibrate_batch_norm(model, pixels)
    return model.eval()
