"""Learning rates by re-parameterisation: a weight stored divided by a factor learns faster.

A weight is stored as phi = weight / lam, and the network uses lam * phi. One optimizer with one
rate then moves the weight as if its rate were multiplied: by lam^2 for SGD, with momentum or not
(its step is the gradient, lam times as large, and counts lam times as much), by lam for optimizers
that divide by the gradient's size (Adam, RMSprop). J. Su, https://kexue.fm/archives/6418.
"""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from zoo.errors import ConflictError, UsageError
from zoo.hints import did_you_mean, nearest

from .rules import plain_name

#: The factor of a weight for a multiplier of its rate.
FACTORS = {"sgd": math.sqrt, "adaptive": float}
#: Optimizers whose kind is known. What is scaled with them, `_regroup`.
ADAPTIVE = ("Adam", "AdamW", "NAdam", "Adamax", "RMSprop", "Adagrad")
KIND_OF = {"SGD": "sgd"} | dict.fromkeys(ADAPTIVE, "adaptive")
#: And those that undo it.
UNSUITABLE = {
    "Adadelta": "its step has the size of the steps before",
    "Adafactor": "its step follows the size of the weight",
    "LAMB": "its step follows the size of the weight",
    "LARS": "its step follows the size of the weight",
    "Lamb": "its step follows the size of the weight",
    "LBFGS": "it finds the curvature, whatever the scale",
    "RAdam": "its first steps are those of SGD, the later ones adaptive",
    "Rprop": "its steps have bounds of their own",
}
PER_CLASS = ("__dict__", "__weakref__")  # what is made anew for every class


class Scale(nn.Module):
    """A weight as a factor times what is stored.

    Args:
        factor: lam, above 0.
        multiplier: of the learning rate that it gives.
    """

    def __init__(self, factor: float, multiplier: float) -> None:
        super().__init__()
        self.factor = factor
        self.multiplier = multiplier
        self.handles: tuple[RemovableHandle, ...] = ()

    def forward(self, stored: Tensor) -> Tensor:
        """The weight."""
        return self.factor * stored

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is stored for a weight."""
        return weight / self.factor


def scale_parameters(
    model: nn.Module,
    multipliers: Mapping[str, float],
    kind: str | None = None,
    optimizer: Optimizer | None = None,
) -> dict[str, float]:
    """Store weights divided by a factor, so that one rate moves them at multiples of it.

    `module.weight` stays the weight in use, `state_dict` and `save_pretrained` write it under its
    own name, and `load_state_dict` takes it; `merge_parameters` makes plain parameters of all.

    With the optimizer given, training equals that of `parameter_groups` with `scale`: epsilon and
    weight decay go with the factor, for which its groups are split; make a scheduler afterwards.
    Without it epsilon acts as epsilon / lam; decoupled weight decay is that of the plain rate (not
    multiplied), coupled L2 that of 1 / lam^2 times its coefficient. In either case a global norm
    of gradients is that of the gradients of what is stored, lam times as large.

    Args:
        model: any module.
        multipliers: from a glob of parameters' names to the multiplier of their rate, above 0;
            the first pattern that matches decides. Parameters matched by none stay as they are.
        kind: of the optimizer: `sgd` (with momentum or without), lam = sqrt(multiplier), or
            `adaptive`, lam = multiplier. May be left out for an optimizer of torch.
        optimizer: made of the model's parameters, which remain the same objects; before its first
            step and before a scheduler.

    Returns:
        The factor lam of each parameter that was matched.

    Raises:
        UsageError: a pattern that matches nothing, a multiplier out of range, an optimizer that
            undoes the trick, is of the other kind, or has made steps; a recurrent layer, whose
            weights torch keeps twice; a kind that is not known.
        ConflictError: a tied weight, one that is re-parameterised already, or groups that a
            scheduler knows.
    """
    kind = _find_kind(kind, optimizer)
    for pattern, multiplier in multipliers.items():
        if not 0 < multiplier < math.inf:
            raise UsageError(f"{pattern!r}: a multiplier must be above 0, got {multiplier}")
    chosen = _choose(model, multipliers)
    if optimizer is not None:
        _check_optimizer(optimizer, chosen)
    scales: dict[nn.Parameter, Scale] = {}
    for name, (parameter, multiplier) in chosen.items():
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        scale = Scale(FACTORS[kind](multiplier), multiplier)
        first = not _scaled(module)
        parametrize.register_parametrization(module, attribute, scale)
        parameter.grad = None
        if first:
            scale.handles = (
                module.register_state_dict_post_hook(_write_weights),
                module.register_load_state_dict_pre_hook(_read_weights),
            )
        scales[parameter] = scale
    if optimizer is not None:
        _regroup(optimizer, scales)
    return {name: scales[parameter].factor for name, (parameter, _) in chosen.items()}


def merge_parameters(model: nn.Module) -> list[str]:
    """Make plain parameters of all that `scale_parameters` re-parameterised, bit for bit.

    They remain the same objects, but an optimizer's moments are those of what was stored: make a
    new one before training on.

    Args:
        model: a module, some of whose parameters are scaled.

    Returns:
        The names of the parameters.

    Raises:
        UsageError: none is scaled.
    """
    merged = []
    for path, module in list(model.named_modules()):
        scaled = _scaled(module)
        if scaled:
            _give_own_class(module)
        for attribute, chain, scale in scaled:
            stored = chain.original
            parametrize.remove_parametrizations(module, attribute)
            stored.grad = None
            for handle in scale.handles:
                handle.remove()
            merged.append(f"{path}.{attribute}".lstrip("."))
    if not merged:
        raise UsageError(f"no parameter of {type(model).__name__} is scaled")
    return merged


def _give_own_class(module: nn.Module) -> None:
    """A copy of a module shares its class, from which torch takes the weight's property away."""
    shared = type(module)
    own = {key: each for key, each in vars(shared).items() if key not in PER_CLASS}
    module.__class__ = type(shared.__name__, shared.__bases__, own)


