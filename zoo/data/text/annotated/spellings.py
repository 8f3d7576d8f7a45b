"""How published data sets call the parts of an annotation, and what each becomes.

Forms of CLUENER, CMeEE, CCKS, doccano, DuIE, CMeIE, OpenNRE, and those of the Hub.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from zoo.errors import UsageError

TEXTS = ("text", "sentence", "originalText", "content", "sentText", "raw_text")
TOKENS = ("tokens", "words", "characters", "chars", "token")
TAGS = ("tags", "ner_tags", "labels", "label", "ner", "bio_tags", "pos_tags", "tag")
ENTITIES = ("entities", "spans", "entity_list", "label", "labels", "annotations", "ner")
RELATIONS = ("relations", "spo_list", "triples", "triple_list", "relation_list", "spoes")

START = ("start", "start_idx", "start_offset", "start_pos", "start_index", "begin", "offset_start")
END = ("end", "end_idx", "end_offset", "end_pos", "end_index", "offset_end")
BOTH = ("pos", "offsets", "offset", "span", "indices")
TYPE = ("type", "label", "label_type", "entity_type", "entity_group", "category", "tag")
WRITTEN = ("entity", "text", "mention", "word", "name", "value", "@value")
PREDICATE = ("predicate", "relation", "type", "label", "relation_type")
SUBJECT = ("subject", "head", "h", "from_id", "em1Text", "arg1")
OBJECT = ("object", "tail", "t", "to_id", "em2Text", "arg2")


class Span(NamedTuple):
    """A span as a file has it.

    Attributes:
        start: of its first character; None where only its text is written.
        end: as it is written, of its last character or behind it.
        type: its name; empty where a span has none.
        text: that is written beside it; None where none is.
    """

    start: int | None
    end: int | None
    type: str
    text: str | None


class Triple(NamedTuple):
    """A relation as a file has it."""

    subject: Span
    predicate: str
    object: Span


def find(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """What a row has under the first of some names that it has; None where it has none."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def spans_of(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """What a row has under the first of some names that lists spans; None where none does."""
    for name in names:
        value = as_rows(row.get(name))
        if isinstance(value, Mapping) or (isinstance(value, list) and not _are_names(value)):
            return value
    return None


def _are_names(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, str | int) for each in value)


def as_rows(value: Any) -> Any:
    """A table of columns, as some data sets hold lists of objects, as objects."""
    columns = isinstance(value, Mapping) and value and all(
        isinstance(each, list) for each in value.values()
    )  # fmt: skip
    if not columns or not set(value) & {*START, *TYPE, *PREDICATE, *BOTH}:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]


def spans_in(value: Any, place: str) -> Iterator[Span]:
    """The spans that a cell lists.

    Args:
        value: objects with start, end and type; lists `[start, end, type]`; or CLUENER's
            `{type: {text: [[start, end], ...]}}`.
        place: of the row, for messages.

    Raises:
        UsageError: it is of another form.
    """
    value = as_rows(value)
    if isinstance(value, Mapping):
        for kind, found in value.items():
            if not isinstance(found, Mapping):
                raise _odd(place, {kind: found})
            for text, ends in found.items():
                for pair in ends or ():
                    yield Span(*_pair(pair, place), str(kind), str(text))
        return
    if not isinstance(value, list):
        raise _odd(place, value)
    for one in value:
        yield _span(one, place)


def _span(one: Any, place: str) -> Span:
    if isinstance(one, Mapping):
        start, end = _ends(one, place)
        kind, text = find(one, TYPE), find(one, WRITTEN)
        if start is None or kind is None:
            raise _odd(place, one)
        return Span(start, end, _name(kind), text if isinstance(text, str) else None)
    if isinstance(one, list | tuple) and len(one) == 3:
        kinds = [each for each in one if isinstance(each, str)]
        if len(kinds) == 1:
            return Span(
                *_pair([each for each in one if each is not kinds[0]], place), kinds[0], None
            )
    raise _odd(place, one)


def _ends(one: Mapping[str, Any], place: str) -> tuple[int | None, int | None]:
    both = find(one, BOTH)
    while isinstance(both, list) and len(both) == 1:  # [[start, end]]
        both = both[0]
    if isinstance(both, list):
        return _pair(both, place)
    start, end = find(one, START), find(one, END)
    return (None, None) if start is None or end is None else _pair([start, end], place)


def _pair(pair: Any, place: str) -> tuple[int, int]:
    whole = isinstance(pair, list | tuple) and len(pair) == 2
    if not whole or not all(isinstance(each, int) for each in pair):
        raise UsageError(f"{place}: {pair!r:.60} is not the start and the end of a span; mend it")
    return pair[0], pair[1]


def _name(value: Any) -> str:
    """A type or predicate, which some data sets put into a list."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return str(value)


def _odd(place: str, value: Any) -> UsageError:
    return UsageError(
        f"{place}: {value!r:.80} is no span of a type, such as "
        '{"start": 0, "end": 2, "type": "LOC"} or [0, 2, "LOC"]; mend it, or name another column '
        "with label"
    )


def triples_in(value: Any, row: Mapping[str, Any], place: str) -> Iterator[Triple]:
    """The relations that a cell lists.

    Args:
        value: objects with subject, predicate and object, each a text, `[start, end]`, or an
            object with either, or the `id` of one of the row's entities; or lists of three. Of
            several objects by their roles, as DuIE 2 has, `@value` is that of the predicate, and
            of another role ROLE that of `predicate_ROLE`.
        row: that it stands in.
        place: of the row, for messages.

    Raises:
        UsageError: it is of another form.
    """
    value = as_rows(value)
    if not isinstance(value, list):
        raise _unrelated(place, value)
    known: dict[Any, Span] = {}
    for one in find(row, ENTITIES) or ():
        if isinstance(one, Mapping) and "id" in one:
            known[one["id"]] = _span(one, place)
    for one in value:
        if isinstance(one, Mapping):
            subject, name, target = (find(one, keys) for keys in (SUBJECT, PREDICATE, OBJECT))
        elif isinstance(one, list | tuple) and len(one) == 3:
            subject, name, target = one
        else:
            raise _unrelated(place, one)
        if subject is None or name is None or target is None:
            raise _unrelated(place, one)
        first = _side(subject, known, place, one)
        roles = {"@value": target}
        if isinstance(target, Mapping) and "@value" in target:
            roles = {role: text for role, text in target.items() if text}
        for role, each in roles.items():
            predicate = _name(name) if role == "@value" else f"{_name(name)}_{role}"
            yield Triple(first, predicate, _side(each, known, place, one))


def _side(value: Any, known: Mapping[Any, Span], place: str, one: Any) -> Span:
    if isinstance(value, str) and value not in known:
        return Span(None, None, "", value)
    if isinstance(value, str | int) and value in known:
        return known[value]
    if isinstance(value, list | tuple):
        return Span(*_pair(value, place), "", None)
    if isinstance(value, Mapping):
        start, end = _ends(value, place)
        text = find(value, WRITTEN)
        text = text[0] if isinstance(text, list) and len(text) == 1 else text
        if start is not None or isinstance(text, str):
            return Span(start, end, "", text if isinstance(text, str) else None)
    raise _unrelated(place, one)


def _unrelated(place: str, value: Any) -> UsageError:
    return UsageError(
        f"{place}: {value!r:.80} is no relation, such as "
        '{"subject": "a", "predicate": "is", "object": "b"}; mend it, or name another column with '
        "label"
    )
