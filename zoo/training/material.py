"""What a model is trained on, images or texts: all that a run does with either."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from .optimizing import OptimizingTrainer


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
