"""What happens beside the steps of a Trainer: a bar, and Ctrl-C."""

import signal
import threading
from typing import Any

import torch
from torch import distributed
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from zoo.progress import Bar

SHOWN_LOSSES = (
    "loss", "reconstruction_loss", "kl", "entropy", "commitment_loss", "prior_loss",
    "global_information", "local_information", "global_score", "local_score",
)  # fmt: skip


class InterruptCallback(TrainerCallback):
    """On Ctrl-C save a checkpoint after the current step and stop; a second one stops at once."""

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None

    def __enter__(self) -> "InterruptCallback":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, signum: int, frame: Any) -> None:
        if self.interrupted:  # a second Ctrl-C does not wait for the step
            raise KeyboardInterrupt
        self.interrupted = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask the Trainer to save and stop, in all processes after the same step."""
        if args.world_size > 1:
            told = torch.tensor(float(self.interrupted), device=args.device)
            distributed.all_reduce(told)
            self.interrupted = bool(told)
        if self.interrupted:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let an epoch that was cut short not be evaluated: a resumed run ends it first."""
        if self.interrupted and not float(state.epoch).is_integer():
            control.should_evaluate = False


class BarCallback(TrainerCallback):
    """Move a bar on with every step and show the loss and its parts behind it."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start at the step the run starts from."""
        self.bar.expect(state.max_steps)
        self.bar.move_to(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move on by a step."""
        self.bar.move_to(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the losses."""
        shown = {name: value for name, value in (logs or {}).items() if name in SHOWN_LOSSES}
        text = "  ".join(f"{name} {value:.2f}" for name, value in shown.items())
        if text:
            self.bar.note(text)


def without_default_output(trainer: Trainer) -> None:
    """Drop the Trainer's own prints and bars, which write to stdout."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
