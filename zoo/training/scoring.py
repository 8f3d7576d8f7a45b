"""What a validation says of a model besides its loss: scores, by what texts are trained for.

A task is a row of `SCORES`: `pairs` reads what is true and what is found off a batch and the
model's outputs, and `scores` makes numbers of all of them. Adding a row is all that a task needs
to be stopped early, and to have its best checkpoint chosen, by these numbers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo import scores
from zoo.data.text.masking import IGNORED

LOSS = "validation_loss"

#: Something that is true, and what a model found in its place.
Pair = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """How models for a task are scored.

    Attributes:
        names: of the scores; of each the larger is better.
        pairs: from a model, its outputs and its batch, what is true and what is found of each
            text or token.
        scores: from all that is true and all that is found, the scores by name.
    """

    names: tuple[str, ...]
    pairs: Callable[[Any, Any, Mapping[str, Any]], Iterable[Pair]]
    scores: Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]


def labels(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """The label of each text or token that has one, and the likeliest one."""
    wanted = batch["labels"]
    asked = wanted != IGNORED
    found = outputs.logits.argmax(-1)[asked]
    return zip(wanted[asked].tolist(), found.tolist(), strict=True)


def score_labels(true: Sequence[int], found: Sequence[int]) -> dict[str, float]:
    """Accuracy and macro-averaged F1, in [0, 1]."""
    counts = scores.label_counts(true, found)
    return {"accuracy": scores.accuracy(true, found), "macro_f1": scores.macro_f1(counts)}


def score_tokens(true: Sequence[int], found: Sequence[int]) -> dict[str, float]:
    """Share of masked tokens that are filled in correctly, in [0, 1]."""
    return {"accuracy": scores.accuracy(true, found)}


def tags(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """The label of each token that has one, and that of the best chain, or the likeliest one."""
    if not hasattr(model, "decode"):
        yield from labels(model, outputs, batch)
        return
    mask = batch["attention_mask"] if "attention_mask" in batch else outputs.mask
    for wanted, seen, path in zip(
        batch["labels"], mask.bool(), model.decode(outputs, mask), strict=True
    ):
        for true, found in zip(wanted[seen].tolist(), path, strict=True):
            if true != IGNORED:
                yield true, found


_LABELS = Scored(("accuracy", "macro_f1"), labels, score_labels)
TAGS = Scored(("accuracy", "macro_f1"), tags, score_labels)
#: Tasks of texts, as keys of `TASKS`; of all others, and of images, there is the loss alone.
SCORES: dict[str, Scored] = {
    "classification": _LABELS,
    "tags": TAGS,
    "masked-lm": Scored(("accuracy",), labels, score_tokens),
}
#: The names of all of these.
NAMES = tuple(dict.fromkeys(name for scored in SCORES.values() for name in scored.names))


def names_of(task: str | None) -> tuple[str, ...]:
    """What models for a task can be compared by, the loss first; None is a task of images."""
    scored = SCORES.get(task or "")
    return (LOSS, *(scored.names if scored else ()))
