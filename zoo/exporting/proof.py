"""The proof of an export: what its programs give, beside what PyTorch gives."""

import copy
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ToleranceError
from zoo.exporting.graph import LENGTH, Graph, tensors_of
from zoo.exporting.programs import silently
from zoo.exporting.targets import TOLERANCE

BATCHES, LENGTHS = (1, 2, 5), (4, 11, 32)


def difference(found: Tensor, wanted: Tensor) -> float:
    """How far two tensors are apart, relative to the largest of what is wanted.

    Infinities count as different unless both have them; of whole numbers and of truth values the
    share of those that differ counts.

    Example:
        >>> difference(torch.tensor([1.0, 2.1]), torch.tensor([1.0, 2.0]))  # doctest: +ELLIPSIS
        0.0499...
    """
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.numel():
        return 0.0
    if not wanted.is_floating_point():
        return (found != wanted).double().mean().item()
    finite = wanted.isfinite()
    if not torch.equal(finite, found.isfinite()) or (found[~finite] != wanted[~finite]).any():
        return float("inf")
    distance = (found[finite].double() - wanted[finite].double()).abs()
    scale = wanted[finite].double().abs().max().item() if distance.numel() else 0.0
    return distance.max().item() / max(scale, 1e-12) if distance.numel() else 0.0


def sizes(graph: Graph) -> list[tuple[int, int]]:
    """Numbers of cases and of tokens that are tried; the first is one case, alone."""
    lengths: list[int] = [1]
    if any(LENGTH in axes.values() for axes in graph.axes.values() if isinstance(axes, dict)):
        longest = graph.max_length or max(LENGTHS)
        lengths = sorted({min(length, longest) for length in LENGTHS})
    return [(batch, lengths[place % len(lengths)]) for place, batch in enumerate(BATCHES)]


def compare(runner: Any, graph: Graph) -> dict[str, Any]:
    """The largest differences of a program's outputs, over several sizes of batches and texts.

    Args:
        runner: called with inputs by name.
        graph: that the program was made of.

    Returns:
        By output, and the sizes that were tried.
    """
    worst: dict[str, float] = {}
    for batch, length in sizes(graph):
        inputs = graph.examples(batch, length, seed=batch)
        with torch.no_grad(), silently():
            found = tensors_of(runner(**copy.deepcopy(inputs)))
            wanted = tensors_of(graph.module(**inputs))
        for name, tensor in wanted.items():
            each = difference(found[name], tensor) if name in found else float("inf")
            worst[name] = max(worst.get(name, 0.0), each)
    return {"sizes": [list(size) for size in sizes(graph)], "relative_difference": worst}


def check(name: str, compared: dict[str, Any]) -> None:
    """Raise unless a program gives what PyTorch gives.

    Raises:
        ToleranceError: an output is further off than `TOLERANCE`.
    """
    for output, off in compared["relative_difference"].items():
        if not off <= TOLERANCE:
            raise ToleranceError(
                f"the {name} gives {output} {off:.1e} away from PyTorch's, and at most "
                f"{TOLERANCE:.0e} is allowed; nothing was written: run this model in PyTorch"
            )
