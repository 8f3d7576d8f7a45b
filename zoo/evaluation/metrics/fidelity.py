"""Samples compared with real images in a classifier's features.

Every metric here is named together with its features, never plain "FID": numbers in other
features, or of another number of images, cannot be compared. The floor of each is the same
metric with as many real train images in place of the samples.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.models.images.entropy import neighbor_distances

from .features import feature_sets, sampling_options

ROWS = 1000  # compared at once
DRAWN, CHAINED = 10_000, 500  # samples unless a number is given, the second of chains


def frechet_distance(
    subject: Subject,
    *,
    sampler: str | None = None,
    temperature: float | None = None,
    steps: int | None = None,
    jump: bool | None = None,
    features: str | None = None,
    num_images: int | None = None,
) -> Outcome:
    """Frechet distance between Gaussians fitted to the features of samples and of images.

    Args:
        subject: a model that draws, and the images it should match.
        sampler: "prior", or "gaussian" or "mixture" if they were fitted; of an energy "generator"
            where there is one, "langevin", "metropolis" or "hamiltonian". None is the model's own.
        temperature: of the sampler; None is 1, or the schedule of chains.
        steps: of chains; None is the model's own number.
        jump: denoise once at the end, of an energy; None does so for chains. Results that differ
            in it alone are of the same chains.
        features: id or folder of the classifier; None is the one for the data set.
        num_images: n, of samples and of images each; at most what the splits hold. None is 10,000,
            or 500 of chains, which take minutes for those. The distance falls with n, so state n
            with it.

    Raises:
        UsageError: if there are no features for the data set or the classifier does not fit.
    """
    options = sampling_options(
        subject, sampler=sampler, temperature=temperature, steps=steps, jump=jump
    )
    return _compare_sets(subject, frechet, options, features, num_images)


def _neighborhood_metric(name: str, doc: str) -> Callable[..., Outcome]:
    """A metric that reads one field of `Neighborhoods`; all four cost one comparison."""

    def metric(
        subject: Subject,
        *,
        sampler: str | None = None,
        temperature: float | None = None,
        steps: int | None = None,
        jump: bool | None = None,
        features: str | None = None,
        num_images: int | None = None,
        num_neighbors: int = 5,
    ) -> Outcome:
        check_count("num_neighbors", num_neighbors)
        context = subject.context

        def compare(real: Tensor, other: Tensor) -> float:
            # The context's cache keeps the sets alive, so `id` identifies them.
            key = ("neighborhoods", id(real), id(other), num_neighbors)
            found = context.once(key, lambda: neighborhoods(real, other, num_neighbors))
            value: float = getattr(found, name)
            return value

        drawn = sampling_options(
            subject, sampler=sampler, temperature=temperature, steps=steps, jump=jump
        )
        outcome = _compare_sets(subject, compare, drawn, features, num_images)
        options = {**outcome.options, "num_neighbors": num_neighbors}
        return Outcome(outcome.value, outcome.floor, options)

    metric.__name__ = metric.__qualname__ = name
    metric.__doc__ = f"{doc} k is `num_neighbors`; other options as in `frechet_distance`."
    return metric


precision = _neighborhood_metric(
    "precision",
    "Share of samples within k-neighbour balls of images (Kynkaanniemi, arXiv:1904.06991).",
)
recall = _neighborhood_metric(
    "recall",
    "Share of images within k-neighbour balls of samples (Kynkaanniemi, arXiv:1904.06991).",
)
density = _neighborhood_metric(
    "density",
    "Balls of images that a sample lies in, over k; may exceed 1 (Naeem, arXiv:2002.09797).",
)
coverage = _neighborhood_metric(
    "coverage",
    "Share of images whose k-neighbour ball holds a sample (Naeem, arXiv:2002.09797).",
)


def frechet(first: Tensor, second: Tensor) -> float:
    r"""Frechet (2-Wasserstein) distance, squared, between Gaussians fitted to two sets.

    .. math:: \|\mu_1 - \mu_2\|^2 + \mathrm{tr}(S_1 + S_2) - 2\,\mathrm{tr}(S_1 S_2)^{1/2}

    With :math:`S = A A^T` the last trace is the sum of the singular values of
    :math:`A_1^T A_2`, which needs no root of a matrix and keeps all digits where covariances are
    singular.

    Args:
        first: features `(n, d)`, n at least 2.
        second: features `(m, d)`.

    Returns:
        0 or more, in squared units of the features.
    """
    means, roots = [], []
    for points in (first.double(), second.double()):
        mean = points.mean(0)
        # The singular values of the centred points are the roots of the covariance's eigenvalues.
        _, root, axes = torch.linalg.svd(points - mean, full_matrices=False)
        means.append(mean)
        roots.append(root[:, None] * axes / max(len(points) - 1, 1) ** 0.5)
    cross = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    distance = (means[0] - means[1]).square().sum()
    spread = roots[0].square().sum() + roots[1].square().sum()
    return max(float(distance + spread - 2 * cross), 0.0)


@dataclass(frozen=True)
class Neighborhoods:
    """The four metrics that compare neighbourhoods, for one pair of sets."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighborhoods(real: Tensor, other: Tensor, num_neighbors: int = 5) -> Neighborhoods:
    """Precision, recall, density and coverage of one set against another.

    Args:
        real: features of images, `(n, d)`, n above k.
        other: features of samples, `(m, d)`, m above k.
        num_neighbors: k.

    Raises:
        UsageError: if a set has no more points than k.
    """
    if num_neighbors >= min(len(real), len(other)):
        raise UsageError(
            f"num_neighbors is {num_neighbors}, which needs more than the "
            f"{min(len(real), len(other))} images there are; use a larger split"
        )
    real, other = real.double(), other.double()
    real_radii = neighbor_distances(real, num_neighbors)[:, -1]
    other_radii = neighbor_distances(other, num_neighbors)[:, -1]
    inside_any = inside = 0
    covered, found = torch.zeros(2, len(real), dtype=torch.bool)
    for rows, distances in _distances(other, real):
        hits = distances <= real_radii
        inside_any += int(hits.any(1).sum())
        inside += int(hits.sum())
        covered |= hits.any(0)
        found |= (distances <= other_radii[rows, None]).any(0)
    return Neighborhoods(
        precision=inside_any / len(other),
        recall=found.double().mean().item(),
        density=inside / (num_neighbors * len(other)),
        coverage=covered.double().mean().item(),
    )


def _distances(points: Tensor, references: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Distances from a slice of the points at a time to all references, `(rows, m)`."""
    center = references.mean(0)
    points, references = points - center, references - center
    squares = references.square().sum(1)
    for start in range(0, len(points), ROWS):
        rows = slice(start, start + ROWS)
        chunk = points[rows]
        squared = chunk.square().sum(1, keepdim=True) + squares - 2 * chunk @ references.T
        # The product loses the last digits of small distances; a point must count as within the
        # ball whose edge it defines.
        squared -= 1e-12 * squares.max()
        yield rows, squared.clamp(min=0).sqrt()


def _compare_sets(
    subject: Subject,
    compare: Callable[[Tensor, Tensor], float],
    options: Mapping[str, Any],
    features: str | None,
    num_images: int | None,
) -> Outcome:
    """Compare the images with the samples and, for the floor, with train images."""
    if num_images is None:
        num_images = CHAINED if "steps" in options else DRAWN
    sets = feature_sets(subject, options=options, features=features, num_images=num_images)
    floor = None if sets.train is None else compare(sets.real, sets.train)
    used = {**options, "features": sets.features, "num_images": len(sets.real)}
    return Outcome(compare(sets.real, sets.samples), floor, used)
