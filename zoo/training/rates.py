"""A learning rate of its own for every layer, as parameter groups of any optimizer."""

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from zoo.errors import ConflictError, UsageError
from zoo.hints import nearest

from .depth import depths_of_layers, read_depths
from .rules import SETTINGS, WITHOUT_DECAY, Entry, Rule, entries

SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Decision:
    """What was decided for a parameter.

    Attributes:
        entry: the parameter, its names and its depth.
        rate: its learning rate; 0 if frozen.
        weight_decay: its weight decay; 0 if frozen.
        frozen: it is in no group.
        optimizer: the name that a rule gave, or empty.
        reasons: the rules and defaults that decided, as text.
    """

    entry: Entry
    rate: float
    weight_decay: float
    frozen: bool
    optimizer: str
    reasons: tuple[str, ...]


class ParameterGroups(list[dict[str, Any]]):
    """Parameter groups as every optimizer takes them, and what led to them.

    Each has `params`, `param_names`, `lr` and `weight_decay`; no two have the same settings.

    Attributes:
        decisions: one for every parameter of the model, in its order, frozen ones included.
    """

    def __init__(self, decisions: Iterable[Decision]) -> None:
        super().__init__()
        self.decisions = tuple(decisions)
        merged: dict[tuple[float, float, str], dict[str, Any]] = {}
        for each in self.decisions:
            if each.frozen:
                continue
            settings = {"lr": each.rate, "weight_decay": each.weight_decay}
            group = merged.setdefault(
                (each.rate, each.weight_decay, each.optimizer),
                {"params": [], "param_names": [], **settings},
            )
            group["params"].append(each.entry.parameter)
            group["param_names"].append(each.entry.name)
        self.extend(merged.values())
        self._rates = tuple(rate for rate, _, _ in merged)

    def rates(self, factor: float = 1.0) -> list[float]:
        """The learning rate with which each group was made, times a factor.

        For schedulers that want the highest rate of every group:
        `OneCycleLR(optimizer, max_lr=groups.rates(10), total_steps=100)`.
        """
        return [factor * rate for rate in self._rates]

    def split(self) -> dict[str, "ParameterGroups"]:
        """The groups by the optimizer that rules name for them, or an empty name."""
        names = dict.fromkeys(each.optimizer for each in self.decisions if not each.frozen)
        return {
            name: ParameterGroups(each for each in self.decisions if each.optimizer == name)
            for name in names
        }

    def describe(self) -> str:
        """A table: name, depth out of the highest, size, rate, decay, and what decided."""
        rows = [("name", "depth", "size", "rate", "decay", "decided by")]
        for each in self.decisions:
            place, shape = each.entry.place, each.entry.parameter.shape
            rows.append(
                (
                    each.entry.name,
                    f"{place.tower} {place.depth}/{place.top}".strip(),
                    " x ".join(map(str, shape)) or "1",
                    "frozen" if each.frozen else f"{each.rate:.3g}",
                    "-" if each.frozen else f"{each.weight_decay:.3g}",
                    ", ".join(each.reasons),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        numbers = sum(each.entry.parameter.numel() for each in self.decisions)
        frozen = sum(each.frozen for each in self.decisions)
        lines.append(
            f"{len(self.decisions)} tensors, {numbers:,} numbers; {len(self)} groups; "
            f"frozen: {frozen}"
        )
        return "\n".join(lines)

    def check(self, *optimizers: Optimizer) -> None:
        """Check that optimizers made of these groups have every parameter once.

        A warning says that a scheduler set one rate for groups whose rates differ.

        Raises:
            UsageError: a parameter is in no group or a frozen one in a group, or groups were
                added after a scheduler was made, which then never changes their rate.
            ConflictError: a parameter is in two groups.
        """
        counts = Counter(
            p for each in optimizers for group in each.param_groups for p in group["params"]
        )
        twice = [each.entry.name for each in self.decisions if counts[each.entry.parameter] > 1]
        if twice:
            raise ConflictError(
                f"in two groups: {_some(twice)}; an optimizer would move them twice, so give it "
                "these groups alone"
            )
        missing, unwanted = (
            [
                each.entry.name
                for each in self.decisions
                if each.frozen == frozen and (each.entry.parameter in counts) == frozen
            ]
            for frozen in (False, True)
        )
        if missing:
            raise UsageError(
                f"in no group: {_some(missing)}; they would never be trained. Make the optimizer "
                "of all groups, or freeze them by a rule"
            )
        if unwanted:
            raise UsageError(
                f"frozen by a rule, yet in a group: {_some(unwanted)}; an optimizer may still "
                "decay them, so leave them out"
            )
        rates = {each.entry.parameter: each.rate for each in self.decisions}
        for optimizer in optimizers:
            _check_scheduled(optimizer.param_groups, rates)


def parameter_groups(
    model: nn.Module,
    lr: float,
    *,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
    head: float = 1.0,
    rules: Iterable[Rule | Mapping[str, Any]] = (),
    layers: Sequence[str] | None = None,
) -> ParameterGroups:
    r"""Groups in which every parameter has the learning rate of its layer.

    .. math:: \mathrm{rate} = \mathrm{lr} \cdot \mathrm{scale} \cdot
        \mathrm{layer\_decay}^{\,\mathrm{top} - \mathrm{depth}} \cdot \mathrm{head}

    Decays in use: 0.95 for fine-tuning BERT (Sun et al., arXiv:1905.05583), 0.8 and 0.9 for
    ELECTRA's base and large models (arXiv:2003.10555), 0.65 to 0.75 for vision transformers (BEiT,
    arXiv:2106.08254; MAE, arXiv:2111.06377), 1 / 2.6 for ULMFiT (arXiv:1801.06146).

    For each setting (scale, weight decay, freeze, optimizer) the first rule that names it decides.
    Biases, norms, other vectors and embeddings have no weight decay unless a rule gives them one.
    Tied weights are one parameter, at the lower of their depths, which rules match by each name.
    Frozen parameters are in no group, have `requires_grad` off and no gradient; freeze before the
    model is wrapped for distributed training, which expects gradients of all that is trainable
    then.

    Args:
        model: any module; `requires_grad` is changed by rules that freeze, and by nothing else.
        lr: the learning rate at the top, above 0.
        weight_decay: of the parameters that have one, at least 0.
        layer_decay: factor from each layer to the one below, in (0, 1].
        head: factor for what lies above the layers, except the norm that closes them.
        rules: a list of `Rule`, or of tables with the same keys.
        layers: where a model's structure says too little, patterns of parameters' names from the
            lowest layer to the head; a parameter is of the first that matches.

    Raises:
        UsageError: a number out of range; a rule that matches nothing; `requires_grad` off
            and no rule that says whether to freeze; no head or no layers where a factor is given
            for them; nothing left to train.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
        >>> print(parameter_groups(model, 1e-3, layer_decay=0.5, weight_decay=0.1).describe())
        name      depth  size   rate    decay  decided by
        0.weight  1/2    2 x 2  0.0005  0.1    layer_decay
        0.bias    1/2    2      0.0005  0      layer_decay, no decay: bias
        2.weight  2/2    1 x 2  0.001   0.1
        2.bias    2/2    1      0.001   0      no decay: bias
        4 tensors, 9 numbers; 4 groups; frozen: 0
    """
    for name, value in (("lr", lr), ("head", head)):
        if not 0 < value < math.inf:
            raise UsageError(f"{name} must be above 0, got {value}")
    if not 0 < layer_decay <= 1:
        raise UsageError(
            f"layer_decay must be in (0, 1], got {layer_decay}; it is the factor from a layer to "
            "the one below, so ULMFiT's 2.6 is 1 / 2.6"
        )
    if not 0 <= weight_decay < math.inf:
        raise UsageError(f"weight_decay must be at least 0, got {weight_decay}")
    places = read_depths(model) if layers is None else depths_of_layers(model, layers)
    found = list(entries(model, places))
    if not found:
        raise UsageError(f"{type(model).__name__} has no parameters")
    made = [Rule.of(each) for each in rules]
    _check_rules(found, made)
    if head != 1 and not any(each.place.head for each in found):
        raise UsageError(
            f"head={head}: nothing lies above the layers of {type(model).__name__}; name its head "
            f"by a rule, such as Rule({found[-1].name!r}, scale={head})"
        )
    if layer_decay != 1 and all(each.place.depth == each.place.top for each in found):
        raise UsageError(
            f"layer_decay={layer_decay}: no layers are seen in {type(model).__name__}; name them "
            "from the lowest to the head, layers=['...', '...']"
        )
    decisions = [_decide(each, made, lr, weight_decay, layer_decay, head) for each in found]
    by_hand = [
        each.entry.name
        for each in decisions
        if not each.entry.parameter.requires_grad and _first(each.entry, made, "freeze") is None
    ]
    if by_hand:
        raise UsageError(
            f"requires_grad is off already: {_some(by_hand)}; say so by a rule with freeze=True, "
            "or have them trained by one with freeze=False (a test such as where=lambda each: not "
            "each.parameter.requires_grad means all of them)"
        )
    if all(each.frozen for each in decisions):
        raise UsageError(f"every parameter of {type(model).__name__} is frozen; leave one out")
    for each in decisions:
        each.entry.parameter.requires_grad_(not each.frozen)
        if each.frozen:
            each.entry.parameter.grad = None
    return ParameterGroups(decisions)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _first(entry: Entry, rules: Iterable[Rule], setting: str) -> Rule | None:
    """The rule that decides a setting of a parameter."""
    named = (each for each in rules if getattr(each, setting) is not None)
    return next((each for each in named if each.matches(entry)), None)


def _check_rules(found: Sequence[Entry], rules: Iterable[Rule]) -> None:
    names = [name for entry in found for name in entry.names]
    for rule in rules:
        if not any(map(rule.matches, found)):
            near = nearest((rule.pattern or "").strip("*"), names) or names[0]
            raise UsageError(
                f"{rule} matches no parameter. Names are such as {near!r}; describe() of groups "
                "made without it shows all, and of a card genae train CARD --explain without it"
            )


def _decide(
    entry: Entry,
    rules: Sequence[Rule],
    lr: float,
    weight_decay: float,
    layer_decay: float,
    head: float,
) -> Decision:
    deciding = {setting: _first(entry, rules, setting) for setting in SETTINGS}
    values = {name: getattr(rule, name, None) for name, rule in deciding.items()}
    reasons = list(dict.fromkeys(str(rule) for rule in deciding.values() if rule is not None))
    if values["freeze"]:
        return Decision(entry, 0.0, 0.0, True, "", (str(deciding["freeze"]),))
    below = entry.place.top - entry.place.depth
    rate = lr * layer_decay**below
    if values["scale"] is not None:
        rate *= values["scale"]
    if entry.place.head and head != 1:
        rate *= head
        reasons.insert(0, "head")
    if below and layer_decay != 1:
        reasons.insert(0, "layer_decay")
    decay = values["weight_decay"]
    if decay is None:
        decay = 0.0 if entry.kind in WITHOUT_DECAY else weight_decay
        if weight_decay and not decay:
            reasons.append(f"no decay: {entry.kind}")
    return Decision(entry, rate, decay, False, values["optimizer"] or "", tuple(reasons))


def _check_scheduled(
    groups: Sequence[Mapping[str, Any]], rates: Mapping[nn.Parameter, float]
) -> None:
    """Whether a scheduler, if any, sees every group and each group's own rate."""
    scheduled = [group for group in groups if "initial_lr" in group]
    if scheduled and len(scheduled) < len(groups):
        late = next(group for group in groups if "initial_lr" not in group)
        raise UsageError(
            f"the group of {_some(late.get('param_names', ['...']))} was made after the "
            "scheduler, which will not change its rate; make the groups, then the optimizer, "
            "then the scheduler"
        )
    for key in ("initial_lr", "max_lr"):
        ratios = [
            float(group[key]) / rates[group["params"][0]]
            for group in groups
            if key in group and group["params"] and group["params"][0] in rates
        ]
        if ratios and max(ratios) > min(ratios) * (1 + 1e-6):
            warnings.warn(
                f"the scheduler set one {key} for groups whose rates differ, which undoes them; "
                "give it one for each, max_lr=groups.rates(factor) (base_lr likewise)",
                stacklevel=3,
            )
            return
