"""Rows of annotated texts: labels of tokens, spans and relations as places of tokens."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .annotated.normal import Entity, Relation, Tag, entities_of, marks_of
from .encoding import Rows
from .labels import number_labels
from .masking import IGNORED
from .options import TextOptions
from .parts import Piece, pieces
from .schemes import OUTSIDE, SCHEMES, scheme_of

#: Kinds of heads that label the tokens at both ends of a text as bert4keras's recipes do.
CHAINS = ("crf", "memm")


class Places:
    """Which tokens some characters are; white space around a token is none of it.

    Args:
        text: of the tokens.
        offsets: of each, the first character and the one behind the last.
    """

    def __init__(self, text: str, offsets: Sequence[tuple[int, int]]) -> None:
        self.starts, self.ends = [], []
        for start, end in offsets:
            written = text[start:end]
            self.ends.append(start + len(written.rstrip()) if written.strip() else end)
            self.starts.append(end - len(written.lstrip()))

    def of(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last token that have one of the characters; None if none has."""
        first = bisect_right(self.ends, start)
        last = bisect_left(self.starts, end) - 1
        return (first, last) if first <= last else None

    def fit(self, start: int, end: int) -> bool:
        """Whether these characters are just some tokens."""
        found = self.of(start, end)
        return found is not None and (self.starts[found[0]], self.ends[found[1]]) == (start, end)


class Whole(NamedTuple):
    """A text with all its tokens.

    Attributes:
        text: it.
        marks: its tags, entities or relations.
        parts: in which it is read.
        starts: of each part the number of its first token, special ones left out.
        places: of all tokens.
    """

    text: str
    marks: list[Any]
    parts: list[Piece]
    starts: list[int]
    places: Places


def _wholes(
    kind: str, columns: list[list[Any]], tokenizer: Any, options: TextOptions
) -> Iterator[Whole]:
    texts, cells = columns
    found = pieces(tokenizer, texts, options.max_length) if texts else iter(())
    for text, cell, parts in zip(texts, cells, found, strict=True):
        offsets: list[tuple[int, int]] = []
        starts = []
        for part in parts:
            starts.append(len(offsets) - (part.own.start - part.inner.start))
            offsets += part.places[part.own.start : part.own.stop]
        yield Whole(text, marks_of(kind, cell), parts, starts, Places(text, offsets))


def _rows(columns: Sequence[str]) -> Rows:
    return {name: [] for name in ("input_ids", *columns, "cut", "bent", "lost")}


def _count(rows: Rows, whole: Whole, bent: int, lost: int) -> None:
    """Count of a text what is odd, in its first row."""
    others = [0] * (len(whole.parts) - 1)
    rows["cut"] += [len(whole.parts) > 1, *map(bool, others)]
    rows["bent"] += [bent, *others]
    rows["lost"] += [lost, *others]
    rows["input_ids"] += [part.inputs["input_ids"] for part in whole.parts]


