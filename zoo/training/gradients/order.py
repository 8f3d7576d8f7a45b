"""Which operation may come after which."""

from collections.abc import Callable, Sequence
from itertools import combinations

from zoo.errors import UsageError

from .accumulation import Accumulate
from .clipping import ClipGlobalNorm
from .guards import FiniteGuard
from .projection import Project
from .transform import Transform

Rule = tuple[Callable[[Transform, Transform], bool], str]

#: What an earlier and a later operation must not be, and why.
RULES: tuple[Rule, ...] = (
    (
        lambda earlier, later: isinstance(later, Project) and not isinstance(earlier, FiniteGuard),
        "gradients are projected inside backward, before all else; put {later} first",
    ),
    (
        lambda earlier, later: (
            isinstance(later, Accumulate) and not isinstance(earlier, Project | FiniteGuard)
        ),
        "a mean over micro-batches comes before what is done with it; put {later} first",
    ),
    (
        lambda earlier, later: isinstance(earlier, ClipGlobalNorm) and later.lengthens,
        "gradients may be longer than the global clip allows; put {earlier} last",
    ),
)


def check(transforms: Sequence[Transform], otherwise: str = "") -> None:
    """Refuse an order that makes no sense.

    Args:
        transforms: in their order.
        otherwise: what else can be done about it, for the message.

    Raises:
        UsageError: naming the two operations.
    """
    for earlier, later in combinations(transforms, 2):
        for forbidden, reason in RULES:
            if forbidden(earlier, later):
                raise UsageError(
                    f"{later!r} comes after {earlier!r}: "
                    f"{reason.format(earlier=repr(earlier), later=repr(later))}{otherwise}"
                )


def check_counts(transforms: Sequence[Transform]) -> None:
    """Refuse what a chain can have only once.

    Raises:
        UsageError: naming it.
    """
    for kind in (Accumulate, Project):
        if len(found := [each for each in transforms if isinstance(each, kind)]) > 1:
            raise UsageError(f"a chain can have one {kind.__name__}, got {found}; leave one out")
    if len({id(each) for each in transforms}) < len(transforms):
        raise UsageError("a chain has the same object twice; make one for each place")
