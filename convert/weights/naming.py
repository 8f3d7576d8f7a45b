"""How a checkpoint calls its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.weights.ops import KEEP, Op, shape_after

if TYPE_CHECKING:
    from convert.families.base import Settings

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Naming:
    """How a checkpoint calls its tensors.

    Attributes:
        kind: "tensorflow", where names mean something; "keras", where a layer's name and the
            place among its weights do (`MLM-Norm#0`); "order", where only the order does.
        names: the name that rows use -> the name as stored.
        layers: of "order": each layer's tensors, as stored.
        notes: how names were told, where they do not tell it themselves.
        ops: of a dialect: the name that rows use -> what happens before the row's operation.
        dropped: of a dialect: names as stored that it leaves out, and why.
        config: of a dialect: what it changes in the legacy configuration, see `Dialect.config`.
        averaged: where averages are taken in place of the weights: all of them, as stored.
        heads: of a dialect: how many attention heads there are, where the tensors tell.
        result: of a dialect: what it changes in the result's, see `Dialect.result`.
        family: of a dialect: the family that the configuration says, see `Dialect.family`.
        dialect: its name; empty where names are the original's or bert4keras's.
    """

    kind: str
    names: dict[str, str]
    layers: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    ops: Mapping[str, Op] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    config: Callable[[Mapping[str, Any], Shapes], dict[str, Any]] | None = None
    averaged: frozenset[str] = frozenset()
    result: Callable[[dict[str, Any], Settings], dict[str, Any]] | None = None
    heads: int | None = None
    family: Callable[[Mapping[str, Any]], str | None] | None = None
    dialect: str = ""

    def op(self, name: str) -> Op:
        """What happens to the tensor that rows call so, before the row's own operation."""
        return self.ops.get(name, KEEP)

    def shapes(self, tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """The shapes that rows find, by the names that they use.

        Args:
            tensors: by stored name; their `shape` is looked at.
        """
        return {
            name: shape_after(self.op(name), tuple(tensors[stored].shape))
            if name in self.ops
            else tuple(tensors[stored].shape)
            for name, stored in self.names.items()
        }
