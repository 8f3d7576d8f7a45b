"""The operations by the names that cards give them."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import UsageError
from zoo.training.tables import build

from .accumulation import Accumulate
from .clipping import AdaptiveClip, ClipGlobalNorm, ClipNorm, ClipValue
from .functions import Apply
from .guards import FiniteGuard
from .noise import Noise
from .projection import Project
from .shaping import Centralize, Freeze, Normalize, Scale, Sign
from .sparsity import Drop, TopK
from .transform import Transform

#: Every operation, `clip_norm` for `ClipNorm`.
OPERATIONS: dict[str, type[Transform]] = {
    kind.op: kind
    for kind in (
        ClipValue, ClipNorm, ClipGlobalNorm, AdaptiveClip, Normalize, Centralize, Sign, Noise,
        Scale, Freeze, Accumulate, Drop, TopK, Project, FiniteGuard, Apply,
    )
}  # fmt: skip


def build_operation(table: Mapping[str, Any]) -> Transform:
    """An operation from a card's table: `op`, and the arguments of its class.

    Raises:
        UsageError: naming the operation, the argument and what is known.
    """
    op = str(table.get("op"))
    kinds = {name: kind for name, kind in OPERATIONS.items() if kind.in_cards}
    if op in OPERATIONS and op not in kinds:
        raise UsageError(f"op {op!r} takes what a card cannot express; use it from Python")
    made: Transform = build(table, "op", kinds, "operation on gradients")
    return made


def build_operations(tables: Sequence[Mapping[str, Any]]) -> list[Transform]:
    """The operations of a card's `[[train.gradients]]`, in order.

    Raises:
        UsageError: naming the operation and the setting.
    """
    return [build_operation(table) for table in tables]
