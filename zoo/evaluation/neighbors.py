"""The images nearest to an image in a model's representation."""

import torch
from torch import Tensor
from torch.nn import functional

from zoo.errors import UsageError
from zoo.models.images.entropy import nearest_neighbors

DISTANCES = ("cosine", "l2")


def check_distance(by: str) -> None:
    """Raise `UsageError` for an unknown distance."""
    if by not in DISTANCES:
        raise UsageError(f"no distance {by!r}; it is one of {', '.join(DISTANCES)}")


@torch.no_grad()
def nearest(
    queries: Tensor, number: int, references: Tensor | None = None, *, by: str = "cosine"
) -> tuple[Tensor, Tensor]:
    """The nearest of some representations, or the nearest other queries where none are given.

    Args:
        queries: `(n, size)`.
        number: how many, below n, or at most the number of references.
        references: `(m, size)`.
        by: `cosine`, one minus the cosine of the angle, from 0 to 2; `l2`, the Euclidean distance.

    Returns:
        Indices and distances, `(n, number)` each, nearest first.

    Raises:
        UsageError: for an unknown distance, or fewer candidates than neighbours.
    """
    check_distance(by)
    candidates = len(queries) - 1 if references is None else len(references)
    if number > candidates:
        raise UsageError(
            f"{number} neighbours need as many other images, and there are {candidates}; "
            f"ask for fewer with -n, or name a data set with --data"
        )
    if by == "cosine":  # the order of distances between unit vectors is that of the angles
        queries = functional.normalize(queries)
        references = None if references is None else functional.normalize(references)
    indices = nearest_neighbors(queries, number, references)
    found = (queries if references is None else references)[indices]
    distances = (found - queries[:, None]).square().sum(-1)
    return indices, distances / 2 if by == "cosine" else distances.sqrt()
