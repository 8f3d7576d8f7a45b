"""What a model is trained on, images or texts: all that a run does with either."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from zoo.card import Data
from zoo.errors import UsageError

from .divergence import loss_in_use
from .optimizing import OptimizingTrainer
from .scoring import LOSS

T = TypeVar("T")


def held_out(
    data: Data, read: Callable[[str], T], *, quiet: bool, needed: bool = False
) -> T | None:
    """A card's validation split as `read` gives it; None, and a line on stderr, without one.

    Args:
        data: the card's.
        read: reads a split.
        quiet: say nothing.
        needed: whether the best checkpoint is chosen by it.

    Raises:
        UsageError: it is needed, and the data has no such split.
    """
    if data.validation_split is None:
        return None
    try:
        return read(data.validation_split)
    except UsageError as error:  # other data was set, which has other splits
        if needed:
            raise
        if not quiet:
            print(f"no validation loss: {error}", file=sys.stderr)
        return None


def some(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0 to `count - 1`, drawn from a seed, in order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[:most].sort().values.tolist()


class Material(ABC):
    """The train split of a card's data, read, and how a model learns from it."""

    @abstractmethod
    def make_model(self) -> Any:
        """A fresh model on the CPU, its weights from torch's generator.

        Raises:
            UsageError: data, model and batches do not fit each other.
        """

    @abstractmethod
    def trainer(self, model: Any, **settings: Any) -> OptimizingTrainer:
        """The Trainer of a model; the settings are those of `OptimizingTrainer`."""

    @abstractmethod
    def loss(self, model: Any) -> float:
        """The loss on the first examples in eval mode; mode and random state do not change."""

    @abstractmethod
    def validation_inputs(self, model: Any) -> list[Callable[[], dict[str, Any]]]:
        """Makers of what a model is called with, batch by batch, to validate it.

        Empty where the card has no validation split.
        """

    def validation_loss(self, model: Any) -> float | None:
        """The mean loss on the card's validation split, or None where there is none.

        In eval mode, with the same random numbers each time; mode and random state do not change.
        """
        losses = [
            loss_in_use(model, inputs, seed=number)
            for number, inputs in enumerate(self.validation_inputs(model))
        ]
        return sum(losses) / len(losses) if losses else None

    def validate(self, model: Any) -> dict[str, float]:
        """The loss on the validation split as `validation_loss`, and what scores there are.

        Mode and random state do not change.

        Raises:
            UsageError: there is no validation split.
        """
        loss = self.validation_loss(model)
        if loss is None:
            raise UsageError("there is nothing to validate with; name another validation_split")
        return {LOSS: loss}

    @abstractmethod
    def finish(self, model: Any) -> Any:
        """What follows the last step; the model that is to be saved, usually the same one.

        Raises:
            DivergedError: a tensor or an output of the model is not finite.
        """

    @abstractmethod
    def save(self, model: Any, folder: Path, *, quiet: bool = True) -> None:
        """Write a finished model's companion files into its folder.

        Raises:
            DivergedError: what the model makes is not finite.
        """
