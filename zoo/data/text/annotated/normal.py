"""The normal form of annotated texts: characters counted from 0, ends exclusive.

A row has `text` and one of `tags`, labels of units (words or characters) that do not overlap;
`entities`, spans of a type; or `relations` of two spans.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from zoo.data.text.schemes import OUTSIDE, Scheme, follows, read_entities

#: Fields of what each column lists; numbers but for names.
FIELDS = {
    "tags": ("start", "end", "label"),
    "entities": ("start", "end", "type"),
    "relations": ("subject_start", "subject_end", "predicate", "object_start", "object_end"),
}
NAMES = ("label", "type", "predicate")
TEXT = "text"
#: Scripts that are written without spaces.
UNSPACED = re.compile("[\u2e80-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


class Entity(NamedTuple):
    """A span of a type, as `FIELDS` has it."""

    start: int
    end: int
    type: str


class Tag(NamedTuple):
    """A labelled unit, as `FIELDS` has it."""

    start: int
    end: int
    label: str


class Relation(NamedTuple):
    """Two spans and what holds between them, as `FIELDS` has it."""

    subject_start: int
    subject_end: int
    predicate: str
    object_start: int
    object_end: int


KINDS: dict[str, type[Any]] = {"tags": Tag, "entities": Entity, "relations": Relation}


class Faults:
    """What is odd in a data set, counted, with the first case of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, what: str, case: str, count: int = 1) -> None:
        """Count something, such as "spans end before they begin", of which `case` is one."""
        self.counts[what] += count
        self.first.setdefault(what, case)

    def tell(self, name: str, note: Callable[[str], Any]) -> None:
        """Say a line of each."""
        for what, count in self.counts.items():
            note(f"data set {name}: {count:,} {what} (the first: {self.first[what]})")


def features(kind: str) -> Any:
    """The columns of a table in normal form, as `datasets` describes them."""
    import datasets

    text, number = datasets.Value("string"), datasets.Value("int64")
    fields = {name: text if name in NAMES else number for name in FIELDS[kind]}
    return datasets.Features({TEXT: text, kind: datasets.List(fields)})


def is_normal(table: Any, kind: str) -> bool:
    """Whether a data set has normal form already."""
    found = getattr(table, "features", None) or {}
    inner = getattr(found.get(kind), "feature", None)
    return isinstance(inner, dict) and set(FIELDS[kind]) <= inner.keys() and TEXT in found


def make_table(kind: str, texts: Sequence[str], marks: Sequence[Sequence[Any]]) -> Any:
    """A `datasets.Dataset` of texts and their tags, entities or relations."""
    import datasets

    listed = [[dict(zip(FIELDS[kind], one, strict=True)) for one in each] for each in marks]
    return datasets.Dataset.from_dict({TEXT: list(texts), kind: listed}, features(kind))


def marks_of(kind: str, cell: Iterable[dict[str, Any]]) -> list[Any]:
    """A cell of a table in normal form as tuples."""
    make = KINDS[kind]
    return [make(*(one[name] for name in FIELDS[kind])) for one in cell]


def join(units: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Units as a text, and the characters of each.

    Between Chinese ones nothing is put, nor between single characters; between others a space.

    Example:
        >>> join(["他", "用", "Mac", "OS"])[0], join(["Peter", "Blackburn"])
        ('他用Mac OS', ('Peter Blackburn', [(0, 5), (6, 15)]))
    """
    spaced = not any(map(UNSPACED.search, units)) and any(len(unit) > 1 for unit in units)
    text, places, before = "", [], ""
    for unit in units:
        if before and unit and (spaced or _are_words(before, unit)):
            text += " "
        places.append((len(text), len(text) + len(unit)))
        text, before = text + unit, unit or before
    return text, places


def _are_words(before: str, unit: str) -> bool:
    """Whether two units would run together."""
    plain = f"{before[-1]}{unit[0]}"
    return len(before) + len(unit) > 2 and plain.isascii() and plain.isalnum()


def chain(text: str, tags: Sequence[Tag]) -> list[Tag]:
    """Tags with an `O` for what no unit covers between two of them, but for white space."""
    found: list[Tag] = []
    end = 0
    for tag in tags:
        if text[end : tag.start].strip():
            found.append(Tag(end, tag.start, OUTSIDE))
        found.append(tag)
        end = tag.end
    if text[end:].strip():
        found.append(Tag(end, len(text), OUTSIDE))
    return found


def entities_of(text: str, tags: Sequence[Tag]) -> list[Entity]:
    """The entities that labels of units spell."""
    row = chain(text, tags)
    found = read_entities([tag.label for tag in row])
    return [Entity(row[first].start, row[last].end, kind) for kind, first, last in found]


def odd_tags(text: str, tags: Sequence[Tag]) -> list[Tag]:
    """Tags that do not follow what stands before them, as I-LOC behind O."""
    found, before = [], OUTSIDE
    for tag in chain(text, tags):
        if not follows(before, tag.label):
            found.append(tag)
        before = tag.label
    return found


def disjoint(spans: Sequence[Entity]) -> tuple[list[Entity], list[Entity]]:
    """Spans that do not overlap, longer ones first to stay, in order; and the others."""
    kept: list[Entity] = []
    left: list[Entity] = []
    for span in sorted(spans, key=lambda one: (one.start - one.end, one.start)):
        free = all(span.end <= one.start or one.end <= span.start for one in kept)
        (kept if free else left).append(span)
    return sorted(kept), left


def spell(text: str, spans: Sequence[Entity], scheme: Scheme) -> list[Tag]:
    """Spans that do not overlap as labels of characters."""
    covered = [
        Tag(place, place + 1, label)
        for span in spans
        for place, label in zip(
            range(span.start, span.end), scheme.spell(span.type, span.end - span.start),
            strict=True,
        )
    ]  # fmt: skip
    return chain(text, covered)
