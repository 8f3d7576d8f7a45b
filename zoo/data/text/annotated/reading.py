"""Annotated texts of a file, a folder or the Hub, in normal form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.addresses import copied, here
from zoo.data.sources import DATASETS, locate
from zoo.data.splits import assign, canonical, parts_of
from zoo.data.text.labels import name_label, stated_names
from zoo.data.text.loading import describes, load_texts
from zoo.data.text.schemes import SCHEMES, scheme_of
from zoo.errors import NotFoundError, UsageError
from zoo.places import is_address

from . import files
from .normal import (
    FIELDS,
    Entity,
    Faults,
    Relation,
    Tag,
    disjoint,
    entities_of,
    is_normal,
    join,
    make_table,
    marks_of,
    odd_tags,
    spell,
)
from .spans import Ends, Resolver
from .spellings import (
    ENTITIES,
    RELATIONS,
    TAGS,
    TEXTS,
    TOKENS,
    find,
    spans_in,
    spans_of,
    triples_in,
)

Note = Callable[[str], Any]
Row = Mapping[str, Any]
#: Files that are read here, and those that `load_texts` reads, by their suffixes.
READ = (*files.JSON, *files.COLUMNS, *files.PLAIN)
TABLES = (".parquet", ".csv", ".tsv")
#: The scheme that spells words apart by spaces, unless a card names one.
WORDS = "BMES"


@dataclass(frozen=True)
class Reading:
    """What a card says of annotations.

    Attributes:
        column: of the texts; None for the usual names.
        label: of the annotations; None for the usual names.
        layout: of files of plain text, "columns" or "segmented"; None for what they tell.
        scheme: a key of `SCHEMES` by which spans become tags; None for BIO, of words BMES.
        ends: "inclusive" or "exclusive", of spans; None for what they tell.
        labels: that are known already. Numbers are known by the names that a data set states for
            them, unless none of these is among those known.
    """

    column: str | None = None
    label: str | None = None
    layout: str | None = None
    scheme: str | None = None
    ends: str | None = None
    labels: tuple[str, ...] = ()


def load_annotated(
    name: str,
    split: str,
    kind: str,
    reading: Reading,
    *,
    config: str | None = None,
    note: Note | None = None,
    quiet: bool = True,
) -> Any:
    """One split of annotated texts.

    Args:
        name: a file or folder, an address of either that fsspec knows, a name of
            `zoo.data.DATASETS` or a Hub id.
        split: in the slicing syntax of `datasets`.
        kind: "tags", "entities" or "relations".
        reading: what is said of them.
        config: the configuration, where a data set has several.
        note: told what was taken for granted, and what is odd, a line each; None if nobody is.
        quiet: draw no progress bars while downloading.

    Returns:
        A `datasets.Dataset` of `text` and a column called as the kind; see `normal`.

    Raises:
        GenaeError: as `load_texts`; or an annotation is of no known form, or outside its text.
    """
    note = note or (lambda _: None)
    there = is_address(here(name))
    place = copied(name, split, (*READ, *TABLES), mixed=True) if there else locate(name)
    described = isinstance(place, Path) and place.is_dir() and (config or describes(place))
    if isinstance(place, Path) and not described and name not in DATASETS:
        splits = _files(name, place)
        if splits is not None:
            asked = [each for each in splits if each in canonical(split)] or list(splits)
            rows = {
                each: [row for file in splits[each] for row in _read(file, reading, note)]
                for each in asked
            }
            rows = {each: found for each, found in rows.items() if found}
            if not rows:
                raise UsageError(f"data set {name}: {place} has no annotated texts; look at it")
            wanted = parts_of(name, split, {each: len(found) for each, found in rows.items()})
            chosen = [row for each, part in wanted for row in rows[each][part]]
            return _normal(name, chosen, kind, reading, note)
    table = load_texts(name, split, None, config=config, quiet=quiet)
    return normal_form(name, table, kind, reading, note)


def normal_form(name: str, table: Any, kind: str, reading: Reading, note: Note) -> Any:
    """A table of any of the known forms in normal form; arguments as of `load_annotated`."""
    if is_normal(table, kind):
        return table
    stated = {column: stated_names(table, column) for column in table.column_names}
    known = set(reading.labels)
    stated = {
        column: () if known and known.isdisjoint(names) else names
        for column, names in stated.items()
    }
    rows = (
        (
            f"data set {name}, row {number}",
            {key: name_label(cell, stated[key]) for key, cell in row.items()},
        )
        for number, row in enumerate(table)
    )
    return _normal(name, list(rows), kind, reading, note)


def _files(name: str, place: Path) -> dict[str, list[Path]] | None:
    """The files that are read here, by split; None where `load_texts` reads them."""
    if place.is_file():
        return None if place.suffix.lower() in TABLES else {"train": [place]}
    paths = sorted(
        path.relative_to(place)
        for path in place.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    )
    found = [path for path in paths if path.suffix.lower() in READ and path.stem != "README"]
    if not found or any(path.suffix.lower() == ".parquet" for path in paths):
        if not paths:
            raise NotFoundError(f"data set {name}: {place} has no files")
        return None
    splits: dict[str, list[Path]] = {}
    for member in assign(found):
        splits.setdefault(member.split, []).append(place / member.path)
    return splits


def _read(file: Path, reading: Reading, note: Note) -> Iterator[tuple[str, Row]]:
    """The rows of a file, each with its place."""
    if file.suffix.lower() in files.JSON:
        return files.read_json(file)
    layout, why = (reading.layout, "") if reading.layout else files.layout_of(file)
    if why and file.suffix.lower() not in files.COLUMNS:
        note(f"{file.name} is read as {layout}: {why} (data.layout says otherwise)")
    if layout == "columns":
        return files.read_columns(file)
    return files.read_segmented(file, reading.scheme or WORDS)


def _normal(
    name: str, rows: Sequence[tuple[str, Row]], kind: str, reading: Reading, note: Note
) -> Any:
    """Rows of any form as a table in normal form."""
    faults = Faults()
    texts, marks = MAKERS[kind](rows, reading, faults, note)
    faults.tell(name, note)
    return make_table(kind, texts, marks)


def _text(row: Row, place: str, reading: Reading) -> str | None:
    """The text of a row; None where it has units instead."""
    text = find(row, [reading.column] if reading.column else TEXTS)
    if text is None or isinstance(text, list):
        return None
    if not isinstance(text, str):
        raise UsageError(f"{place}: {text!r:.40} is no text; name the column of texts in columns")
    return text


def _missing(kind: str, row: Row, place: str, reading: Reading) -> UsageError:
    named = " and ".join(f"{each!r}" for each in (reading.column, reading.label) if each)
    return UsageError(
        f"{place}: has no {kind}{f' in {named}' if named else ''}, only {', '.join(row)}; name "
        "the column of texts in columns, that of annotations in label"
    )


def units_of(row: Row, place: str, reading: Reading) -> tuple[str, list[Tag]] | None:
    """Text and tags of a row that has tags; None where it has none."""
    tags = find(row, [reading.label] if reading.label else TAGS)
    words = find(row, [reading.column] if reading.column else TOKENS)
    text = _text(row, place, reading)
    if not isinstance(tags, list):
        return None
    if text is not None and all(isinstance(tag, Mapping) for tag in tags):
        if not all(set(FIELDS["tags"]) <= tag.keys() for tag in tags):
            return None
        return text, sorted(marks_of("tags", tags))
    if not all(isinstance(tag, str | int) for tag in tags):
        return None
    if not isinstance(words, list):
        if text is None:
            return None
        words = list(text)
    else:
        text = None
    if not all(isinstance(word, str) for word in words):
        odd = next(word for word in words if not isinstance(word, str))
        raise UsageError(
            f"{place}: {odd!r:.40} is no word; a row is a list of words and one of tags"
        )
    if len(words) != len(tags):
        raise UsageError(
            f"{place}: has {len(words)} words and {len(tags)} labels ({' '.join(words):.40}); "
            "give each word one label"
        )
    joined, places = join(words)
    if text is None:
        text = joined
    else:
        places = [(place, place + 1) for place in range(len(text))]
    pairs = zip(places, tags, strict=True)
    return text, [Tag(*ends, str(tag)) for ends, tag in pairs if ends[0] < ends[1]]


def _tags(
    rows: Sequence[tuple[str, Row]], reading: Reading, faults: Faults, note: Note
) -> tuple[list[str], list[list[Tag]]]:
    """Texts and tags, of rows with tags or with spans, which a scheme spells."""
    found = [units_of(row, place, reading) for place, row in rows]
    if all(each is None for each in found):
        texts, spans = _spans(rows, reading, faults, note, "tags")
        scheme, marks = SCHEMES[reading.scheme or "BIO"], []
        for (place, _), text, each in zip(rows, texts, spans, strict=True):
            kept, left = disjoint(each)
            if left:
                what = "spans overlap others, longer ones; a chain of tags has no place for them"
                faults.add(what, f"{place}: {text[left[0].start : left[0].end]!r:.40}", len(left))
            marks.append(spell(text, kept, scheme))
        return texts, marks
    for (place, row), one in zip(rows, found, strict=True):
        if one is None:
            raise _missing("tags", row, place, reading)
    made = [one for one in found if one is not None]
    if scheme_of({tag.label for _, tags in made for tag in tags}) is not None:
        for (place, _), (text, tags) in zip(rows, made, strict=True):
            if odd := odd_tags(text, tags):
                what = "tags do not follow their scheme; each begins an entity"
                faults.add(
                    what, f"{place}: {odd[0].label} of {text[slice(*odd[0][:2])]!r}", len(odd)
                )
    return [text for text, _ in made], [tags for _, tags in made]


def _entities(
    rows: Sequence[tuple[str, Row]], reading: Reading, faults: Faults, note: Note
) -> tuple[list[str], list[list[Entity]]]:
    """Texts and entities, of rows with spans or with tags that spell them."""
    known = [reading.label] if reading.label else ENTITIES
    if any(spans_of(row, known) is not None for _, row in rows):
        return _spans(rows, reading, faults, note, "entities")
    if any(units_of(row, place, reading) is None for place, row in rows):
        return _spans(rows, reading, faults, note, "entities")
    texts, tags = _tags(rows, reading, faults, note)
    labels = {tag.label for each in tags for tag in each}
    if labels and scheme_of(labels) is None:
        raise UsageError(
            f"{rows[0][0]}: its tags spell no entities ({', '.join(sorted(labels)[:5])}); B-LOC "
            "and I-LOC would, or learn them with task = 'tags'"
        )
    return texts, [entities_of(text, each) for text, each in zip(texts, tags, strict=True)]


def _spans(
    rows: Sequence[tuple[str, Row]], reading: Reading, faults: Faults, note: Note, wanted: str
) -> tuple[list[str], list[list[Entity]]]:
    """Texts and the spans that rows list; a row may lack them where others have some."""
    texts, raw = [], []
    known = [reading.label] if reading.label else ENTITIES
    some = any(spans_of(row, known) is not None for _, row in rows)
    for place, row in rows:
        text = _text(row, place, reading)
        cell = spans_of(row, known)
        if text is None or (cell is None and not some):
            raise _missing(wanted, row, place, reading)
        texts.append(text)
        raw.append([] if cell is None else list(spans_in(cell, place)))
    places = [place for place, _ in rows]
    resolve = Resolver(Ends.of(zip(places, texts, raw, strict=True), reading.ends, note), faults)
    return texts, [
        sorted({Entity(*ends, span.type) for span in each if (ends := resolve(span, text, place))})
        for place, text, each in zip(places, texts, raw, strict=True)
    ]


def _relations(
    rows: Sequence[tuple[str, Row]], reading: Reading, faults: Faults, note: Note
) -> tuple[list[str], list[list[Relation]]]:
    """Texts and the relations that rows list; a row may lack them where others have some."""
    texts, raw, normal = [], [], set(FIELDS["relations"])
    known = [reading.label] if reading.label else RELATIONS
    some = any(find(row, known) is not None for _, row in rows)
    for place, row in rows:
        text = _text(row, place, reading)
        cell = find(row, known)
        if text is None or (cell is None and not some):
            raise _missing("relations", row, place, reading)
        texts.append(text)
        if isinstance(cell, list) and cell and isinstance(cell[0], Mapping):
            if normal <= cell[0].keys():
                raw.append(marks_of("relations", cell))
                continue
        raw.append([] if cell is None else list(triples_in(cell, row, place)))
    places = [place for place, _ in rows]
    sides = [
        [side for one in each if not isinstance(one, Relation) for side in (one[0], one[2])]
        for each in raw
    ]
    resolve = Resolver(Ends.of(zip(places, texts, sides, strict=True), reading.ends, note), faults)
    found = []
    for place, text, each in zip(places, texts, raw, strict=True):
        kept = set()
        for one in each:
            if isinstance(one, Relation):
                kept.add(one)
                continue
            subject, target = (resolve(side, text, place) for side in (one.subject, one.object))
            if subject and target:
                kept.add(Relation(*subject, one.predicate, *target))
        found.append(sorted(kept))
    return texts, found


MAKERS: dict[str, Callable[..., tuple[list[str], list[list[Any]]]]] = {
    "tags": _tags,
    "entities": _entities,
    "relations": _relations,
}
