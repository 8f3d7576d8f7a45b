"""The Trainer for text models, with objectives of several runs of the model."""

from contextlib import closing
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler

from .adversarial.objective import Objective
from .around.ema import inner_model
from .checked import CheckedTrainer
from .class_weights import WeightedMixin
from .optimizing import OptimizingTrainer


class ObjectiveMixin(Trainer):
    """A Trainer whose steps may run the model several times.

    Losses are means over a batch, and over the batches of an accumulated step: so are the terms
    of an objective, and many models ignore the number of items that they are given.

    Args:
        objective: replaces the model's loss in training; evaluation does not change. Without one,
            accumulated batches are summed instead of averaged, as transformers' Trainer does, if
            the model takes `num_items_in_batch` and ignores it, such as a classifier;
            `Objective()` is the plain loss, averaged.
    """

    def __init__(self, *args: Any, objective: Objective | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.training_objective = objective  # `objective` is that of a search for settings
        self._share = 1.0
        if objective is not None:
            self.loss_is_scaled_for_ga = False

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The loss of a batch, its gradients in the parameters."""
        if self.training_objective is None:
            return super().training_step(model, inputs, num_items_in_batch)
        total: Any = 0.0
        with closing(self.training_objective.passes(inner_model(model))) as passes:
            for self._share in passes:
                total = total + super().training_step(model, dict(inputs), num_items_in_batch)
        return total

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The objective in training, the model's loss elsewhere."""
        base = super().compute_loss
        if self.training_objective is None or not model.training:
            return base(model, inputs, return_outputs, num_items_in_batch)

        def run() -> tuple[Tensor, Any]:
            loss, outputs = base(model, dict(inputs), return_outputs=True)
            return loss, outputs

        loss, outputs = self.training_objective.loss(inner_model(model), inputs, run)
        loss = loss * self._share
        return (loss, outputs) if return_outputs else loss


class TextTrainer(ObjectiveMixin, OptimizingTrainer):
    """`OptimizingTrainer` with an `objective`; without arguments of either, a plain Trainer."""


class LengthGroups(LengthGroupedSampler):
    """Batches of texts of like length, the same in an epoch whenever it is begun.

    Args:
        batch_size: of the examples between two steps.
        lengths: of all texts.
        seed: of the order.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins; the Trainer does."""
        self.epoch = epoch

    def __iter__(self) -> Any:
        self.generator.manual_seed(self.seed + self.epoch)
        return super().__iter__()


class CollatingTrainer(ObjectiveMixin, WeightedMixin, CheckedTrainer):
    """Trainer whose batches are padded by the loader and finished in the training step.

    The loader runs ahead of the step: what is drawn at random is drawn here, with torch's global
    generator, once for all passes of an objective, so that a resumed run equals an uninterrupted
    one.

    Args:
        collator: of `zoo.data.text`.
        grouped: whether batches are of texts of like length.
    """

    def __init__(self, *args: Any, collator: Any, grouped: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, data_collator=collator.pad, **kwargs)
        self.collator = collator
        self.grouped = grouped

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        if not self.grouped:
            return super()._get_train_sampler(train_dataset)
        between = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroups(between, list(dataset["length"]), self.args.seed)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The loss of a batch, its gradients in the parameters."""
        finished = self.collator.finish(self._prepare_inputs(inputs))
        return super().training_step(model, finished, num_items_in_batch)
