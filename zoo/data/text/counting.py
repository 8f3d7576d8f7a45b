"""How many items of a batch its loss is the mean over."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .collators import MASK, Batch
from .masking import IGNORED


def _texts(padded: Batch, finished: Any) -> Tensor:
    return torch.tensor(len(padded["input_ids"]), device=padded["input_ids"].device)


def _tokens(padded: Batch, finished: Any) -> Tensor:
    return padded[MASK].sum()


def _labels(padded: Batch, finished: Any) -> Tensor:
    labels: Tensor = finished["labels"]
    return (labels != IGNORED).sum()


def _next_labels(padded: Batch, finished: Any) -> Tensor:
    labels: Tensor = finished["labels"]
    return (labels[:, 1:] != IGNORED).sum()


#: By what a loss is the mean over (`Head.mean_over`): reads a batch as a collator's `pad` and
#: its `finish` make it, and gives one number. The label of a first token is nobody's next one.
COUNTS: dict[str, Callable[[Batch, Any], Tensor]] = {
    "texts": _texts,
    "tokens": _tokens,
    "labels": _labels,
    "next labels": _next_labels,
}