def encode_tags(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Labels of tokens: each has that of its characters.

    Entities that labels spell are spelled anew, token by token. What stands for no text is
    labelled as if outside, as bert4keras's recipes do, of chains; of other heads not at all.
    """
    rows = _rows(["labels"])
    edge = IGNORED
    if options.head.get("kind") in CHAINS:
        outside = [name for name in (OUTSIDE, "S") if name in options.labels]
        edge = options.labels.index(outside[0]) if outside else 0
    spelled = scheme_of(options.labels) is not None
    for whole in _wholes("tags", columns, tokenizer, options):
        label = _spelled if spelled else _plain
        labels, bent, lost = label(whole, options)
        for part, start in zip(whole.parts, whole.starts, strict=True):
            inner = labels[start : start + len(part.inner)]
            behind = len(part.places) - part.inner.stop
            rows["labels"].append([edge] * part.inner.start + inner + [edge] * behind)
        _count(rows, whole, bent, lost)
    return _with_tokens(rows)


def _spelled(whole: Whole, options: TextOptions) -> tuple[list[int], int, int]:
    """Numbers of labels of all tokens, and how many entities lie badly or are lost."""
    scheme = scheme_of(options.labels) or SCHEMES["BIO"]
    numbers = {name: number for number, name in enumerate(options.labels)}
    kinds = {name[2:] for name in options.labels if name != OUTSIDE}
    labels = [numbers.get(OUTSIDE, IGNORED)] * len(whole.places.starts)
    taken = [False] * len(labels)
    bent = lost = 0
    for start, end, kind in entities_of(whole.text, whole.marks):
        if kind not in kinds:
            number_labels([scheme.name(scheme.begin, kind)], options.labels, "tags")
        found = whole.places.of(start, end)
        if found is None or any(taken[found[0] : found[1] + 1]):
            lost += 1
            continue
        bent += not whole.places.fit(start, end)
        names = scheme.spell(kind, found[1] - found[0] + 1)
        for token, name in enumerate(names, found[0]):
            labels[token], taken[token] = numbers.get(name, IGNORED), True
    return labels, bent, lost


def _plain(whole: Whole, options: TextOptions) -> tuple[list[int], int, int]:
    """The same of labels that each stand for themselves: a token's is that of its first unit."""
    tags: list[Tag] = whole.marks
    numbers = number_labels([tag.label for tag in tags], options.labels, "tags")
    labels = [IGNORED] * len(whole.places.starts)
    bent = lost = 0
    for tag, number in zip(tags, numbers, strict=True):
        found = whole.places.of(tag.start, tag.end)
        free = [at for at in range(found[0], found[1] + 1) if labels[at] < 0] if found else []
        for token in free:
            labels[token] = number
        lost += not free
        bent += bool(free) and not whole.places.fit(tag.start, tag.end)
    return labels, bent, lost


def encode_entities(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Of each part its spans as type, first and last token, flat; those that are whole in it."""
    return _encode_spans("entities", columns, tokenizer, options)


def encode_relations(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Of each part its relations as first and last token of the subject, predicate, and object."""
    return _encode_spans("relations", columns, tokenizer, options)


def _encode_spans(
    kind: str, columns: list[list[Any]], tokenizer: Any, options: TextOptions
) -> Rows:
    rows = _rows(["spans"])
    for whole in _wholes(kind, columns, tokenizer, options):
        names = [one.type if isinstance(one, Entity) else one.predicate for one in whole.marks]
        numbers = number_labels(names, options.labels, kind)
        found = [[whole.places.of(*span) for span in _sides(one)] for one in whole.marks]
        bent = sum(
            None not in tokens and not all(whole.places.fit(*span) for span in _sides(one))
            for one, tokens in zip(whole.marks, found, strict=True)
        )
        seen = [False] * len(found)
        for part, start in zip(whole.parts, whole.starts, strict=True):
            row: dict[tuple[int, ...], None] = {}  # each once
            for at, (tokens, number) in enumerate(zip(found, numbers, strict=True)):
                ends = _within(part, start, tokens)
                if ends is not None:
                    row[(*ends[:-2], number, *ends[-2:])] = None
                    seen[at] = True
            rows["spans"].append([number for each in row for number in each])
        _count(rows, whole, bent, seen.count(False))
    return _with_tokens(rows)


def _within(part: Piece, start: int, tokens: Sequence[tuple[int, int] | None]) -> list[int] | None:
    """First and last positions of spans in a part; None where one is not whole in it.

    Args:
        part: of a text.
        start: number of its first token in the text.
        tokens: first and last token of each span in the text.
    """
    ends: list[int] = []
    for span in tokens:
        if span is None or span[0] < start or span[1] >= start + len(part.inner):
            return None
        ends += [each - start + part.inner.start for each in span]
    return ends


def _sides(one: Entity | Relation) -> list[tuple[int, int]]:
    """The spans of an entity or a relation."""
    if isinstance(one, Entity):
        return [(one.start, one.end)]
    return [(one.subject_start, one.subject_end), (one.object_start, one.object_end)]


def _with_tokens(rows: Rows) -> Rows:
    """The rows that have a token."""
    from .encoders import keep

    return keep(rows, [bool(tokens) for tokens in rows["input_ids"]])
