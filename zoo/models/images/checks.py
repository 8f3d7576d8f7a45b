"""Checks of configurations. Each island has a copy, since its code travels to the Hub alone."""

import math


def one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `ValueError` naming the field, the value and what is known, unless value is known."""
    if value not in known:
        raise ValueError(f"{field} must be one of {', '.join(known)}; got {value!r}")


def at_least(field: str, value: float, minimum: float) -> None:
    """Raise `ValueError` naming field, value and bound, unless value is finite and reaches it."""
    if not minimum <= value < math.inf:
        raise ValueError(f"{field} must be at least {minimum} and finite, got {value}")
