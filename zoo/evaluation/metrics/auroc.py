"""How well a model's likelihood tells its own images from another data set's."""

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.metrics.likelihood import preparation
from zoo.evaluation.subject import Outcome, Subject, check_count

#: Data sets told from each other where no other is named.
OTHERS = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}


def area_under_curve(own: Tensor, other: Tensor) -> float:
    """Chance that a number of `own` is above one of `other`, ties counting half.

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
    """Chance that an image of the data set is given a higher log-likelihood than another one's.

    One half tells nothing apart; below one half the model finds the strangers likelier than its
    own kind, a failure that likelihoods are known for (Nalisnick et al., arXiv:1810.09136).

    Args:
        subject: a model with a likelihood bound, and the images that should score higher.
        other: the data set that should score lower; None is Fashion-MNIST for MNIST and back.
        other_split: its split; None is that of the data set.
        binarization: of both, as in `elbo`.
        dequantization: likewise.
        num_samples: importance samples for each image.
        num_images: a seeded choice of so many of each; None for all.

    Raises:
        UsageError: if no other data set is named or known.
    """
    check_count("num_samples", num_samples)
    other = other or OTHERS.get(subject.dataset)
    if other is None:
        raise UsageError(f"auroc on {subject.dataset} needs the option other, a data set's name")
    stranger = Subject(subject.context, other, other_split or subject.split, subject.seed)
    scores, count = [], 0
    for one in (subject, stranger):
        make, options = preparation(one, binarization, dequantization)
        pixels = one.pixels(num_images, frozen=options.get("binarization") == "frozen")
        generator = one.generator("posterior")
        found = [
            one.model.log_prob(values, num_samples, generator=generator).cpu()
            for values in one.context.batches(pixels, f"densities of {one.dataset}", make)
        ]
        scores.append(torch.cat(found))
        count = count or len(pixels)
    value = area_under_curve(*scores)
    named = {"other": other, "other_split": stranger.split}
    return Outcome(value, options={**named, **options, "num_samples": num_samples,
                                   "num_images": count})  # fmt: skip
