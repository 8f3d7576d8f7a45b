"""How often a classifier is right."""

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.evaluation.texts import TextContext, some_texts, train_texts

IGNORED = -100


def accuracy(
    subject: Subject, *, num_images: int | None = None, num_texts: int | None = None
) -> Outcome:
    """Share of images, texts or tokens whose likeliest label is the true one, in [0, 1].

    Args:
        subject: a classifier and labelled images or texts.
        num_images: how many images; None for all.
        num_texts: how many texts; None for all.

    Raises:
        UsageError: if the data set has no labels.
    """
    predicted, labels, options = classify(subject, num_images, num_texts)
    always = most_frequent(subject)
    floor = None if always is None else (labels == always).double().mean().item()
    return Outcome((predicted == labels).double().mean().item(), floor, options)


def macro_f1(
    subject: Subject, *, num_images: int | None = None, num_texts: int | None = None
) -> Outcome:
    """F1 of each label, averaged over the labels that occur or are predicted, in [0, 1].

    The arguments and errors are those of `accuracy`.
    """
    from sklearn.metrics import f1_score

    predicted, labels, options = classify(subject, num_images, num_texts)

    def score(found: Tensor) -> float:
        return float(f1_score(labels.numpy(), found.numpy(), average="macro", zero_division=0))

    always = most_frequent(subject)
    floor = None if always is None else score(torch.full_like(labels, always))
    return Outcome(score(predicted), floor, options)


@torch.no_grad()
def classify(
    subject: Subject, num_images: int | None, num_texts: int | None
) -> tuple[Tensor, Tensor, dict[str, int]]:
    """The likeliest labels, the true ones, and of how many images or texts; once for all metrics.

    Raises:
        UsageError: if the data set has no labels.
    """
    context = subject.context
    texts = isinstance(context, TextContext)
    if (num_images if texts else num_texts) is not None:
        wrong, right = ("num_images", "num_texts") if texts else ("num_texts", "num_images")
        raise UsageError(f"{wrong} is not of this model; use {right}")
    count = num_texts if texts else num_images

    def run() -> tuple[Tensor, Tensor, dict[str, int]]:
        return of_texts(subject, count) if texts else of_images(subject, count)

    key = (subject.dataset, subject.split, subject.config, subject.seed, count)
    return context.latest("classified", key, run)


def of_images(subject: Subject, count: int | None) -> tuple[Tensor, Tensor, dict[str, int]]:
    """Labels of images."""
    images = subject.images
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels, so it has no accuracy; name another one"
        )
    check_count("num_images", count)
    chosen = subject.order(len(images), "images")[:count]
    predicted = [
        subject.model(pixel_values=values).logits.argmax(1).cpu()
        for values in subject.context.batches(images.pixels[chosen], "classifying")
    ]
    return torch.cat(predicted), images.labels[chosen], {"num_images": len(chosen)}


def of_texts(subject: Subject, count: int | None) -> tuple[Tensor, Tensor, dict[str, int]]:
    """Labels of texts, or of their tokens."""
    context = subject.context
    assert isinstance(context, TextContext)
    texts = some_texts(subject, count)
    rows = context.rows(texts)
    predicted, labels = [], []
    for inputs in context.text_batches(rows, "classifying", subject.generator("none")):
        wanted = inputs["labels"]
        asked = wanted != IGNORED
        predicted.append(context.model(**inputs).logits.argmax(-1)[asked].cpu())
        labels.append(wanted[asked].cpu())
    return torch.cat(predicted), torch.cat(labels), {"num_texts": len(texts)}


def most_frequent(subject: Subject) -> int | None:
    """The most frequent label of the train split of texts; None without one, and of images."""
    context = subject.context
    if not isinstance(context, TextContext) or (texts := train_texts(subject)) is None:
        return None

    def count() -> int:
        rows = context.rows(texts, floor=True)
        labels = torch.cat([torch.tensor(row["labels"]).flatten() for row in rows])
        return int(labels[labels != IGNORED].bincount().argmax())

    return context.once(("most frequent", subject.dataset, subject.config), count)
