"""The best checkpoint of a training by a score on the validation split, and when to stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from zoo.card import Card
from zoo.errors import ConflictError, UsageError
from zoo.hints import did_you_mean

from .known import DEFAULTS
from .scoring import LOSS, names_of

#: The loss as transformers calls it.
THEIR_LOSS = "loss"


def complete(card: Card, options: dict[str, Any]) -> None:
    """Fill in what follows from a card that asks for the best checkpoint, or to be stopped early.

    Both need a validation at each epoch, or each `eval_steps`, and a checkpoint at each of these;
    the best one is taken at the end unless `load_best_model_at_end = false`.

    Args:
        card: with [data].
        options: the training arguments of the card, changed in place.

    Raises:
        UsageError: the card has no validation split, or no such score.
    """
    patience, metric = card.train.early_stopping_patience, options.get("metric_for_best_model")
    asked = [
        name
        for name, value in (
            ("metric_for_best_model", metric),
            ("early_stopping_patience", patience),
            ("load_best_model_at_end", options.get("load_best_model_at_end")),
            ("eval_strategy", options.get("eval_strategy", "no") not in ("no", False) or None),
        )
        if value
    ]
    if not asked:
        return
    assert card.data is not None
    if card.data.validation_split is None:
        raise UsageError(
            f"{card.path}: [train] {asked[0]} needs texts or images that are kept from training; "
            "name a validation_split in [data]"
        )
    steps = options.get("eval_strategy") == "steps" or "eval_steps" in options
    options.setdefault("eval_strategy", "steps" if steps else "epoch")
    if asked == ["eval_strategy"]:
        return
    known = names_of(card.data.task)
    metric = options.setdefault("metric_for_best_model", LOSS)
    if metric not in known:
        raise UsageError(
            f"{card.path}: [train] metric_for_best_model {metric!r} is no score of this card, "
            f"which has {', '.join(known)}. {did_you_mean(str(metric), known)}"
        )
    if metric == LOSS:
        options["metric_for_best_model"] = THEIR_LOSS
    options.setdefault("greater_is_better", metric != LOSS)
    options.setdefault("load_best_model_at_end", True)
    options.setdefault("save_strategy", options["eval_strategy"])
    if options["load_best_model_at_end"]:
        if options["save_strategy"] not in (options["eval_strategy"], "best"):
            raise UsageError(
                f"{card.path}: [train] save_strategy {options['save_strategy']!r} keeps other "
                "checkpoints than those that are validated; leave it out"
            )
        if options["eval_strategy"] == "steps":
            often = options.get("logging_steps", DEFAULTS["logging_steps"])
            options.setdefault("save_steps", options.setdefault("eval_steps", often))
        # The last checkpoint is kept besides the best: an interrupted run goes on from there.
        options["save_total_limit"] = max(2, options.get("save_total_limit") or 2)


def score_name(arguments: Any) -> str:
    """What a card calls the score by which checkpoints are compared; empty if by none."""
    metric = arguments.metric_for_best_model
    return LOSS if metric == THEIR_LOSS else metric or ""


def best_of(arguments: Any, state: Any) -> dict[str, Any] | None:
    """Step, score and value of the checkpoint that was taken in the end, if that was not the last.

    Args:
        arguments: of the Trainer.
        state: of the Trainer, after training.
    """
    if not arguments.load_best_model_at_end or state.best_global_step is None:
        return None
    name = score_name(arguments)
    return {"step": state.best_global_step, "score": name, "value": float(state.best_metric)}


class BestCallback(TrainerCallback):
    """Find the best checkpoint of a resumed run again, and stop one that no longer gets better.

    It reads the log, which checkpoints keep, and so needs no state of its own.

    Args:
        patience: number of validations without a better score; None never to stop.
        say: is given the reason of a stop.
    """

    def __init__(self, patience: int | None, say: Callable[[str], None]) -> None:
        self.patience, self.say = patience, say

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look for the best checkpoint where the run is now.

        Raises:
            ConflictError: it is gone.
        """
        if not args.load_best_model_at_end or state.best_global_step is None:
            return
        place = Path(args.output_dir) / f"checkpoint-{state.best_global_step}"
        if not place.is_dir():
            raise ConflictError(
                f"{place}, the best checkpoint of this run so far, is gone; put it back, or "
                f"remove {args.output_dir} to start anew"
            )
        state.best_model_checkpoint = str(place)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop if the last validations were no better than the best before them."""
        if self.patience is None:
            return
        name = score_name(args)
        values = [record[name] for record in state.log_history if name in record]
        sign = 1 if args.greater_is_better else -1
        best = max(range(len(values)), key=lambda number: sign * values[number])
        if len(values) - 1 - best >= self.patience:
            control.should_training_stop = True
            self.say(f"no better {name} in {self.patience} validations: the training ends here")
