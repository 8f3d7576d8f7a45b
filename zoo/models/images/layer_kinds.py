"""Every computation of layers by its name: what `kind` means in a configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from .layer_attention import COMPUTATIONS as ATTENTION
from .layer_convolutions import COMPUTATIONS as CONVOLUTIONS
from .layer_norms import COMPUTATIONS as NORMS
from .layer_operations import COMPUTATIONS as OPERATIONS
from .layer_recurrent import COMPUTATIONS as RECURRENT
from .layer_shapes import COMPUTATIONS as SHAPES


def time_distributed(
    weights: Mapping[str, Tensor],
    options: Mapping[str, Any],
    x: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """A layer at every step of a sequence `(B, T, ...)`; a mask `(B, T, S)` is of inner steps."""
    record = options["layer"]
    more = {} if mask is None else {"mask": mask.flatten(0, 1)}
    found = COMPUTATIONS[record["kind"]](weights, record, x.flatten(0, 1), **more)
    outputs = found if isinstance(found, tuple) else (found,)
    return tuple(one.unflatten(0, x.shape[:2]) for one in outputs)


#: Each takes weights by name, options, tensors, and where one is there a mask of steps.
COMPUTATIONS: dict[str, Callable[..., Any]] = {
    **SHAPES,
    **CONVOLUTIONS,
    **NORMS,
    **RECURRENT,
    **ATTENTION,
    **OPERATIONS,
    "time_distributed": time_distributed,
}

#: Those that take whole numbers as they are.
OF_IDS = {"embedding", "mask_of_ids"}
