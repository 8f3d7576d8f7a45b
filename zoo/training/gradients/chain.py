"""A chain of operations between backward and step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from zoo.errors import UsageError
from zoo.training.around.hooks import torch_optimizer

from . import hooks, order
from .accumulation import Accumulate
from .guards import FiniteGuard
from .patterns import Names, embeddings, named_parameters
from .projection import Project
from .report import Averages, Report, Value, labels
from .shaping import Scale
from .tensors import Gradients
from .transform import Step, Transform

Named = Sequence[tuple[str, nn.Parameter]]


class Chain:
    """Operations on gradients, in order, between backward and step.

    ::

        chain = Chain([Centralize(), ClipNorm(1.0, only="*attention*"), ClipGlobalNorm(1.0)])
        chain.attach(optimizer)        # every optimizer.step() runs it first

        if not chain.apply(model).skip:   # or in your own loop
            optimizer.step()

    Gradients are changed in place, and must be unscaled: an attached chain sees to that itself;
    before `apply`, call `scaler.unscale_(optimizer)`. A skipped step leaves no gradients. An empty
    chain changes nothing. All processes of a distributed training do the same, random numbers
    included; where `fully_shard` spreads tensors, norms, means and the largest entries are those
    of whole tensors.

    Args:
        operations: in the order in which they run.
        seed: of noise and masks. They follow from it and from the number of the step.
        callback: called with each `Report`.
        measure: report `norm_before` and `norm_after` of every operation; where the norms are not
            known already each costs a pass over the gradients.
        any_order: allow orders that are seldom intended, such as noise after a global clip.

    Attributes:
        report: of the last run; None before the first.
        skipped: number of steps skipped because of what the gradients were.

    Raises:
        UsageError: something that is no operation, an order that makes no sense, or two of what
            a chain can have only once.
    """

    def __init__(
        self,
        operations: Iterable[Transform] = (),
        *,
        seed: int = 0,
        callback: Callable[[Report], object] | None = None,
        measure: bool = False,
        any_order: bool = False,
    ) -> None:
        self.operations = list(operations)
        for each in self.operations:
            if not isinstance(each, Transform):
                raise UsageError(
                    f"a chain is made of operations such as ClipNorm(1.0), got {each!r}; wrap a "
                    "function of name, gradient and parameter in Apply"
                )
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise UsageError(f"Chain: seed must be a whole number, got {seed!r}")
        order.check_counts(self.operations)
        if not any_order:
            order.check(self.operations, ", or pass any_order=True if that is intended")
        self.seed = seed
        self.callback = callback
        self.measure = measure
        self.report: Report | None = None
        self.skipped = 0
        self._labels = labels([each.op for each in self.operations])
        self._guards = [i for i, x in enumerate(self.operations) if isinstance(x, FiniteGuard)]
        self._accumulate = next((x for x in self.operations if isinstance(x, Accumulate)), None)
        self._names: Names | None = None
        self._chosen: list[Any] = []
        self._closing = False
        self._averages = Averages()
        self._handle: RemovableHandle | None = None

    @property
    def window(self) -> int:
        """Micro-batches to a step: k of `Accumulate`, 1 without."""
        return 1 if self._accumulate is None else self._accumulate.k

    def attach(self, optimizer: Optimizer, model: nn.Module | None = None) -> RemovableHandle:
        """Run before every step of an optimizer, or of the one that accelerate has wrapped.

        Gradients that a GradScaler leaves scaled for a fused optimizer are unscaled first.

        Args:
            optimizer: made with named parameters (`model.named_parameters()`, groups with names),
                or
            model: whose parameters they are; patterns need one of the two.

        Returns:
            A handle whose `remove()` takes the chain off.

        Raises:
            UsageError: no optimizer, one chain for two optimizers, a parameter that the model
                does not have, patterns without names or that match none, `Accumulate` where
                accelerate accumulates, too.
        """
        inner = torch_optimizer(optimizer)
        if self._handle is not None:
            raise UsageError(
                "this chain is attached already, and has one state; make a chain for each "
                "optimizer, or remove the handle that attach returned"
            )
        if self.window > 1:
            hooks.check_accumulation(optimizer, self.window)
        known = None if model is None else {each: n for n, each in named_parameters(model)}
        tables = frozenset() if model is None else embeddings(model)

        def prepare(optimizer: Optimizer) -> tuple[Names, Named]:
            names, parameters, given = hooks.names_of(optimizer, known)
            return Names(names, given, tables), list(zip(names, parameters, strict=True))

        if self.operations:
            self._choose(prepare(inner)[0])
        for each in self.operations:
            if isinstance(each, Scale):
                each.warn(inner)

        def hook(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not self.operations:
                return
            hooks.check_step(args, kwargs)
            names, named = prepare(optimizer)
            if hooks.unscale(optimizer, [each for _, each in named]):
                self._run(names, named)
            else:
                self._finish(Report(True, "overflow", {}), named)

        handle = inner.register_step_pre_hook(hook)
        self._handle = handle
        return hooks.Attached(handle, self._detached)

    def _detached(self) -> None:
        self._handle = None

    def apply(self, model: nn.Module) -> Report:
        """Run once, on the gradients of a model's parameters.

        Returns:
            The report; with `skip` the optimizer must not step, and the gradients are None.

        Raises:
            UsageError: a pattern that matches no parameter, a sparse gradient.
            DivergedError: a guard's limit of skipped steps is reached.
        """
        if not self.operations:
            return self._finish(Report(False, "", {}), ())
        named = named_parameters(model)
        tables = embeddings(model) if self._names is None else self._names.embeddings
        return self._run(Names(tuple(name for name, _ in named), True, tables), named)

    def backward(self, losses: Sequence[Tensor], model: nn.Module) -> None:
        """The gradients of several losses, projected (`Project`), instead of `loss.backward()`.

        Args:
            losses: scalars of one forward pass; scaled ones, with a GradScaler.
            model: whose parameters get the gradients.

        Raises:
            UsageError: the chain has no `Project`, there are no losses, or the model is sharded.
        """
        project = next((each for each in self.operations if isinstance(each, Project)), None)
        if project is None:
            raise UsageError(
                "backward: several losses are what Project is for, and this chain has none; add "
                "Project() at its front, or call sum(losses).backward()"
            )
        names = Names(tuple(name for name, _ in named_parameters(model)))
        chosen = project.choose(names)
        step = Step((), Gradients(()))
        step.reseed(self.seed, self.operations.index(project), project.steps)
        wanted = {name: chosen is None or name in chosen for name in names.names}
        project.backward(losses, model, wanted, step.seed)

    def flush(self) -> bool:
        """Let the next step end the window of `Accumulate` though it is not full.

        Call it before the last micro-batch's step of an epoch, or after the loop and then step
        once more.

        Returns:
            Whether a window is open; if not, nothing needs to be done.
        """
        self._closing = self._accumulate is not None and self._accumulate.pending > 0
        return self._closing

    def logs(self) -> dict[str, float]:
        """Means since the last call of what the operations report, by `operation/quantity`.

        With a guard also `skipped`, the number of steps skipped so far.
        """
        counted = {"skipped": float(self.skipped)} if self._guards else {}
        return {**self._averages.pop(), **counted}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: seed, counters, open windows. Tensors are references."""
        states = [{"op": each.op, **each.state_dict()} for each in self.operations]
        return {"seed": self.seed, "skipped": self.skipped, "operations": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another chain of the same operations was.

        Raises:
            UsageError: the state is of other operations.
        """
        try:
            seed, skipped = int(state["seed"]), int(state["skipped"])
            states = list(state["operations"])
            ops = [each["op"] for each in states]
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"this is no state of a chain ({error!r}); give what Chain.state_dict() returned"
            ) from error
        if ops != (own := [each.op for each in self.operations]):
            raise UsageError(
                f"the state is of a chain of {ops}, this one is of {own}; resume with the same "
                "operations in the same order"
            )
        self.seed, self.skipped = seed, skipped
        for each, saved in zip(self.operations, states, strict=True):
            each.load_state_dict(saved)

    def __repr__(self) -> str:
        return f"Chain([{', '.join(map(repr, self.operations))}])"

    def _choose(self, names: Names) -> list[Any]:
        if self._names != names:
            self._chosen = [each.choose(names) for each in self.operations]
            self._names = names
        return self._chosen

    @torch.no_grad()
    def _run(self, names: Names, named: Named) -> Report:
        chosen = self._choose(names)
        step = Step(named, Gradients(named), self._closing)
        values: dict[str, Value] = {}
        for index, operation in enumerate(self.operations):
            selection = step.gradients.select(chosen[index])
            if len(selection) == 0 and operation is not self._accumulate:
                continue
            if operation.hides and any(guard > index for guard in self._guards):
                step.seen.append(selection.norms(float("inf")))
            before = {"norm_before": selection.total()} if self.measure else {}
            step.reseed(self.seed, index, operation.steps)
            found = operation.change(selection, step)
            operation.steps += 1
            if before and not step.skip:
                left = step.gradients.select(chosen[index])
                before["norm_after"] = left.total()
            label = self._labels[index]
            values |= {f"{label}/{name}": value for name, value in {**before, **found}.items()}
            if step.skip:
                break
        if step.skip != "accumulating":
            self._closing = False
        if not step.skip:
            step.gradients.multiply_in()
        return self._finish(Report(bool(step.skip), step.skip, values), named)

    def _finish(self, report: Report, named: Named) -> Report:
        if report.skip:
            self.skipped += report.reason != "accumulating"
            for _, parameter in named:
                parameter.grad = None
        self.report = report
        # Norms of what is not finite would spoil the means.
        ends = "/skipped" if report.skip else ""
        self._averages.add({n: value for n, value in report.values.items() if n.endswith(ends)})
        if self.callback is not None:
            self.callback(report)
        return report
