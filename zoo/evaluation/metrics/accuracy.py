"""How often a classifier is right."""

import torch

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count


@torch.no_grad()
def accuracy(subject: Subject, *, num_images: int | None = None) -> Outcome:
    """Share of images whose most likely label is the true one, in [0, 1].

    Args:
        subject: a classifier and labelled images.
        num_images: how many images; None for all.

    Raises:
        UsageError: if the data set has no labels.
    """
    images = subject.images
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels, so it has no accuracy; name another one"
        )
    check_count("num_images", num_images)
    chosen = subject.order(len(images), "images")[:num_images]
    predicted = [
        subject.model(pixel_values=values).logits.argmax(1).cpu()
        for values in subject.context.batches(images.pixels[chosen], "classifying")
    ]
    correct = (torch.cat(predicted) == images.labels[chosen]).double().mean().item()
    return Outcome(correct, options={"num_images": len(chosen)})