def _scaled(module: nn.Module) -> list[tuple[str, Any, Scale]]:
    """The scaled tensors of a module itself: name, chain of parametrizations, scale."""
    chains = getattr(module, "parametrizations", {}).items()
    return [(name, chain, chain[0]) for name, chain in chains if isinstance(chain[0], Scale)]


def _find_kind(kind: str | None, optimizer: Optimizer | None) -> str:
    if kind is not None and kind not in FACTORS:
        raise UsageError(f"no kind {kind!r} of optimizers. {did_you_mean(kind, FACTORS)}")
    names = [each.__name__ for each in type(optimizer).__mro__]
    name = names[0]
    for each in names:
        if each in UNSUITABLE:
            raise UsageError(f"{name} undoes it: {UNSUITABLE[each]}; use parameter_groups")
    known = next((KIND_OF[each] for each in names if each in KIND_OF), kind)
    if known is None:
        what = "without the optimizer" if optimizer is None else f"nothing is known of {name}"
        raise UsageError(f"{what}: say its kind, 'sgd' or 'adaptive'")
    if kind not in (None, known):
        raise UsageError(f"{name} is {known!r}, not {kind!r}")
    return known


def _choose(
    model: nn.Module, multipliers: Mapping[str, float]
) -> dict[str, tuple[nn.Parameter, float]]:
    """The parameters that patterns match, each with its multiplier."""
    holders: dict[nn.Parameter, dict[tuple[int, str], str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owner, _, attribute = name.rpartition(".")
        places = holders.setdefault(parameter, {})
        places.setdefault((id(model.get_submodule(owner)), attribute), name)
    unmatched = set(multipliers)
    chosen: dict[str, tuple[nn.Parameter, float]] = {}
    for parameter, places in holders.items():
        names = list(places.values())
        plain = list(map(plain_name, names))
        matching = [key for key in multipliers if any(fnmatchcase(n, key) for n in plain)]
        if not matching:
            continue
        unmatched -= set(matching)
        if len(names) > 1:
            raise ConflictError(
                f"{plain[0]} is tied to {plain[1]}, and only one of them would be scaled; use "
                "parameter_groups, where they are one parameter"
            )
        if names != plain or ".parametrizations." in f".{names[0]}":
            raise ConflictError(f"{plain[0]} is re-parameterised already; merge it first")
        module = model.get_submodule(names[0].rpartition(".")[0])
        if isinstance(module, nn.RNNBase):
            raise UsageError(
                f"{names[0]}: torch keeps the weights of a {type(module).__name__} a second time; "
                "use parameter_groups"
            )
        chosen[names[0]] = parameter, multipliers[matching[0]]
    for pattern in unmatched:
        names = [plain_name(name) for name, _ in model.named_parameters()]
        near = nearest(pattern.strip("*"), names) or next(iter(names), "none")
        raise UsageError(f"{pattern!r} matches no parameter; names are such as {near!r}")
    return chosen


def _check_optimizer(
    optimizer: Optimizer, chosen: Mapping[str, tuple[nn.Parameter, float]]
) -> None:
    name = type(optimizer).__name__
    held = {each for group in optimizer.param_groups for each in group["params"]}
    for each, (parameter, _) in chosen.items():
        if parameter.requires_grad and parameter not in held:
            raise UsageError(f"{each} is not in {name}; make it of this model's parameters")
    if any("initial_lr" in group for group in optimizer.param_groups):
        raise ConflictError(
            f"a scheduler knows the groups of {name}, which have to be split; make it afterwards"
        )
    # Adagrad has a state, of step 0, from the start.
    if any(state and float(state.get("step", 1)) > 0 for state in optimizer.state.values()):
        raise UsageError(f"{name} has made steps with plain weights; scale before the first")
    for group in optimizer.param_groups:
        if group.get("initial_accumulator_value"):
            raise UsageError(f"{name}: initial_accumulator_value must be 0 for scaled weights")
        if group.get("weight_decay") and not any(
            each.__name__ in KIND_OF for each in type(optimizer).__mro__
        ):
            raise UsageError(
                f"whether the weight decay of {name} is decoupled is not known, and so not how to "
                "scale it; set weight_decay=0, or use parameter_groups"
            )


def _regroup(optimizer: Optimizer, scales: Mapping[nn.Parameter, Scale]) -> None:
    """Split groups by factor, and let epsilon and weight decay go with it.

    With phi's gradient lam times that of the weight, epsilon has to be lam times as large. Coupled
    L2 is part of that gradient: lam * (g + c * lam * phi), so lam^2 * c. Decoupled decay is as the
    rate, multiplied.
    """
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        names = group.get("param_names")
        parts: dict[tuple[float, float], dict[str, Any]] = {}
        for index, parameter in enumerate(group["params"]):
            scale = scales.get(parameter)
            factor, multiplier = (scale.factor, scale.multiplier) if scale else (1.0, 1.0)
            if (part := parts.get((factor, multiplier))) is None:
                part = parts[factor, multiplier] = {**group, "params": []}
                if names is not None:
                    part["param_names"] = []
                if "eps" in group:
                    part["eps"] = group["eps"] * factor
                if group.get("weight_decay"):
                    decoupled = group.get("decoupled_weight_decay", False)
                    part["weight_decay"] *= multiplier if decoupled else factor**2
            part["params"].append(parameter)
            if names is not None:
                part["param_names"].append(names[index])
        groups += parts.values()
    optimizer.param_groups[:] = groups


def _write_weights(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, local_metadata: Any
) -> None:
    """Weights under their own names, instead of what is stored."""
    for name, _, scale in _scaled(module):
        with torch.no_grad():
            stored = state_dict.pop(f"{prefix}parametrizations.{name}.original")
            state_dict[prefix + name] = scale(stored)


def _read_weights(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *others: Any
) -> None:
    """What is stored, from weights under their own names."""
    for name, _, scale in _scaled(module):
        if prefix + name in state_dict:
            stored = scale.right_inverse(state_dict.pop(prefix + name))
            state_dict[f"{prefix}parametrizations.{name}.original"] = stored
