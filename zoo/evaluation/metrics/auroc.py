"""How well a model's likelihood or energy separates its images from those of another data set."""

import math

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.metrics.likelihood import preparation
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.gathering import shared

#: The other data set, if none is named.
OTHERS = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}


def area_under_curve(own: Tensor, other: Tensor) -> float:
    """Probability that a number of `own` is above one of `other`; ties count half.

    The area under the receiver operating characteristic (Mann and Whitney's statistic over the
    number of pairs).

    Example:
        >>> area_under_curve(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))
        0.875
    """
    ordered = other.double().sort().values
    below = torch.searchsorted(ordered, own.double(), side="left")
    up_to = torch.searchsorted(ordered, own.double(), side="right")
    return ((below + up_to).double().mean() / (2 * len(other))).item()


@torch.no_grad()
def auroc(
    subject: Subject,
    *,
    other: str | None = None,
    other_split: str | None = None,
    binarization: str | None = None,
    dequantization: str | None = None,
    num_samples: int = 100,
    num_images: int | None = 1000,
) -> Outcome:
    """Probability that an image has a higher log-likelihood than one of another data set.

    At one half the sets are not separated; below, the model finds the other images likelier than
    its own, a known failure of likelihoods (Nalisnick et al., arXiv:1810.09136).

    Args:
        subject: a model with a likelihood bound, and the images that should score higher.
        other: the data set that should score lower; by default Fashion-MNIST for MNIST and vice
            versa.
        other_split: its split; None is that of the data set.
        binarization: of both, as in `elbo`.
        dequantization: likewise.
        num_samples: importance samples for each image.
        num_images: how many of each set, chosen by the seed; None for all.

    Raises:
        UsageError: if no other data set is named or known.
    """
    check_count("num_samples", num_samples)
    stranger = other_subject(subject, other, other_split)
    scores, count = [], 0
    for one in (subject, stranger):
        make, options = preparation(one, binarization, dequantization)
        pixels = one.pixels(num_images, frozen=options.get("binarization") == "frozen")
        batches = one.context.batches(pixels, f"densities of {one.dataset}", make)
        found = one.shared(
            batches,
            "posterior",
            lambda values, generator: subject.model.log_prob(
                values, num_samples, generator=generator
            ).cpu(),
        )
        scores.append(torch.cat([*found]))
        count = count or len(pixels)
    value = area_under_curve(*scores)
    named = {"other": stranger.dataset, "other_split": stranger.split}
    return Outcome(value, options={**named, **options, "num_samples": num_samples,
                                   "num_images": count})  # fmt: skip


@torch.no_grad()
def energy_auroc(
    subject: Subject,
    *,
    other: str | None = None,
    other_split: str | None = None,
    sigma: float = 0.0,
    num_images: int | None = 1000,
) -> Outcome:
    """Probability that an image has a lower energy than one of another data set.

    Read as `auroc`: one half separates nothing, and below it the model finds the other images
    likelier than its own.

    Args:
        subject: a model with an energy, and the images whose energy should be lower.
        other: the data set whose energy should be higher, as in `auroc`.
        other_split: likewise.
        sigma: standard deviation of Gaussian noise added to both, pixels lying in [0, 1]. The
            energy is that of noisy images; without noise it is asked where nothing was learnt.
        num_images: how many of each set, chosen by the seed; None for all.

    Raises:
        UsageError: if no other data set is named or known, or sigma is negative.
    """
    if not isinstance(sigma, int | float) or not 0 <= sigma < math.inf:
        raise UsageError(f"sigma must be 0 or more and finite, got {sigma!r}")
    stranger = other_subject(subject, other, other_split)
    energies, count = [], 0
    for one in (subject, stranger):
        generator = one.generator("noise")

        def noisy(values: Tensor, generator: torch.Generator = generator) -> Tensor:
            return values + sigma * torch.randn(values.shape, generator=generator)

        pixels = one.pixels(num_images)
        batches = one.context.batches(pixels, f"energies of {one.dataset}", noisy)
        found = shared(batches, lambda values: subject.model.energy(values).cpu())
        energies.append(torch.cat([*found]))
        count = count or len(pixels)
    options = {
        "other": stranger.dataset, "other_split": stranger.split, "sigma": float(sigma),
        "num_images": count,
    }  # fmt: skip
    own, others = energies
    return Outcome(area_under_curve(-own, -others), options=options)


def other_subject(subject: Subject, other: str | None, other_split: str | None) -> Subject:
    """The data set to separate from the subject's, read by the same processor.

    Raises:
        UsageError: if none is named or known.
    """
    other = other or OTHERS.get(subject.dataset)
    if other is None:
        raise UsageError(
            f"auroc on {subject.dataset} needs the option `other`, the name of a data set"
        )
    return Subject(subject.context, other, other_split or subject.split, subject.seed)
