"""How a training went: its numbers at each log line, a line for each epoch, a file, a plot."""

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from .callbacks import SHOWN_LOSSES
from .scoring import LOSS as VALIDATION
from .scoring import NAMES

CURVE_FILE, PLOT_FILE = "training.json", "training.png"
MAX_RECORDS = 2000  # in a file that travels with the weights
LOG_SCALE = 50  # ratio of losses, all positive, from which their axis is logarithmic
#: What the Trainer logs once, after the last step, about the whole run.
SUMMARY = "train_runtime"

Record = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """The course of a training.

    Attributes:
        records: what was logged, in order of steps: `step`, `epoch`, `loss` and its parts (means
            since the record before), `learning_rate`, `grad_norm` where gradients are clipped,
            `seconds` since the run began, and at the end of an epoch `validation_loss`, where the
            card has a validation split; with it the scores of the task, where the card asks.
        before: the loss on the first examples, in eval mode, before training.
        after: the same of the finished model.
        best: step, score and value of the checkpoint that the finished model is; None if it is
            the last step's.
    """

    records: list[Record]
    before: float
    after: float
    best: Record | None = None

    @classmethod
    def of(
        cls, history: Sequence[Record], before: float, after: float, best: Record | None = None
    ) -> "Curve":
        """A curve of the Trainer's log, thinned out evenly if that is very long."""
        records = [record for record in history if SUMMARY not in record]
        stride = -(-len(records) // MAX_RECORDS)
        kept = records[::-stride][::-1] if stride > 1 else records  # the last one always
        return cls(kept, before, after, best)

    @property
    def validated(self) -> list[Record]:
        """The records with a validation loss."""
        return [record for record in self.records if VALIDATION in record]

    def in_words(self) -> str:
        """The final numbers in one line."""
        last = self.records[-1]
        text = (
            f"{last['step']:,} steps, {last['epoch']:.4g} epochs, {_duration(last['seconds'])}: "
            f"loss {self.after:.4g}, before training {self.before:.4g}"
        )
        text += "".join(f", validation {r[VALIDATION]:.4g}" for r in self.validated[-1:])
        if self.best is None:
            return text
        step, name, value = (self.best[key] for key in ("step", "score", "value"))
        return f"{text}; kept is step {step:,}, {name} {value:.4g}"

    def save(self, folder: Path) -> None:
        """Write `training.json`, and `training.png` if there is more than one record."""
        facts: Record = {"schema": 1, "loss_before": self.before, "loss_after": self.after}
        facts |= {} if self.best is None else {"best": _short(self.best)}
        head = json.dumps(_short(facts), indent=2).removesuffix("\n}")
        log = ",\n".join(f"    {json.dumps(_short(record))}" for record in self.records)
        text = f'{head},\n  "log": [\n{log}\n  ]\n}}\n'
        (folder / CURVE_FILE).write_text(text, encoding="utf-8", newline="\n")
        if len(self.records) > 1:
            (folder / PLOT_FILE).write_bytes(self.plot())

    def plot(self) -> bytes:
        """The losses over the steps, as a PNG of 480 x 240 pixels."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.8, 2.4), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        losses = [record["loss"] for record in self.records]
        axes.plot([record["step"] for record in self.records], losses, lw=1, label="training")
        if held := self.validated:
            values = [record[VALIDATION] for record in held]
            axes.plot([record["step"] for record in held], values, "o-", ms=3, label="validation")
            axes.legend(frameon=False)
        if min(losses) > 0 and max(losses) > LOG_SCALE * min(losses):
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.spines[["top", "right"]].set_visible(False)
        encoded = io.BytesIO()
        figure.savefig(encoded, format="png")
        return encoded.getvalue()


class CurveCallback(TrainerCallback):
    """Add to the Trainer's log, which its checkpoints keep, what a curve needs.

    An epoch ends with a record, however few its steps, and so does what was trained until the
    Trainer evaluates. A line says how each of these went; of a run of one epoch, each tenth.

    Args:
        validate: the loss of the model on what it is not trained on, or None; not asked for where
            the Trainer evaluates.
        say: is given the lines.
    """

    def __init__(
        self, validate: Callable[[Any], float | None], say: Callable[[str], None]
    ) -> None:
        self.validate, self.say = validate, say
        self._start = 0.0
        self._told = 0  # records that lines were about
        self._tenths: set[int] = set()
        self._ended = False
        self._validation: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on from the seconds at which an interrupted run stopped."""
        past = [record["seconds"] for record in state.log_history if "seconds" in record]
        self._start = time.perf_counter() - (past[-1] if past else 0.0)
        self._told = len(state.log_history)
        if not 1 < state.num_train_epochs < sys.maxsize:  # that many epochs has a stream
            self._tenths = {state.max_steps * tenth // 10 for tenth in range(1, 10)}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Have a tenth of a long epoch logged, and what is to be evaluated."""
        control.should_log |= state.global_step in self._tenths or control.should_evaluate

    def on_epoch_end(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Have an epoch's end logged, with its validation loss; an interruption is none."""
        control.should_log = True
        if control.should_training_stop and state.global_step < state.max_steps:
            return
        if control.should_evaluate:
            return  # which completes the record
        self._ended = True
        self._validation = None if args.do_eval else self.validate(model)
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            self._complete(state)  # as no other record follows

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add to the record what the Trainer leaves out."""
        record = state.log_history[-1]
        if SUMMARY in record:
            return
        record["seconds"] = round(time.perf_counter() - self._start, 3)
        tenth = state.global_step in self._tenths and not control.should_evaluate
        if self._ended or tenth:
            self._complete(state)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Add loss and scores to the record of the step that was evaluated."""
        found = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        state.log_history[-1].update({VALIDATION: found.pop("loss"), **found})
        self._complete(state)

    def _complete(self, state: Any) -> None:
        """Add the validation loss to the last record, and say how it went since the last line."""
        history = state.log_history
        if self._validation is not None:
            history[-1][VALIDATION] = self._validation
        if state.is_world_process_zero:
            since = history[self._told - 1]["step"] if self._told else 0
            self.say(_line(history[self._told :] or history[-1:], since, state))
        self._told, self._ended, self._validation = len(history), False, None


def _line(records: Sequence[Record], since: int, state: Any) -> str:
    """How a part of a training went.

    Args:
        records: of that part.
        since: the step before it.
        state: of the Trainer.
    """
    last, lengths = records[-1], []
    for record in records:
        lengths.append(max(record["step"] - since, 1))
        since = record["step"]
    place = f"step {last['step']:,} of {state.max_steps:,}"
    if 1 < state.num_train_epochs < sys.maxsize:
        place = f"epoch {last['epoch']:.4g} of {state.num_train_epochs}"
    shown = [name for name in SHOWN_LOSSES if all(name in record for record in records)]
    means = {
        name: sum(n * record[name] for n, record in zip(lengths, records, strict=True))
        / sum(lengths)
        for name in shown
    }
    parts = [f"{name} {value:.4g}" for name, value in means.items()]
    scores = ((name, name) for name in NAMES)
    for name, word in ((VALIDATION, "validation"), *scores, ("learning_rate", "rate")):
        parts += [f"{word} {last[name]:.4g}"] if name in last else []
    return f"{place}: {', '.join([*parts, _duration(last['seconds'])])}"


def _duration(seconds: float) -> str:
    """Seconds in readable units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _short(record: Record) -> Record:
    """Numbers with six significant digits."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in record.items()
    }
