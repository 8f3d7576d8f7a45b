"""Weights of labels in the loss of a classifier, for data in which some labels are rare."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Trainer

from zoo.card import Card
from zoo.data.text.masking import IGNORED
from zoo.errors import UsageError
from zoo.hints import did_you_mean

BALANCED = "balanced"
#: Ends of the names of classes whose loss is the cross-entropy of one label.
WEIGHED = ("ForSequenceClassification", "ForTokenClassification")


def check_class_weights(card: Card, head: str) -> None:
    """Refuse class weights where the loss weighs no labels.

    Args:
        card: with [data] and [train].
        head: what the class of the model ends with.

    Raises:
        UsageError: another loss, smoothed labels, or counts of a stream.
    """
    wanted = card.train.class_weights
    if wanted is None:
        return
    assert card.data is not None
    place = f"{card.path}: [train] class_weights"
    if head not in WEIGHED:
        raise UsageError(
            f"{place}: {card.data.task} is not trained by the cross-entropy of one label; leave "
            "it out"
        )
    if card.train.arguments.get("label_smoothing_factor"):
        raise UsageError(f"{place} and label_smoothing_factor exclude each other; leave one out")
    if wanted == BALANCED and card.data.streaming:
        raise UsageError(
            f"{place}: nobody can count the labels of a stream; give a table of weights by label"
        )


def class_weights(card: Card, names: Sequence[str], rows: Any) -> Tensor | None:
    """The weight of every label in the loss of a card, of shape (labels,); None without weights.

    "balanced" is N / (C n) of a label that n of N texts or tokens have, of C labels: in sum all
    labels weigh the same, and the mean over the data is 1 (scikit-learn's `class_weight`, after
    King & Zeng, Logistic regression in rare events data, 2001). A label that nothing has weighs 1,
    and so does one that a table does not name.

    Args:
        card: with [train].
        names: of the labels, in order.
        rows: of the train split, with numbers of labels; -100 is none.

    Raises:
        UsageError: no label has a name of the table.
    """
    wanted = card.train.class_weights
    if wanted is None:
        return None
    if isinstance(wanted, str):
        labels = (torch.tensor(row["labels"]).flatten() for row in rows.select_columns("labels"))
        every = torch.cat(list(labels))
        counts = every[every != IGNORED].bincount(minlength=len(names)).double()
        weights = counts.sum() / (len(names) * counts)
        return torch.where(counts > 0, weights, 1.0).float()
    for name in wanted:
        if name not in names:
            raise UsageError(
                f"{card.path}: [train] class_weights: no label is {name!r}. "
                f"{did_you_mean(name, names)}"
            )
    return torch.tensor([float(wanted.get(name, 1.0)) for name in names])


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The mean over texts or tokens of -w(y) log p(y), y the label of each and w its weight.

    Divided by their number and not by the sum of their weights: so the loss of a batch is an
    unbiased estimate of that of the data.

    Args:
        logits: of shape (..., labels).
        labels: numbers of labels, of shape (...); -100 is none.
        weights: of shape (labels,).
    """
    logits, labels = logits.flatten(0, -2).float(), labels.flatten()
    total = cross_entropy(logits, labels, weights, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


class WeightedMixin(Trainer):
    """A Trainer whose training loss weighs labels; in evaluation all weigh the same.

    Args:
        class_weights: of shape (labels,); None to weigh all alike.
    """

    def __init__(self, *args: Any, class_weights: Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.class_weights = class_weights

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The weighted loss in training, the model's own elsewhere."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.class_weights is not None and model.training:
            weights = self.class_weights.to(outputs.logits.device)
            loss = weighted_loss(outputs.logits, inputs["labels"], weights)
        return (loss, outputs) if return_outputs else loss
