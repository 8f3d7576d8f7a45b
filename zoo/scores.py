"""How right labels, entities, relations and similarities are, from what is true and what is found.

Labels, entities and relations are compared as sets, text by text: whatever is true and found is
correct. A share of nothing is 0, as scikit-learn, seqeval and conlleval have it: where nothing is
true and nothing found, precision, recall and F1 are 0, for there was nothing to be right about.
Kinds that are neither true nor found anywhere have no score and are in no average.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from zoo.errors import UsageError

Item = TypeVar("Item", bound=Hashable)

#: Type, first and last place of an entity; subject, predicate and object of a relation.
Triple = tuple[Hashable, Hashable, Hashable]
#: A label, or those of several that hold.
Labels = str | int | Iterable[str] | Iterable[int]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many things of a kind are true, found, and both.

    Attributes:
        correct: number of those that are true and found.
        found: number of those found.
        true: number of those that are true.
    """

    correct: int = 0
    found: int = 0
    true: int = 0

    @property
    def precision(self) -> float:
        """Share of what was found that is true, in [0, 1]; 0 where nothing was found."""
        return self.correct / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of what is true that was found, in [0, 1]; 0 where nothing is true."""
        return self.correct / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; 0 where one of them is."""
        both = self.found + self.true
        return 2 * self.correct / both if both else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.correct + other.correct, self.found + other.found, self.true + other.true
        )


def label_counts(true: Sequence[Labels], found: Sequence[Labels]) -> dict[str, Counts]:
    """The counts of every label that occurs or is predicted, by name; names in order.

    Args:
        true: of each text or token its label, or its labels, which may be none.
        found: the same as predicted.

    Raises:
        ValueError: the two have different lengths.

    Example:
        >>> label_counts(["a", "b"], ["a", "a"])["a"]
        Counts(correct=1, found=2, true=1)
    """
    return _compare([*map(_as_set, true)], [*map(_as_set, found)], str)


def entity_counts(
    true: Sequence[Iterable[Triple]], found: Sequence[Iterable[Triple]]
) -> dict[str, Counts]:
    """The counts of every type of entity; an entity is right if its type and both ends are.

    Args:
        true: of each text its entities: type, start, end, in characters or in tokens.
        found: the same as predicted.

    Raises:
        ValueError: the two have different lengths.

    Example:
        >>> entity_counts([[("LOC", 0, 2), ("PER", 3, 5)]], [[("LOC", 0, 2), ("PER", 3, 4)]])
        {'LOC': Counts(correct=1, found=1, true=1), 'PER': Counts(correct=0, found=1, true=1)}
    """
    return _compare(true, found, lambda entity: str(entity[0]))


def relation_counts(
    true: Sequence[Iterable[Triple]], found: Sequence[Iterable[Triple]]
) -> dict[str, Counts]:
    """The counts of every predicate; a relation is right if all three parts of it are.

    Args:
        true: of each text its relations: subject, predicate, object. Spans (start, end) are
            compared exactly; texts of spans as the evaluation of DuIE compares them, where the
            same words elsewhere in the text count as the same, and once.
        found: the same as predicted.

    Raises:
        ValueError: the two have different lengths.
    """
    return _compare(true, found, lambda relation: str(relation[1]))


def micro(counts: Mapping[str, Counts], leave_out: Iterable[str] = ()) -> Counts:
    """The sum of the counts of all kinds but some; its F1 is the micro-averaged F1.

    Args:
        counts: by kind.
        leave_out: kinds, such as the label of what is no entity.
    """
    apart = set(leave_out)
    return sum((each for kind, each in counts.items() if kind not in apart), Counts())


def macro_f1(counts: Mapping[str, Counts]) -> float:
    """The mean of the F1 of all kinds, in [0, 1]; 0 where there is none."""
    return sum(each.f1 for each in counts.values()) / len(counts) if counts else 0.0


def accuracy(true: Sequence[Labels], found: Sequence[Labels]) -> float:
    """Share of texts or tokens whose label, or set of labels, is right, in [0, 1].

    0 where there is none. Of several labels at once this is the subset accuracy, which asks for
    all of a text's labels and no other.

    Raises:
        ValueError: the two have different lengths.
    """
    right = [_as_set(one) == _as_set(other) for one, other in zip(true, found, strict=True)]
    return sum(right) / len(right) if right else 0.0


def spearman(true: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's rank correlation, in [-1, 1]; ties have their mean rank.

    0 where either is the same everywhere, and so ranks nothing, or has values that are not finite.

    Args:
        true: similarities of pairs, of any range.
        found: the same as predicted, of any other range.

    Raises:
        UsageError: there are fewer than two.
        ValueError: the two have different lengths.
    """
    from scipy.stats import spearmanr

    pairs = [*zip(true, found, strict=True)]
    if len(pairs) < 2:
        raise UsageError(f"a rank correlation needs at least 2 pairs, got {len(pairs)}; give more")
    if min(len({*true}), len({*found})) == 1 or not all(map(isfinite, (*true, *found))):
        return 0.0
    return float(spearmanr(true, found).statistic)


def character_overlap(one: str, other: str) -> float:
    """Share of the different characters of two texts that both have (Jaccard), in [0, 1].

    Two texts without any are equal: 1.

    Example:
        >>> character_overlap("床前明月光", "明月光")
        0.6
    """
    every = {*one} | {*other}
    return len({*one} & {*other}) / len(every) if every else 1.0


def _as_set(labels: Labels) -> set[str | int]:
    return {labels} if isinstance(labels, str | int) else {*labels}


def _compare(
    true: Sequence[Iterable[Item]],
    found: Sequence[Iterable[Item]],
    kind: Callable[[Item], str],
) -> dict[str, Counts]:
    """Counts by kind of the things of all texts."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("correct", "found", "true")}
    for wanted, got in zip(map(set, true), map(set, found), strict=True):
        for name, things in (("correct", wanted & got), ("found", got), ("true", wanted)):
            totals[name].update(map(kind, things))
    kinds = sorted({*totals["true"], *totals["found"]})
    return {
        each: Counts(**{name: number[each] for name, number in totals.items()}) for each in kinds
    }
