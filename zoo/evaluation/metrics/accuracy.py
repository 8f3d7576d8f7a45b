"""How often a classifier is right, of images, texts or tokens."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from zoo import scores
from zoo.data.text.labels import name_label, number_labels, split_labels, stated_names
from zoo.data.text.schemes import OUTSIDE
from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.evaluation.texts import TextContext, context_of, some_texts, train_texts
from zoo.gathering import shared
from zoo.labeling.classifying import iter_classified

IGNORED = -100


@dataclass(frozen=True)
class Judged:
    """Labels of images, texts or units of texts.

    Attributes:
        true: of each its label, or the labels that hold.
        found: the same as the model gives them; no label where it says nothing of a unit.
        floor: the same as said without a model; None where nothing is known of a train split.
        options: how many images or texts they are of.
        leave_out: labels that are not counted in the micro average.
        named: whether labels are names, which a table of them can be made of.
    """

    true: Sequence[scores.Labels]
    found: Sequence[scores.Labels]
    floor: Sequence[scores.Labels] | None
    options: dict[str, Any]
    leave_out: tuple[str, ...] = ()
    named: bool = True


def accuracy(
    subject: Subject,
    *,
    num_images: int | None = None,
    num_texts: int | None = None,
    exclude_train_texts: bool = False,
) -> Outcome:
    """Share of images, texts or tokens whose label is the true one, in [0, 1].

    Where several labels may hold, all of them and no other must be found.

    Args:
        subject: a classifier or tagger, and labelled images or texts.
        num_images: how many images; None for all.
        num_texts: how many texts; None for all.
        exclude_train_texts: leave out texts that stand in the train split, word for word.

    Raises:
        UsageError: if the data set has no labels, or no train split or no other texts than it.
    """
    judged = judge(subject, num_images, num_texts, exclude_train_texts)
    return _outcome(judged, lambda found: scores.accuracy(judged.true, found))


def macro_f1(
    subject: Subject,
    *,
    num_images: int | None = None,
    num_texts: int | None = None,
    exclude_train_texts: bool = False,
) -> Outcome:
    """F1 of each label, averaged over the labels that occur or are predicted, in [0, 1].

    The arguments and errors are those of `accuracy`.
    """
    judged = judge(subject, num_images, num_texts, exclude_train_texts)
    return _outcome(judged, lambda found: scores.macro_f1(scores.label_counts(judged.true, found)))


def micro_f1(
    subject: Subject,
    *,
    num_images: int | None = None,
    num_texts: int | None = None,
    exclude_train_texts: bool = False,
) -> Outcome:
    """F1 of all labels together, in [0, 1]; of tags without that of what belongs to nothing, `O`.

    Where one label holds and all are counted, this is the accuracy. The arguments and errors are
    those of `accuracy`.
    """
    judged = judge(subject, num_images, num_texts, exclude_train_texts)

    def score(found: Sequence[scores.Labels]) -> float:
        counts = scores.label_counts(judged.true, found)
        return scores.micro(counts, judged.leave_out).f1

    return _outcome(judged, score)


def _outcome(judged: Judged, score: Callable[[Sequence[scores.Labels]], float]) -> Outcome:
    floor = None if judged.floor is None else score(judged.floor)
    counts = scores.label_counts(judged.true, judged.found) if judged.named else {}
    return Outcome(score(judged.found), floor, judged.options, by_kind=counts)


def judge(
    subject: Subject, num_images: int | None, num_texts: int | None, exclude: bool
) -> Judged:
    """The true labels and those that the model gives; once for all metrics.

    Raises:
        UsageError: if the data set has no labels.
    """
    context = subject.context
    texts = isinstance(context, TextContext)
    if (num_images if texts else num_texts) is not None:
        wrong, right = ("num_images", "num_texts") if texts else ("num_texts", "num_images")
        raise UsageError(f"{wrong} is not of this model; use {right}")
    if exclude and not texts:
        raise UsageError("exclude_train_texts is of models of texts; leave it out")
    count = num_texts if texts else num_images
    subject = replace(subject, exclude_train_texts=exclude)
    ways = OF_TASKS.get(context_of(subject).task.name, of_texts) if texts else of_images
    key = (subject.dataset, subject.split, subject.config, subject.seed, count, exclude)
    judged: Judged = context.latest("judged", key, lambda: ways(subject, count))
    if not exclude:
        return judged
    return replace(judged, options={**judged.options, "exclude_train_texts": True})


@torch.no_grad()
def of_images(subject: Subject, count: int | None) -> Judged:
    """Labels of images, by their numbers."""
    images = subject.images
    if images.labels is None:
        raise UsageError(
            f"data set {subject.dataset} has no labels, so it has no accuracy; name another one"
        )
    check_count("num_images", count)
    chosen = subject.order(len(images), "images")[:count]
    batches = subject.context.batches(images.pixels[chosen], "classifying")
    found = shared(
        batches, lambda values: subject.model(pixel_values=values).logits.argmax(1).tolist()
    )
    true = images.labels[chosen].tolist()
    return Judged(true, [*chain(*found)], None, {"num_images": len(chosen)}, named=False)


@torch.no_grad()
def of_texts(subject: Subject, count: int | None) -> Judged:
    """One label of each text."""
    context = context_of(subject)
    texts = some_texts(subject, count)
    rows = context.rows(texts)

    def labels(inputs: dict[str, Tensor]) -> tuple[list[int], list[int]]:
        wanted = inputs["labels"]
        asked = wanted != IGNORED
        found = context.model(**inputs).logits.argmax(-1)
        return wanted[asked].tolist(), found[asked].tolist()

    batches = context.text_batches(rows, "classifying", subject.generator("none"))
    true, found = zip(*shared(batches, labels), strict=True)
    names = context.options.labels
    always = most_frequent(subject)
    right = [names[label] for label in chain(*true)]
    return Judged(
        right,
        [names[label] for label in chain(*found)],
        None if always is None else [names[always]] * len(right),
        {"num_texts": len(texts)},
    )


def of_tags(subject: Subject, count: int | None) -> Judged:
    """The label of each annotated unit of texts, a word or a character: that of its first token.

    The floor is the label that each unit most often has in the train split, as it is written; that
    of most units for one that does not occur in it.
    """
    context = context_of(subject)
    rows = [*context.annotated(some_texts(subject, count))]
    answers = context.answers(subject, [text for text, _ in rows])
    true: list[str] = []
    found: list[scores.Labels] = []
    written: list[str] = []
    for (text, tags), answer in zip(rows, answers, strict=True):
        labels = {
            at: token.label for token in answer.tokens for at in range(token.start, token.end)
        }
        for start, end, label in tags:
            true.append(label)
            found.append(next((labels[at] for at in range(start, end) if at in labels), ()))
            written.append(text[start:end])
    usual = usual_tags(subject)
    floor = None if usual is None else [usual.get(unit, usual[""]) for unit in written]
    return Judged(true, found, floor, {"num_texts": len(rows)}, leave_out=(OUTSIDE,))


def usual_tags(subject: Subject) -> dict[str, str] | None:
    """The most frequent label of each unit of the train split, and of all of them under "".

    None without a train split.
    """
    context = context_of(subject)

    def count() -> dict[str, str] | None:
        if (texts := train_texts(subject)) is None:
            return None
        counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for text, tags in context.annotated(texts):
            for start, end, label in tags:
                counted[text[start:end]][label] += 1
                counted[""][label] += 1
        return {unit: labels.most_common(1)[0][0] for unit, labels in counted.items()}

    return context.once(("usual tags", subject.dataset, subject.config), count)


def of_several(subject: Subject, count: int | None) -> Judged:
    """The labels of each text, of which several may hold, or none.

    The floor is the most frequent label of the train split, of every text.
    """
    context = context_of(subject)
    texts = some_texts(subject, count)
    columns = [texts[name] for name in context.task.texts(context.options)]
    asked: Any = columns[0] if len(columns) == 1 else [*zip(*columns, strict=True)]
    answers = context.asked(iter_classified, asked)
    found = [{each.label for each in answer.labels} for answer in answers]

    def usual() -> set[str]:
        known = train_texts(subject)
        labels = [] if known is None else several_labels(context, known)
        common = Counter(label for each in labels for label in each).most_common(1)
        return {label for label, _ in common}

    always = context.once(("usual label", subject.dataset, subject.config), usual)
    return Judged(
        several_labels(context, texts),
        found,
        [always] * len(found) if always else None,
        {"num_texts": len(texts)},
    )


def several_labels(context: TextContext, texts: Any) -> list[set[str]]:
    """The names of the labels of each text."""
    column, names = context.task.needed(context.options)[-1], context.options.labels
    stated = stated_names(texts, column)
    return [
        {
            names[number]
            for number in number_labels(
                name_label(split_labels(cell, context.options), stated), names, column
            )
        }
        for cell in texts[column]
    ]


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


#: How labels of texts are judged by the task of the model; of all others by `of_texts`.
OF_TASKS: dict[str, Callable[[Subject, int | None], Judged]] = {
    "tags": of_tags,
    "multilabel": of_several,
}
