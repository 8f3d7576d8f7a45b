"""The table of layer kinds: Keras 2's class -> what it computes, its shapes and its weights."""

from convert.layers.kinds import (
    attention,
    convolution,
    elementwise,
    merging,
    normalizing,
    pooling,
    recurrent,
    shaping,
)
from convert.layers.rows import Kind

TABLES = (
    elementwise, convolution, pooling, shaping, merging, normalizing, recurrent, attention,
)  # fmt: skip

KINDS: dict[str, Kind] = {name: kind for module in TABLES for name, kind in module.TABLE.items()}
