"""A Trainer that stops when its numbers are no longer finite."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .divergence import check_model, check_optimizer, check_value
from .optimizing import OptimizingTrainer
from .scoring import LOSS
from .streaming import StreamingTrainer


class CheckedTrainer(StreamingTrainer, OptimizingTrainer):
    """`OptimizingTrainer` that logs and saves finite numbers only.

    Args:
        validate: gives the loss and scores of a model by name, in place of Trainer's own loop over
            an `eval_dataset`.
    """

    def __init__(
        self, *args: Any, validate: Callable[[Any], dict[str, float]] | None = None, **kwargs: Any
    ) -> None:
        if validate is not None:
            kwargs.setdefault("eval_dataset", ())
        super().__init__(*args, **kwargs)
        self.validate = validate
        self._unlogged_loss = torch.zeros(())

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Loss and scores, by names that begin with `eval_`, with the average if `evaluate_ema`.

        Raises:
            DivergedError: the loss is no longer a finite number.
        """
        if self.validate is None:
            return super().evaluate(*args, **kwargs)
        with self._averaged(self.evaluate_ema):
            found = self.validate(self.model)
        check_value("the validation loss", found[LOSS])
        found = {name.replace(LOSS, "loss"): value for name, value in found.items()}
        metrics = {f"eval_{name}": value for name, value in found.items()}
        handler, state = self.callback_handler, self.state
        self.control = handler.on_evaluate(self.args, state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log finite numbers.

        Raises:
            DivergedError: the loss is no longer a finite number.
        """
        if "loss" in logs:
            check_value(f"the loss, at step {self.state.global_step},", logs["loss"])
        super().log(logs, *args, **kwargs)

    def _maybe_log_save_evaluate(self, tr_loss: Tensor, *args: Any, **kwargs: Any) -> None:
        self._unlogged_loss = tr_loss
        super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save finite numbers only: a later checkpoint replaces an earlier one."""
        check_value("the loss", self._unlogged_loss.item())
        assert self.model is not None
        check_model(self.model)
        check_optimizer(self.optimizer)
        super()._save_checkpoint(*args, **kwargs)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Zero: the usual estimate of six operations per weight is wrong for convolutions."""
        return 0
