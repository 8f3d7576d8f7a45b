"""How near an array is to a recorded one, and how near it has to be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zoo.errors import IntegrityError, ToleranceError

TOLERANCE = (
    1e-4  # of the largest magnitude, at least of 1: ten times what two TensorFlows differ by
)


@dataclass(frozen=True)
class Parity:
    """One output compared with its record.

    Attributes:
        name: of the recorded array, with the precision it was computed in.
        max_absolute: largest absolute difference.
        max_relative: the same over the largest recorded magnitude.
        tolerance: what `max_absolute` may be.
        rule: why so much, in words; empty where it is `TOLERANCE`.
    """

    name: str
    max_absolute: float
    max_relative: float
    tolerance: float
    rule: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is inside the tolerance; a NaN is not."""
        return self.max_absolute <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ok": self.ok}


def require(parity: list[Parity], advice: str = "") -> None:
    """Raise `ToleranceError` naming every output that is off.

    Args:
        parity: of every output.
        advice: what to do; empty asks for the options.
    """
    off = [
        f"{p.name} by {p.max_absolute:.2e} (allowed {p.tolerance:.2e}"
        + (f": {p.rule})" if p.rule else ")")
        for p in parity
        if not p.ok
    ]
    if off:
        raise ToleranceError(
            f"the result differs from the recorded outputs: {'; '.join(off)}. "
            + (advice or "Were the model's options given (--option KEY=VALUE)?")
        )


def compare_arrays(
    name: str, computed: Any, recorded: Any, tolerance: float | None = None, why: str = ""
) -> Parity:
    """Compare an output with its record, both NumPy arrays; infinities have to be equal.

    Args:
        name: of the recorded array.
        computed: by the result.
        recorded: by the original.
        tolerance: of the largest magnitude; None is `TOLERANCE`, of at least 1.
        why: the tolerance is so much, in words.

    Raises:
        IntegrityError: they are of different shapes.
    """
    import numpy as np

    if computed.shape != recorded.shape:
        raise IntegrityError(
            f"{name}: the model gives the shape {computed.shape}, recorded is {recorded.shape}; "
            "record what the original's predict gives"
        )
    finite = recorded[np.isfinite(recorded)]
    largest = float(np.abs(finite).max(initial=0))
    apart = computed != recorded  # minus infinity is equal to itself
    difference = float(np.abs(computed[apart] - recorded[apart]).max(initial=0))
    allowed = TOLERANCE * max(1.0, largest) if tolerance is None else tolerance * (largest or 1.0)
    rule = f"{tolerance:.0e} of the largest value ({why})" if why else ""
    return Parity(name, difference, difference / (largest or 1.0), allowed, rule)
