"""Whether a generator has lost modes: classes of its samples, as a classifier reads them.

The classes of all channels together are the modes: ten of digits, a thousand of stacked digits,
all equally likely in the data. The usual protocol draws 26,000 samples (Metz et al.,
arXiv:1611.02163).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.evaluation.subject import Context, Outcome, Subject, check_count

from .features import Reader, draw, read_labels, reader_of, sampling_options


def num_modes(
    subject: Subject,
    *,
    sampler: str | None = None,
    temperature: float | None = None,
    features: str | None = None,
    num_images: int = 26_000,
) -> Outcome:
    """Number of classes of which there is at least one sample.

    Args:
        subject: a model that draws, and the images it should match.
        sampler: see the model's `sample`; None is its own.
        temperature: likewise.
        features: id or folder of a classifier of grey images, which reads each channel; None is
            the one for the data set.
        num_images: how many samples, and at most how many images for the floor.

    Raises:
        UsageError: if there is no classifier for the data set, or it does not fit.
    """
    return _measure(subject, _present, sampler, temperature, features, num_images)


def mode_divergence(
    subject: Subject,
    *,
    sampler: str | None = None,
    temperature: float | None = None,
    features: str | None = None,
    num_images: int = 26_000,
) -> Outcome:
    """Kullback-Leibler divergence of the samples' classes from equally likely ones, in nats.

    N samples of K equally likely classes have (K - 1) / 2N on average and not 0: 0.019 for 26,000
    of a thousand. Arguments as in `num_modes`.
    """
    return _measure(subject, divergence_from_uniform, sampler, temperature, features, num_images)


def divergence_from_uniform(counts: Tensor) -> float:
    """Nats by which counts `(K,)` are less even than K equal ones: log K minus the entropy.

    Example:
        >>> divergence_from_uniform(torch.tensor([5, 5, 5, 5]))
        0.0
        >>> round(divergence_from_uniform(torch.tensor([5, 5, 0, 0])), 4)
        0.6931
    """
    shares = counts.double() / counts.sum()
    return float(torch.special.xlogy(shares, shares).sum()) + math.log(len(counts))


def _present(counts: Tensor) -> float:
    return float((counts > 0).sum())


def _measure(
    subject: Subject,
    statistic: Callable[[Tensor], float],
    sampler: str | None,
    temperature: float | None,
    features: str | None,
    num_images: int,
) -> Outcome:
    """A statistic of the class counts of samples, and of as many images as its floor."""
    check_count("num_images", num_images)
    context = subject.context
    reader = reader_of(subject, features, num_channels=1)
    options = sampling_options(subject, sampler=sampler, temperature=temperature)
    real = subject.images.pixels
    real = real[subject.order(len(real), "images")[:num_images]]

    def counts(kind: tuple[Any, ...], text: str, pixels: Callable[[], Tensor]) -> Tensor:
        where = (subject.dataset, subject.split, subject.config, subject.seed, num_images)
        key = ("classes", reader.name, *kind, *where)
        return context.once(key, lambda: class_counts(context, reader, pixels(), text))

    drawn = counts(
        ("samples", *options.items()),
        "classes of samples",
        lambda: draw(subject, num_images, options),
    )
    floor = counts(("real",), "classes of images", lambda: real)
    used = {**options, "features": reader.name, "num_images": num_images}
    return Outcome(statistic(drawn), statistic(floor), used)


@torch.no_grad()
def class_counts(context: Context, reader: Reader, pixels: Tensor, text: str) -> Tensor:
    """How many images have each class of their channels together, int64 `(classes^C,)`.

    Args:
        context: whose device and progress bar are used.
        reader: a classifier of grey images.
        pixels: uint8 `(N, C, H, W)`.
        text: of the progress bar.
    """
    count, channels = pixels.shape[:2]
    read = read_labels(context, reader, pixels.flatten(0, 1).unsqueeze(1), text)
    classes = int(reader.model.config.num_labels)
    places = classes ** torch.arange(channels - 1, -1, -1)
    modes = read.reshape(count, channels) @ places
    return torch.bincount(modes, minlength=classes**channels)
