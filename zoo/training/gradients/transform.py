"""What every operation on gradients has: patterns, checked settings, a name, a state."""

import hashlib
import inspect
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.training.around.hooks import check_count, check_number

from . import patterns
from .tensors import Gradients, Selection

Value = Tensor | float


@dataclass
class Step:
    """One run of a chain: what its operations share.

    Attributes:
        named: every parameter by name, with or without a gradient.
        gradients: those that are there.
        closing: whether a window of accumulation ends now, full or not.
        seen: largest magnitudes of gradients that an operation made finite, for a later guard.
        skip: why the optimizer must not step; empty if it may.
    """

    named: Sequence[tuple[str, nn.Parameter]]
    gradients: Gradients
    closing: bool = False
    seen: list[Tensor] = field(default_factory=list)
    skip: str = ""
    seed: int = 0
    _generators: dict[torch.device, torch.Generator] = field(default_factory=dict)

    def reseed(self, *parts: int) -> None:
        """Begin the random numbers of one operation; they follow from the parts alone."""
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
        self.seed = int.from_bytes(digest, "little")
        self._generators.clear()

    def generator(self, device: torch.device) -> torch.Generator:
        """Random numbers of the running operation on a device, the same in every process."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]


class Transform:
    """An operation on gradients, in place, between backward and step.

    Args:
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.

    Attributes:
        op: its name in a card.
        in_cards: whether a card can name it.
        lengthens: whether a gradient may be longer after it than before.
        hides: whether it makes infinities finite, which a guard after it could not see.
        steps: how often it ran.

    Raises:
        UsageError: for patterns that are not text.
    """

    op: ClassVar[str]
    in_cards: ClassVar[bool] = True
    lengthens: ClassVar[bool] = False
    hides: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        cls.op = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(
        self, *, only: patterns.Patterns = None, exclude: patterns.Patterns = None
    ) -> None:
        self.only = patterns.as_tuple(type(self).__name__, "only", only)
        self.exclude = patterns.as_tuple(type(self).__name__, "exclude", exclude)
        self.steps = 0

    def choose(self, names: patterns.Names) -> Collection[str] | None:
        """The names it is for; None for all.

        Raises:
            UsageError: a pattern matches nothing.
        """
        if not self.only and not self.exclude:
            return None
        return patterns.choose(repr(self), names, self.only, self.exclude)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Change the chosen gradients; what it did, in numbers."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of another run's operation."""
        self.steps = int(state["steps"])

    def check(self, name: str, value: Any, valid: bool, wanted: str) -> None:
        """Raise `UsageError` naming a setting, what is wanted and what was given."""
        if not valid:
            raise UsageError(f"{type(self).__name__}: {name} must be {wanted}, got {value!r}")

    def number(
        self, name: str, value: Any, above: float = -math.inf, below: float = math.inf
    ) -> float:
        """A setting that is a number between two limits, neither of which it reaches."""
        return float(check_number(f"{type(self).__name__}: {name}", value, above, below, "()"))

    def count(self, name: str, value: Any) -> int:
        """A setting that is a whole number of at least 1."""
        return check_count(f"{type(self).__name__}: {name}", value)

    def __repr__(self) -> str:
        shown = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if name in ("only", "exclude"):
                if value:
                    shown.append(f"{name}={value[0] if len(value) == 1 else list(value)!r}")
            elif value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
