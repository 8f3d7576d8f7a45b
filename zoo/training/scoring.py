"""What a validation says of a model besides its loss: scores, by what texts are trained for.

A task is a row of `SCORES`: `pairs` reads what is true and what is found off a batch and the
model's outputs, and `scores` makes numbers of all of them. Adding a row is all that a task needs
to be stopped early, and to have its best checkpoint chosen, by these numbers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from zoo import scores
from zoo.data.text.marked_collators import cells
from zoo.data.text.masking import IGNORED
from zoo.data.text.schemes import OUTSIDE, read_entities
from zoo.errors import UsageError

LOSS = "validation_loss"

#: Something that is true, and what a model found in its place.
Pair = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """How models for a task are scored.

    Attributes:
        names: of the scores; of each the larger is better.
        pairs: from a model, its outputs and its batch, what is true and what is found of each
            text or token, or pair of texts.
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


def score_labels(true: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """Accuracy and macro-averaged F1, in [0, 1]."""
    counts = scores.label_counts(true, found)
    return {"accuracy": scores.accuracy(true, found), "macro_f1": scores.macro_f1(counts)}


def score_tokens(true: Sequence[int], found: Sequence[int]) -> dict[str, float]:
    """Share of masked tokens that are filled in correctly, in [0, 1]."""
    return {"accuracy": scores.accuracy(true, found)}


def several(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """The labels of each text, and those that are likelier than not."""
    wanted, found = batch["labels"] > 0, outputs.logits > 0
    for one, other in zip(wanted, found, strict=True):
        yield one.nonzero().flatten().tolist(), other.nonzero().flatten().tolist()


def score_several(true: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """Share of texts whose labels are all right, macro- and micro-averaged F1, in [0, 1]."""
    counts = scores.label_counts(true, found)
    return score_labels(true, found) | {"micro_f1": scores.micro(counts).f1}


def tags(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """The names of the labels of each text, and those of the best chain, or the likeliest ones."""
    mask = batch["attention_mask"] if "attention_mask" in batch else outputs.mask
    if hasattr(model, "decode"):
        paths = model.decode(outputs, mask)
    else:
        likeliest = outputs.logits.argmax(-1)
        paths = [row[seen].tolist() for row, seen in zip(likeliest, mask.bool(), strict=True)]
    names = model.config.id2label
    for wanted, seen, path in zip(batch["labels"], mask.bool(), paths, strict=True):
        pairs = zip(wanted[seen].tolist(), path, strict=True)
        kept = [(names[one], names[other]) for one, other in pairs if one != IGNORED]
        yield [one for one, _ in kept], [other for _, other in kept]


def score_tags(true: Sequence[list[str]], found: Sequence[list[str]]) -> dict[str, float]:
    """Scores of the labels of all tokens, and F1 of the entities that they spell, in [0, 1].

    `micro_f1` leaves `O` out. Where labels spell no entities, as nouns and verbs, `entity_f1` is
    0.
    """
    flat = [*chain.from_iterable(true)], [*chain.from_iterable(found)]
    entities = scores.entity_counts([*map(read_entities, true)], [*map(read_entities, found)])
    return score_labels(*flat) | {
        "micro_f1": scores.micro(scores.label_counts(*flat), [OUTSIDE]).f1,
        "entity_f1": scores.micro(entities).f1,
    }


def entities(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """Type, first and last token of each entity of a text, and of each that is found."""
    sparse = batch["labels"].ndim == 4 and batch["labels"].shape[-1] == 2
    found = model.decode(outputs, batch.get("attention_mask", outputs.mask))
    for labels, spans in zip(batch["labels"], found, strict=True):
        if sparse:
            held = labels.any(-1).nonzero()
            true = [(kind, *labels[kind, slot].tolist()) for kind, slot in held.tolist()]
        else:
            true = [tuple(cell) for cell in labels.nonzero().tolist()]
        yield true, [tuple(span) for span in spans]


def score_entities(true: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """F1 of all entities, in [0, 1]."""
    return {"entity_f1": scores.micro(scores.entity_counts(true, found)).f1}


def relations(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """The relations that the labels of three pointers say, and those that are found, in tokens.

    Raises:
        UsageError: half pointers, whose labels have the objects of one subject alone.
    """
    if "subject" in outputs.logits:
        raise UsageError(
            "a half pointer is not scored in training, which has the objects of one subject at a "
            "time; choose metric_for_best_model = 'validation_loss'"
        )
    mask = batch.get("attention_mask", outputs.mask)
    said = SimpleNamespace(
        logits={name: _as_scores(batch["labels"][name], each)
                for name, each in outputs.logits.items()}
    )  # fmt: skip
    true = model.decode(said, mask, threshold=0.0)
    for one, other in zip(true, model.decode(outputs, mask), strict=True):
        yield [*map(_relation, one)], [*map(_relation, other)]


def _as_scores(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels of spans, of places or of every cell, as scores that say the same."""
    every = labels.shape == logits.shape
    return (labels if every else cells(labels, logits.shape[-1])) * 2 - 1


def _relation(found: Sequence[int]) -> tuple[Any, Any, Any]:
    return tuple(found[:2]), found[2], tuple(found[3:])


def score_relations(true: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """F1 of all relations, in [0, 1]."""
    return {"triple_f1": scores.micro(scores.relation_counts(true, found)).f1}


def similarities(model: Any, outputs: Any, batch: Mapping[str, Any]) -> Iterable[Pair]:
    """How near the texts of each pair are to each other, and the cosine of their vectors."""
    vectors = normalize(outputs.logits.float(), dim=-1)
    found = (vectors[::2] * vectors[1::2]).sum(-1)
    return zip(batch["labels"].tolist(), found.tolist(), strict=True)


def score_similarities(true: Sequence[float], found: Sequence[float]) -> dict[str, float]:
    """Spearman's rank correlation, in [-1, 1]."""
    return {"spearman": scores.spearman(true, found)}


_LABELS = Scored(("accuracy", "macro_f1"), labels, score_labels)
_TAGS = Scored(("accuracy", "macro_f1", "micro_f1", "entity_f1"), tags, score_tags)
#: Tasks of texts, as keys of `TASKS`; of all others, and of images, there is the loss alone.
SCORES: dict[str, Scored] = {
    "classification": _LABELS,
    "multilabel": Scored(("accuracy", "macro_f1", "micro_f1"), several, score_several),
    "tags": _TAGS,
    "entities": Scored(("entity_f1",), entities, score_entities),
    "relations": Scored(("triple_f1",), relations, score_relations),
    "pairs": Scored(("spearman",), similarities, score_similarities),
    "masked-lm": Scored(("accuracy",), labels, score_tokens),
}
#: The names of all of these.
NAMES = tuple(dict.fromkeys(name for scored in SCORES.values() for name in scored.names))


def names_of(task: str | None) -> tuple[str, ...]:
    """What models for a task can be compared by, the loss first; None is a task of images."""
    scored = SCORES.get(task or "")
    return (LOSS, *(scored.names if scored else ()))
