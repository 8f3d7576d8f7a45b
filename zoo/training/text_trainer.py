"""The Trainer for text models, with objectives of several runs of the model."""

from contextlib import closing
from typing import Any

from torch import Tensor, nn
from transformers import Trainer

from .adversarial.objective import Objective
from .around.ema import inner_model
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
