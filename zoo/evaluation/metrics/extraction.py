"""Entities and relations that a model finds in texts, compared with those that are there."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from zoo import scores
from zoo.data.text.annotated.normal import Entity, Relation, entities_of
from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject
from zoo.evaluation.texts import context_of, some_texts, train_texts

T = TypeVar("T")
#: How the parts of relations are compared: where they stand, or as they are written.
MATCHES = ("spans", "texts")


def entity_f1(subject: Subject, *, num_texts: int | None = None) -> Outcome:
    """F1 of all entities together, in [0, 1]: type, first and last character must be right.

    The floor finds the entities of the train split wherever their texts occur; see `lookup`.

    Args:
        subject: a model that finds entities, or a tagger whose labels spell them as `B-LOC`,
            `I-LOC`, `O`, and texts with entities or with such labels.
        num_texts: how many texts; None for all.
    """
    context = context_of(subject)
    texts, true = _columns(true_entities(subject, some_texts(subject, num_texts)))
    found = [answer.entities for answer in context.answers(subject, texts)]
    known = train_texts(subject)
    counts = _entity_counts(true, found)
    floor = None
    if known is not None:
        types = context.once(
            ("dictionary", subject.dataset, subject.config),
            lambda: dictionary(true_entities(subject, known)),
        )
        floor = scores.micro(_entity_counts(true, [lookup(text, types) for text in texts])).f1
    return Outcome(scores.micro(counts).f1, floor, {"num_texts": len(texts)}, by_kind=counts)


def triple_f1(subject: Subject, *, match: str = "spans", num_texts: int | None = None) -> Outcome:
    """F1 of all relations together, in [0, 1]: subject, predicate and object must be right.

    The floor finds the relations of the train split wherever both their texts occur; see
    `lookup_pairs`.

    Args:
        subject: a model that finds relations, and texts with relations.
        match: "spans" compares where subjects and objects stand; "texts" how they are written, as
            the evaluation of DuIE does, and counts what is written alike once.
        num_texts: how many texts; None for all.

    Raises:
        UsageError: `match` is neither.
    """
    if match not in MATCHES:
        raise UsageError(f"match is {' or '.join(MATCHES)}, got {match!r}")
    context = context_of(subject)
    texts, true = _columns(context.annotated(some_texts(subject, num_texts)))
    found = [
        [
            Relation(
                one.subject.start, one.subject.end, one.predicate, one.object.start, one.object.end
            )
            for one in answer.relations
        ]
        for answer in context.answers(subject, texts)
    ]

    def counted(relations: list[list[Relation]]) -> dict[str, scores.Counts]:
        compared = spans if match == "spans" else written
        return scores.relation_counts(
            [compared(*pair) for pair in zip(texts, true, strict=True)],
            [compared(*pair) for pair in zip(texts, relations, strict=True)],
        )

    known = train_texts(subject)
    counts = counted(found)
    floor = None
    if known is not None:
        pairs = context.once(
            ("pairs", subject.dataset, subject.config),
            lambda: pairs_of(context.annotated(known)),
        )
        floor = scores.micro(counted([lookup_pairs(text, pairs) for text in texts])).f1
    options = {"match": match, "num_texts": len(texts)}
    return Outcome(scores.micro(counts).f1, floor, options, by_kind=counts)


def true_entities(subject: Subject, table: Any) -> Iterator[tuple[str, list[Entity]]]:
    """Texts and their entities, which their labels spell where they have labels."""
    context = context_of(subject)
    spelled = context.task.marks == "tags"
    for text, marks in context.annotated(table):
        yield text, entities_of(text, marks) if spelled else marks


def dictionary(rows: Iterable[tuple[str, list[Entity]]]) -> dict[str, str]:
    """The entities of texts as they are written, each with the type that it has most often."""
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, entities in rows:
        for one in entities:
            counted[text[one.start : one.end]][one.type] += 1
    return {each: kinds.most_common(1)[0][0] for each, kinds in counted.items() if each}


def lookup(text: str, types: Mapping[str, str]) -> list[Entity]:
    """The known entities in a text, from its beginning on, the longest at each place.

    They do not overlap, and do not begin or end inside a Latin word or a number.

    Args:
        text: any.
        types: of entities as they are written.

    Example:
        >>> lookup("紐約時報在紐約", {"紐約": "LOC", "紐約時報": "ORG"})
        [Entity(start=0, end=4, type='ORG'), Entity(start=5, end=7, type='LOC')]
    """
    found: list[Entity] = []
    for start, end in _occurrences(text, types):
        if not found or start >= found[-1].end:
            found.append(Entity(start, end, types[text[start:end]]))
    return found


def pairs_of(rows: Iterable[tuple[str, list[Relation]]]) -> dict[str, dict[str, list[str]]]:
    """The predicates of relations by their subjects and objects as they are written."""
    found: dict[str, dict[str, list[str]]] = {}
    for text, relations in rows:
        for subject, predicate, target in written(text, relations):
            predicates = found.setdefault(subject, {}).setdefault(target, [])
            predicates += [predicate] * (predicate not in predicates)
    return found


def lookup_pairs(text: str, pairs: Mapping[str, Mapping[str, list[str]]]) -> list[Relation]:
    """The known relations whose two parts occur in a text, each part where it occurs first.

    Args:
        text: any.
        pairs: as of `pairs_of`.

    Example:
        >>> lookup_pairs("李白作靜夜思", {"李白": {"靜夜思": ["wrote"]}})[0][2:]
        ('wrote', 3, 6)
    """
    firsts: dict[str, tuple[int, int]] = {}
    for start, end in _occurrences(text, pairs):
        firsts.setdefault(text[start:end], (start, end))
    return [
        Relation(*span, predicate, place, place + len(target))
        for subject, span in firsts.items()
        for target, predicates in pairs[subject].items()
        if (place := text.find(target)) >= 0
        for predicate in predicates
    ]


def spans(text: str, relations: Iterable[Relation]) -> list[Any]:
    """Relations of a text with their parts as (start, end)."""
    return [(one[:2], one.predicate, one[3:]) for one in relations]


def written(text: str, relations: Iterable[Relation]) -> list[tuple[str, str, str]]:
    """Relations of a text with their parts as they are written."""
    return [(text[slice(*one[:2])], one.predicate, text[slice(*one[3:])]) for one in relations]


def _entity_counts(true: Iterable[Any], found: Iterable[Any]) -> dict[str, scores.Counts]:
    """The counts of entities, of one class or another."""
    return scores.entity_counts(
        *(
            [[(one.type, one.start, one.end) for one in entities] for entities in each]
            for each in (true, found)
        )
    )


def _occurrences(text: str, known: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Where known texts occur, by their beginnings, the longest first."""
    lengths = sorted(set(map(len, known)), reverse=True)
    for start in range(len(text)):
        for length in lengths:
            end = start + length
            if (
                end <= len(text)
                and text[start:end] in known
                and not (_inside_word(text, start) or _inside_word(text, end))
            ):
                yield start, end


def _inside_word(text: str, place: int) -> bool:
    around = text[max(place - 1, 0) : place + 1]
    return 0 < place < len(text) and around.isascii() and around.isalnum()


def _columns(rows: Iterable[tuple[str, T]]) -> tuple[list[str], list[T]]:
    pairs = list(rows)
    return [text for text, _ in pairs], [things for _, things in pairs]
