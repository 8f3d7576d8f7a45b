"""Steps that are not made."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from zoo.errors import DivergedError

from .patterns import Patterns
from .tensors import Selection
from .transform import Step, Transform, Value


class FiniteGuard(Transform):
    """Skip the step when a gradient has NaN or infinity, and count.

    It checks gradients at its place in the chain, and those that `ClipValue` and `Sign` before it
    were given. It waits for a device once, and reads gradients only where no operation before it
    has measured their norms. All processes of a sharded model skip together. Reports `skipped`,
    1 or 0.

    Args:
        max_in_a_row: raise `DivergedError` after this many consecutive skipped steps; None for no
            limit.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.

    Attributes:
        skipped: number of steps skipped.
    """

    def __init__(
        self,
        max_in_a_row: int | None = None,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.max_in_a_row = max_in_a_row
        if max_in_a_row is not None:
            self.max_in_a_row = self.count("max_in_a_row", max_in_a_row)
        self.skipped = 0
        self.in_a_row = 0

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Check the gradients, and say whether to skip the step.

        Raises:
            DivergedError: too many consecutive steps were skipped.
        """
        order = next(iter(chosen.gradients.known_orders(chosen.indices)), 2.0)
        finite = is_finite([chosen.norms(order), *step.seen])
        if not finite:  # a sum of squares may overflow where no entry does
            finite = is_finite([chosen.norms(math.inf), *step.seen])
        self.in_a_row = 0 if finite else self.in_a_row + 1
        if not finite:
            self.skipped += 1
            step.skip = "not finite"
        if self.max_in_a_row is not None and self.in_a_row >= self.max_in_a_row:
            raise DivergedError(
                f"{self.in_a_row} consecutive steps had gradients with NaN or infinity; "
                "lower the learning rate, or start from a checkpoint before them"
            )
        return {"skipped": float(not finite)}

    def state_dict(self) -> dict[str, Any]:
        """The counters."""
        return {**super().state_dict(), "skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the counters."""
        super().load_state_dict(state)
        self.skipped, self.in_a_row = int(state["skipped"]), int(state["in_a_row"])


def is_finite(values: list[torch.Tensor]) -> bool:
    """Whether all numbers of some vectors are finite; waits for the device."""
    return bool(torch.cat(values).isfinite().all())
