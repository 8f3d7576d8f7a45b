"""How well a model draws what a label asks for: a classifier reads its samples."""

import torch

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count

from .features import draw, reader_of, sampling_options, share_read


@torch.no_grad()
def conditional_accuracy(
    subject: Subject,
    *,
    temperature: float | None = None,
    features: str | None = None,
    num_images: int = 10_000,
) -> Outcome:
    """Share of samples drawn for a label that a classifier reads as that label, in [0, 1].

    Labels take turns, so each is asked for equally often. The floor is the share among samples
    that no label was asked for, the ceiling what the classifier reads right of real images.

    Args:
        subject: a model that draws by labels, and labelled images.
        temperature: factor on the standard deviation of the codes; None is 1.
        features: id or folder of the classifier; None is the one for the data set.
        num_images: number of samples; of real images at most so many, chosen by the seed.

    Raises:
        UsageError: the data set has no labels or no classifier, or an option is out of range.
    """
    check_count("num_images", num_images)
    images = subject.images
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels to read; name another one with --data"
        )
    options = sampling_options(subject, sampler="prior", temperature=temperature)
    reader = reader_of(subject, features)
    asked = torch.arange(num_images) % subject.model.config.num_labels

    chosen = subject.order(len(images), "images")[:num_images]
    value, floor, ceiling = (
        share_read(subject.context, reader, pixels, labels)
        for pixels, labels in (
            (draw(subject, num_images, options | {"labels": asked}), asked),
            (draw(subject, num_images, options), asked),
            (images.pixels[chosen], images.labels[chosen]),
        )
    )
    used = {
        "temperature": options["temperature"],
        "features": reader.name,
        "num_images": num_images,
    }
    return Outcome(value, floor, used, ceiling)
