"""`transformers.Trainer` with rates by layer, a chain on the gradients and averaged weights."""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from transformers import Trainer, TrainingArguments

from zoo.errors import IntegrityError, UsageError

from .around.ema import EMA
from .gradients.accumulation import Accumulate
from .gradients.chain import Chain
from .gradients.clipping import ClipGlobalNorm
from .gradients.transform import Transform
from .rates import ParameterGroups, parameter_groups

CHAIN_FILE, AVERAGE_FILE = "gradients.json", "ema.safetensors"  # of a checkpoint
AVERAGE = "ema"  # the variant of a model's file with averaged weights beside others
SAVED = ("instead", "beside", "no")
CLIPPED = re.compile(r"clip_global_norm(_\d+)?/norm_before")


class OptimizingTrainer(Trainer):
    """Trainer whose optimizer has a rate for each layer, a chain before and an average after it.

    Trainer's own clipping would come before any hook: here `max_grad_norm` is the last operation
    of the chain. A checkpoint contains the weights, the state of the chain and the average, so
    that a resumed run ends with the same bits as an uninterrupted one.

    Args:
        rates: `layer_decay`, `head`, `layers` and `rules` of `parameter_groups`; not with an
            optimizer of your own, which has its groups already.
        operations: on gradients, in order.
        ema: an average of this Trainer's model.
        evaluate_ema: evaluate and predict with the average.
        save_ema: what `save_model` writes: the average "instead" of the weights, "beside" them as
            the variant that `from_pretrained(folder, variant="ema")` loads, or "no" average.

    Attributes:
        chain: the operations and the clipping.
        groups: the parameter groups, once the optimizer was made.

    Raises:
        UsageError: an average of another model, an unknown `save_ema`, operations in a wrong
            order, `Accumulate` among them, or both rates and an optimizer.
    """

    def __init__(
        self,
        *args: Any,
        rates: Mapping[str, Any] | None = None,
        operations: Sequence[Transform] = (),
        ema: EMA | None = None,
        evaluate_ema: bool = True,
        save_ema: str = "instead",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if save_ema not in SAVED:
            raise UsageError(f"save_ema is {save_ema!r}; give one of {', '.join(SAVED)}")
        if ema is not None and ema.model is not self.model:
            raise UsageError("ema averages another model than the Trainer's; make it of that one")
        if rates and self.optimizer is not None:
            raise UsageError(
                "rates are for the optimizer that the Trainer makes; make your own optimizer of "
                "parameter_groups(model, lr, ...), without rates"
            )
        self.chain = chain_of(operations, self.args)
        self.args = copy.copy(self.args)  # the caller's stay as they are
        self.args.max_grad_norm = 0.0
        self.rates = dict(rates or {})
        self.groups: ParameterGroups | None = None
        self.ema = ema
        self.evaluate_ema = evaluate_ema
        self.save_ema = save_ema
        self._attached: RemovableHandle | None = None

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """The optimizer that the arguments name, on groups with a rate for each layer.

        Raises:
            UsageError: the rates do not fit the model.
        """
        if self.optimizer is None:
            model = self.model if model is None else model
            self.groups = groups_of(model, self.args, self.rates)
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer_cls_and_kwargs = kind, {**settings, "params": self.groups}
        return super().create_optimizer(model)

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """The scheduler; chain and average are attached here, where the optimizer is final.

        Raises:
            UsageError: an operation does not fit the model.
        """
        if self._attached is not None:
            self._attached.remove()
        optimizer, model = self.optimizer, self.model
        assert optimizer is not None
        self._attached = self.chain.attach(optimizer, model)
        if self.ema is not None:
            self.ema.detach()
            self.ema.attach(optimizer)
        return super().create_scheduler(*args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add what the chain reports since the last line; the clipped norm as `grad_norm`."""
        if "loss" in logs:
            done = self.chain.logs()
            norms = [each for name, each in done.items() if CLIPPED.match(name)]
            logs = {**logs, **({"grad_norm": norms[-1]} if norms else {}), **done}
        super().log(logs, *args, **kwargs)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> None:
        """None, since the chain reports it: computing it again costs as much as a small step."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The loop of `evaluate` and `predict`, with the average if `evaluate_ema`."""
        with self._averaged(self.evaluate_ema):
            return super().evaluation_loop(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, with the average as `save_ema` says; a checkpoint contains both."""
        checkpoint = self.is_in_train and _internal_call and output_dir is not None
        with self._averaged(self.save_ema == "instead" and not checkpoint):
            super().save_model(output_dir, _internal_call)
        if self.ema is None:
            return
        folder = output_dir or self.args.output_dir
        assert folder is not None
        if checkpoint:
            self._save_average(Path(folder))
        elif self.save_ema == "beside" and self.args.should_save:
            model: Any = self.ema.model
            with self.ema.applied():
                model.save_pretrained(folder, variant=AVERAGE)

    def _averaged(self, wanted: bool) -> AbstractContextManager[None]:
        return self.ema.applied() if self.ema is not None and wanted else nullcontext()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            state = json.dumps(self.chain.state_dict())
            (Path(output_dir) / CHAIN_FILE).write_text(state, encoding="utf-8")

    def _save_average(self, folder: Path) -> None:
        assert self.ema is not None
        state = self.ema.state_dict()
        if not self.args.should_save:
            return
        averages = {name: each.contiguous() for name, each in state["averages"].items()}
        count = {"num_updates": str(state["num_updates"])}
        save_file(averages, folder / AVERAGE_FILE, metadata=count)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._load_chain(Path(checkpoint))
            self._load_average(Path(checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        assert self.state.best_model_checkpoint is not None
        self._load_average(Path(self.state.best_model_checkpoint))

    def _load_chain(self, folder: Path) -> None:
        try:
            state = json.loads((folder / CHAIN_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise _unreadable(folder, CHAIN_FILE, error) from error
        self.chain.load_state_dict(state)

    def _load_average(self, folder: Path) -> None:
        if self.ema is None:
            return
        try:
            with safe_open(folder / AVERAGE_FILE, framework="pt") as file:
                averages = {name: file.get_tensor(name) for name in file.keys()}
                count = int((file.metadata() or {})["num_updates"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise _unreadable(folder, AVERAGE_FILE, error) from error
        self.ema.load_state_dict({"averages": averages, "num_updates": count})


def _unreadable(folder: Path, name: str, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{folder}: {name} is missing or damaged ({error}); remove the checkpoint and resume from "
        "an earlier one, or start anew"
    )


def chain_of(operations: Sequence[Transform], arguments: TrainingArguments) -> Chain:
    """The operations as a chain that ends with the clipping of `max_grad_norm`.

    Raises:
        UsageError: operations in a wrong order, or `Accumulate`, which the Trainer does itself.
    """
    if found := [each for each in operations if isinstance(each, Accumulate)]:
        raise UsageError(
            f"{found[0]!r} would hold back steps that the Trainer counts; leave it out and set "
            f"gradient_accumulation_steps={found[0].k}"
        )
    limit = arguments.max_grad_norm
    return Chain([*operations, *([ClipGlobalNorm(limit)] if limit else [])], seed=arguments.seed)


def groups_of(
    model: nn.Module, arguments: TrainingArguments, rates: Mapping[str, Any]
) -> ParameterGroups:
    """A model's parameter groups, with the arguments' learning rate at the top.

    Raises:
        UsageError: the rates do not fit the model.
    """
    return parameter_groups(
        model, arguments.learning_rate, weight_decay=arguments.weight_decay, **rates
    )
