"""How well a model's likelihood separates its own images from those of another data set."""

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.metrics.likelihood import preparation
from zoo.evaluation.subject import Outcome, Subject, check_count

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
    other = other or OTHERS.get(subject.dataset)
    if other is None:
        raise UsageError(
            f"auroc on {subject.dataset} needs the option `other`, the name of a data set"
        )
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
