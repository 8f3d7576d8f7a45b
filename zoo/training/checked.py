"""A Trainer that stops when its numbers are no longer finite."""

from typing import Any

import torch
from torch import Tensor

from .divergence import check_model, check_optimizer, check_value
from .optimizing import OptimizingTrainer


class CheckedTrainer(OptimizingTrainer):
    """`OptimizingTrainer` that logs and saves finite numbers only; the arguments are the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unlogged_loss = torch.zeros(())

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
