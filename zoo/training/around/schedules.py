"""Schedules of a learning rate that torch and transformers do not have."""

from collections.abc import Callable, Mapping

from zoo.errors import UsageError

from .hooks import check_number


def piecewise_linear(points: Mapping[int, float]) -> Callable[[int], float]:
    """A multiplier of the learning rate that is linear between points, for `LambdaLR`.

    It rises from 0 at step 0 to the first point, unless that is at step 0, and keeps the value of
    the last point after it (`lr_schedule` of bert4keras's `extend_with_piecewise_linear_lr`).

    Args:
        points: step, from 0 on, to multiplier, at least 0.

    Returns:
        The multiplier of a step. A plain function: `LambdaLR` does not save it, so a resumed run
        gives the same points again.

    Raises:
        UsageError: no points, a step that is no whole number, or a multiplier below 0.

    Example:
        >>> multiplier = piecewise_linear({4: 1.0, 10: 0.1})
        >>> [round(multiplier(step), 3) for step in (0, 1, 4, 7, 10, 99)]
        [0.0, 0.25, 1.0, 0.55, 0.1, 0.1]
    """
    if not points:
        raise UsageError("a piecewise-linear schedule has no points; give {step: multiplier}")
    for step, value in points.items():
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise UsageError(f"step {step!r} of the schedule is no whole number of at least 0")
        check_number(f"the multiplier at step {step}", value, 0, float("inf"), "[)")
    corners = sorted(({0: 0.0} | dict(points)).items())

    def multiplier(step: int) -> float:
        before = max(corner for corner in corners if corner[0] <= max(step, 0))
        after = min((corner for corner in corners if corner[0] > step), default=before)
        if after is before:
            return before[1]
        share = (step - before[0]) / (after[0] - before[0])
        return before[1] + share * (after[1] - before[1])

    return multiplier
