"""One graph of a model: what is traced, examples of what it reads, which of its axes are free."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

BATCH, LENGTH = "batch", "length"
#: What a graph computes of a model and inputs by name.
Compute = Callable[..., Any]
#: Draws what a graph reads: number of cases, number of tokens, source of random numbers.
Draw = Callable[[int, int, torch.Generator], dict[str, Any]]
#: Names of the axes of one input that may be of any size, by their numbers.
Axes = Mapping[int, str]


class Computing(nn.Module):
    """A function of a model as a module, which is what is traced."""

    def __init__(self, model: Any, compute: Compute) -> None:
        super().__init__()
        self.model, self.compute, self.config = model, compute, model.config

    def forward(self, **inputs: Any) -> Any:
        """What the function makes of inputs by name."""
        return self.compute(self.model, **inputs)


@dataclass(frozen=True)
class Graph:
    """One graph of a model.

    Attributes:
        name: of its file, without the ending.
        module: what is traced; called with inputs by name.
        draw: of what it reads; the same numbers of the same generator.
        axes: the free axes of each input; of a cache a list for each of its tensors.
        max_length: of texts, in tokens; None where nothing bounds it.
    """

    name: str
    module: nn.Module
    draw: Draw
    axes: Mapping[str, Axes | Sequence[Axes]]
    max_length: int | None = None

    def examples(self, batch: int, length: int, seed: int = 0) -> dict[str, Any]:
        """What it reads, drawn anew: `batch` cases of `length` tokens, where there are tokens."""
        return self.draw(batch, length, torch.Generator().manual_seed(seed))

    def dynamic_shapes(self) -> dict[str, Any]:
        """The axes as `torch.export` takes them: an axis that a model fixes is an error there."""

        def dims(axes: Axes) -> dict[int, Any]:
            return {axis: torch.export.Dim.DYNAMIC for axis in axes}

        return {
            name: dims(axes) if isinstance(axes, Mapping) else list(map(dims, axes))
            for name, axes in self.axes.items()
        }


def of_batch(name: str, model: Any, compute: Compute, given: str, draw: Draw) -> Graph:
    """A graph of one input, whose first axis is the batch."""
    return Graph(name, Computing(model, compute), draw, {given: {0: BATCH}})


def uniform(name: str, shape: Sequence[int]) -> Draw:
    """Numbers in [0, 1), `(batch, *shape)`."""
    return lambda batch, _, chance: {name: torch.rand((batch, *shape), generator=chance)}


def normal(name: str, shape: Sequence[int]) -> Draw:
    """Standard normal numbers, `(batch, *shape)`."""
    return lambda batch, _, chance: {name: torch.randn((batch, *shape), generator=chance)}


def whole(name: str, shape: Sequence[int], count: int) -> Draw:
    """Whole numbers from 0 to `count - 1`, `(batch, *shape)`."""
    return lambda batch, _, chance: {name: torch.randint(count, (batch, *shape), generator=chance)}


def tensors_of(output: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors of a model's output by dotted names; caches and what is None are left out."""
    if isinstance(output, Tensor):
        return {name: output}
    named: Iterable[tuple[Any, Any]] = output.items() if isinstance(output, Mapping) else ()
    if isinstance(output, tuple | list):
        named = ((str(place), each) for place, each in enumerate(output))
    return {
        path: tensor
        for key, value in named
        for path, tensor in tensors_of(value, f"{name}.{key}" if name else str(key)).items()
    }
