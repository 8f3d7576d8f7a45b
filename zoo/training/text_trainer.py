"""The Trainer for text models, with objectives of several runs and an average of the weights."""

import os
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Trainer

from zoo.errors import NotFoundError, UsageError

from .adversarial.objective import Objective
from .around.ema import EMA, inner_model

AVERAGE_FILE = "ema.safetensors"
AVERAGE_FOLDER = "ema"
SAVED = ("instead", "beside", "no")


class ObjectiveMixin(Trainer):
    """A Trainer whose steps may run the model several times.

    Losses are means over a batch, and over the batches of an accumulated step: the terms of an
    objective are, and many a model that is told how many items there are does not use it.

    Args:
        objective: in place of the model's loss while it is trained; evaluation is as ever.
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


class EMAMixin(Trainer):
    """A Trainer that keeps an average of the weights and evaluates and saves with it.

    A checkpoint holds the weights themselves and the average in `ema.safetensors`: a resumed run
    ends bit by bit where an uninterrupted one does. No callback, because the Trainer has no event
    before an evaluation.

    Args:
        ema: the average, of this Trainer's model.
        evaluate_ema: evaluate and predict with the average.
        save_ema: what `save_model` writes: the average "instead" of the weights, "beside" them in
            the subfolder `ema`, which loads as a model of its own, or "no" average.

    Raises:
        UsageError: an average of another model, or an unknown `save_ema`.
    """

    def __init__(
        self,
        *args: Any,
        ema: EMA | None = None,
        evaluate_ema: bool = True,
        save_ema: str = "instead",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if save_ema not in SAVED:
            raise UsageError(f"save_ema is {save_ema!r}; give one of {', '.join(SAVED)}")
        if ema is not None and ema.model is not self.model:
            raise UsageError("ema averages another model than the Trainer's; make it of the same")
        self.ema = ema
        self.evaluate_ema = evaluate_ema
        self.save_ema = save_ema

    def _applied(self, wanted: bool) -> Any:
        return self.ema.applied() if self.ema is not None and wanted else nullcontext()

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """Made once the optimizer is what it stays: the average follows its steps from here."""
        if self.ema is not None:
            self.ema.detach()
            self.ema.attach(self.optimizer)
        return super().create_scheduler(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Of `evaluate` and `predict`."""
        with self._applied(self.evaluate_ema):
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, with the average as `save_ema` says; a checkpoint holds both."""
        checkpoint = self.is_in_train and _internal_call and output_dir is not None
        with self._applied(self.save_ema == "instead" and not checkpoint):
            super().save_model(output_dir, _internal_call)
        if self.ema is None:
            return
        folder = output_dir or self.args.output_dir
        assert folder is not None
        if checkpoint:
            self._save_average(folder)
        elif self.save_ema == "beside":
            with self._applied(True):
                super().save_model(os.path.join(folder, AVERAGE_FOLDER), True)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._load_average(checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        assert self.state.best_model_checkpoint is not None
        self._load_average(self.state.best_model_checkpoint)

    def _save_average(self, folder: str) -> None:
        assert self.ema is not None
        if not self.args.should_save:
            return
        state = self.ema.state_dict()
        averages = {name: average.contiguous() for name, average in state["averages"].items()}
        count = {"num_updates": str(state["num_updates"])}
        save_file(averages, os.path.join(folder, AVERAGE_FILE), metadata=count)

    def _load_average(self, folder: str) -> None:
        if self.ema is None:
            return
        file = Path(folder) / AVERAGE_FILE
        if not file.is_file():
            raise NotFoundError(f"{folder} holds no {AVERAGE_FILE}; resume without ema, or anew")
        try:
            with safe_open(file, framework="pt") as tensors:
                averages = {name: tensors.get_tensor(name) for name in tensors.keys()}
                count = (tensors.metadata() or {}).get("num_updates", "")
        except SafetensorError as error:
            raise UsageError(f"{file} cannot be read ({error}); resume from another") from error
        number = int(count) if count.isdecimal() else None
        self.ema.load_state_dict({"averages": averages, "num_updates": number})


class TextTrainer(ObjectiveMixin, EMAMixin):
    """`transformers.Trainer` with `objective` and `ema`, each one argument; else unchanged."""
