"""Rules for parameters: which ones they select, and what they set."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from torch import nn

from zoo.errors import UsageError
from zoo.hints import did_you_mean

from .depth import Place, is_norm

#: What a parameter can be. `norm` is any vector or scalar that is no bias, `matrix` a weight of
#: two dimensions in a layer, `head` a weight above the layers, `other` the rest (convolutions).
KINDS = ("bias", "norm", "embedding", "matrix", "head", "other")
#: Kinds without weight decay, unless a rule sets one.
WITHOUT_DECAY = ("bias", "norm", "embedding")
SETTINGS = ("scale", "weight_decay", "freeze", "optimizer")
ModuleClass: TypeAlias = type[nn.Module]
TABLE = re.compile(r"emb|token|(^|_)pos(_|$)")  # tables that are parameters, not modules
STORED = re.compile(r"(^|\.)parametrizations\.(\w+)\.original$")


@dataclass(frozen=True)
class Entry:
    """What is known of a parameter before any rule.

    Attributes:
        name: its first name, as if it were not re-parameterised.
        names: all of them; several where weights are tied.
        parameter: the tensor.
        owners: modules that it lies in, the outermost first, for each of its names.
        place: its depth.
        kind: one of `KINDS`.
    """

    name: str
    names: tuple[str, ...]
    parameter: nn.Parameter
    owners: tuple[nn.Module, ...]
    place: Place
    kind: str


@dataclass(frozen=True)
class Rule:
    """What to set for which parameters: those that every given selector matches.

    Args:
        pattern: glob of parameters' names; `*` also stands for dots.
        type: a class, or its name, of a module that the parameter lies in.
        depth: a depth or several, as `describe()` shows them (of every tower).
        kind: one of `KINDS`.
        where: any test of an `Entry` (its name, parameter, place, kind).
        scale: factor of the learning rate, above 0.
        weight_decay: instead of the default.
        freeze: True: left out of all groups, `requires_grad` off and no gradient, so that no
            optimizer moves or decays it. False: trained whatever later rules say, and even if
            `requires_grad` was off.
        optimizer: a name by which `ParameterGroups.split` gathers groups.

    Raises:
        UsageError: no selector, no setting, or a value out of range.
    """

    pattern: str | None = None
    _: KW_ONLY
    type: ModuleClass | str | None = None
    depth: int | Collection[int] | None = None
    kind: str | None = None
    where: Callable[[Entry], bool] | None = None
    scale: float | None = None
    weight_decay: float | None = None
    freeze: bool | None = None
    optimizer: str | None = None

    def __post_init__(self) -> None:
        selectors = ("pattern", "type", "depth", "kind", "where")
        for names, what in ((selectors, "says for which parameters"), (SETTINGS, "sets anything")):
            if all(getattr(self, name) is None for name in names):
                raise UsageError(f"{self} needs something that {what}: {', '.join(names)}")
        if self.kind not in (None, *KINDS):
            raise UsageError(f"{self}: no kind {self.kind!r}. {did_you_mean(self.kind, KINDS)}")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise UsageError(f"{self}: scale must be above 0; freeze=True stops a parameter")
        if self.weight_decay is not None and not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"{self}: weight_decay must not be below 0")

    @classmethod
    def of(cls, table: "Rule | Mapping[str, Any]") -> "Rule":
        """A rule from a plain table, `{"pattern": "*embeddings*", "scale": 0.1}`.

        Raises:
            UsageError: a key that no rule has.
        """
        if isinstance(table, cls):
            return table
        if not isinstance(table, Mapping):
            raise UsageError(f"{table!r} is no rule; write Rule(...), or a table of its values")
        known = [each.name for each in fields(cls)]
        for key in table:
            if key not in known:
                raise UsageError(f"a rule has no {key!r}. {did_you_mean(key, known)}")
        return cls(**table)

    def __str__(self) -> str:
        words = [] if self.pattern is None else [repr(self.pattern)]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if value is not None:
                shown = getattr(value, "__name__", None) or repr(value)
                words.append(f"{each.name}={shown}")
        return f"Rule({', '.join(words)})"

    def matches(self, entry: Entry) -> bool:
        """Whether the rule selects a parameter."""
        if self.pattern is not None and not any(fnmatchcase(n, self.pattern) for n in entry.names):
            return False
        if self.type is not None and not any(self._is_type(each) for each in entry.owners):
            return False
        if self.depth is not None:
            depths = (self.depth,) if isinstance(self.depth, int) else self.depth
            if entry.place.depth not in depths:
                return False
        if self.kind is not None and entry.kind != self.kind:
            return False
        return self.where is None or bool(self.where(entry))

    def _is_type(self, module: nn.Module) -> bool:
        if isinstance(self.type, str):
            return any(each.__name__ == self.type for each in type(module).__mro__)
        return isinstance(module, self.type)  # type: ignore[arg-type]


#: Two-dimensional weights of layers for `torch.optim.Muon`, everything else for another optimizer.
MUON = (Rule(kind="matrix", optimizer="muon"),)


def plain_name(name: str) -> str:
    """A parameter's name without the traces of a re-parameterisation."""
    return STORED.sub(r"\1\2", name)


def entries(model: nn.Module, places: Mapping[nn.Parameter, Place]) -> Iterator[Entry]:
    """Every parameter of a model, once, in the model's order."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    for parameter, found in names.items():
        owners = []
        for name in found:
            parts = name.split(".")[:-1]
            owners += [model.get_submodule(".".join(parts[:i])) for i in range(len(parts) + 1)]
        plain = tuple(map(plain_name, found))
        place = places[parameter]
        holders = [model.get_submodule(each.rpartition(".")[0]) for each in plain]
        kind = _kind(parameter, plain[0].rpartition(".")[2], holders, place)
        yield Entry(plain[0], plain, parameter, tuple(owners), place, kind)


def _kind(parameter: nn.Parameter, name: str, holders: list[nn.Module], place: Place) -> str:
    if "bias" in name:
        return "bias"
    if any(isinstance(each, nn.Embedding) for each in holders) or TABLE.search(name):
        return "embedding"
    if parameter.ndim <= 1 or any(is_norm(each) for each in holders):
        return "norm"
    if place.head:
        return "head"
    return "matrix" if parameter.ndim == 2 and place.layer else "other"
