"""The Trainer for text models, with objectives of several runs of the model."""

from contextlib import closing
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler

from zoo import ranks
from zoo.data.text import COUNTS, RowNumbers

from .adversarial.objective import Objective
from .around.ema import inner_model
from .checked import CheckedTrainer
from .class_weights import WeightedMixin
from .optimizing import OptimizingTrainer
from .whole_batch import WholeBatchMixin, shares


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


SHARE = "share"  # of a batch in the loss of its step, among its tensors


class CollatingTrainer(ObjectiveMixin, WholeBatchMixin, WeightedMixin, CheckedTrainer):
    """Trainer whose batches are padded by the loader and finished at the beginning of a step.

    What is drawn at random for a text depends on the seed, the step and its place among all texts
    of the step alone: neither the number of processes nor of accumulated batches changes it, nor
    does a resumed run.

    Args:
        collator: of `zoo.data.text`.
        grouped: whether batches are of texts of like length.
        mean_over: what the loss is the mean over, a key of `COUNTS`: the accumulated batches of
            all processes count by how many of it they have. Empty where the loss compares the
            texts of a batch: those of all processes are one, accumulated ones another.
    """

    def __init__(
        self,
        *args: Any,
        collator: Any,
        grouped: bool = False,
        mean_over: str = "texts",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, data_collator=collator.pad, compares=not mean_over, **kwargs)
        self.collator = collator
        self.grouped = grouped
        self.mean_over = mean_over
        self.model_accepts_loss_kwargs = False  # a batch counts by its share, for any model

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        if not self.grouped:
            return super()._get_train_sampler(train_dataset)
        between = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroups(between, list(dataset["length"]), self.args.seed)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of a step, each with its share of the loss."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        padded = [self._prepare_inputs(each) for each in batches]
        finished, rows = [], 0
        for each in padded:
            finished.append(
                self.collator.finish(each, self._numbers(rows, len(each["input_ids"])))
            )
            rows += len(each["input_ids"])
        if padded and self.mean_over:
            pairs = zip(padded, finished, strict=True)
            counted = shares(torch.stack([COUNTS[self.mean_over](*pair) for pair in pairs]))
            finished = [
                each | {SHARE: share} for each, share in zip(finished, counted, strict=True)
            ]
        return finished, items

    def _numbers(self, before: int, size: int) -> RowNumbers:
        """Of the rows of a batch, `before` which this process has so many others in the step."""
        first = before * ranks.count() + ranks.rank() * size
        return RowNumbers(self.args.seed, self.state.global_step, first=first)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The loss of a batch, its gradients in the parameters."""
        inputs = dict(inputs)
        self.share = inputs.pop(SHARE, None)
        return super().training_step(model, inputs, num_items_in_batch)
