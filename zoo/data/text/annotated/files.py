"""Files of annotated texts: columns of tags, segmented words, JSON."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from zoo.data.text.schemes import LABEL, SCHEMES
from zoo.errors import UsageError

from .normal import join

#: Endings of names that say what is in a file of tags.
COLUMNS = (".conll", ".bio", ".bmes", ".bmeo", ".bioes", ".bieos", ".iob", ".iob2", ".ner", ".crf")
#: Others of plain text, where the content says it.
PLAIN = (".txt", ".utf8", ".train", ".dev", ".test", ".valid", ".tags", ".seg", "")
JSON = (".json", ".jsonl")
DOCUMENT = "-DOCSTART-"
LAYOUTS = ("columns", "segmented")
SAMPLE = 400  # lines that are looked at

Row = dict[str, Any]


def read_json(file: Path) -> Iterator[tuple[str, Row]]:
    """The objects of a file, JSON lines or one array, each with its place.

    Raises:
        UsageError: it is neither; with the line.
    """
    with file.open(encoding="utf-8-sig") as stream:
        start = stream.read(1)
        while start.isspace():
            start = stream.read(1)
        stream.seek(0)
        if start == "[":
            for number, row in enumerate(_parsed(file, stream.read(), "")):
                yield _row(f"{file}, item {number}", row)
            return
        for number, line in enumerate(stream, 1):
            if line.strip():
                place = f"{file}, line {number}"
                yield _row(place, _parsed(file, line, f", line {number}"))


def _parsed(file: Path, text: str, line: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise UsageError(
            f"{file}{line}: is not JSON ({reason}); write one object a line, or one array"
        ) from None


def _row(place: str, row: Any) -> tuple[str, Row]:
    if not isinstance(row, dict):
        raise UsageError(f'{place}: is {row!r:.40}, not an object such as {{"text": "..."}}')
    return place, row


def layout_of(file: Path) -> tuple[str, str]:
    """How a file of plain text is laid out, and what says so; of `LAYOUTS`.

    Raises:
        UsageError: it cannot be told.
    """
    if file.suffix.lower() in COLUMNS:
        return "columns", f"its name ends with {file.suffix}"
    lines = [line for _, line in islice(_lines(file), SAMPLE)]
    rows = [_fields(line) for line in lines if line.strip()]
    widths = {len(row) for row in rows}
    last = [row[-1] for row in rows]
    (width, *others) = sorted(widths) or [0]
    if not others and width > 1:
        blank = any(not line.strip() for line in lines)
        if all(map(LABEL.fullmatch, last)) or (blank and len(set(last)) <= len(last) / 2):
            return "columns", f"all lines have {width} columns, the last of tags"
    if others and not any("\t" in line for line in lines):
        return "segmented", "lines have several words each, of another number"
    raise UsageError(
        f"{file}: neither columns that end with a tag nor words apart by spaces, as far as its "
        f"first {len(rows)} lines tell; say which with layout = {' or '.join(map(repr, LAYOUTS))}"
    )


def read_columns(file: Path) -> Iterator[tuple[str, Row]]:
    """The texts of a file of columns, `word ... tag` a line, apart by blank lines.

    Yields:
        The place of a text's first line, and its words and tags.

    Raises:
        UsageError: a line has another number of columns than the first.
    """
    words: list[str] = []
    tags: list[str] = []
    begun, width = 0, 0
    for number, line in _lines(file):
        if not line.strip():
            if words:
                yield _tagged(file, begun, words, tags)
            words, tags = [], []
            continue
        fields = _fields(line)
        if len(fields) == 1 and line[0].isspace():
            fields = [" ", *fields]  # the word is a space
        width = width or len(fields)
        if len(fields) != width or width < 2:
            if line.startswith("# "):
                continue  # what files of CoNLL-U say of a text
            raise UsageError(
                f"{file}, line {number}: {line!r:.40} has {len(fields)} column"
                f"{'s' * (len(fields) != 1)}, and a line is a word and, last, its tag"
                + (f", {width} columns as before" if width > 1 else "")
                + "; mend it"
            )
        begun = begun if words else number
        words.append(fields[0])
        tags.append(fields[-1])
    if words:
        yield _tagged(file, begun, words, tags)


def _tagged(file: Path, line: int, words: list[str], tags: list[str]) -> tuple[str, Row]:
    return f"{file}, line {line}", {"tokens": words, "tags": tags}


def read_segmented(file: Path, scheme: str) -> Iterator[tuple[str, Row]]:
    """The texts of a file of words apart by spaces, a text a line, as tags of characters.

    Args:
        file: of UTF-8.
        scheme: a key of `SCHEMES`, whose labels spell the words.
    """
    for number, line in _lines(file):
        words = line.split()
        if not words:
            continue
        text, places = join(words)
        tags = [
            {"start": start + at, "end": start + at + 1, "label": label}
            for start, end in places
            for at, label in enumerate(SCHEMES[scheme].spell("", end - start))
        ]
        yield f"{file}, line {number}", {"text": text, "tags": tags}


def _fields(line: str) -> list[str]:
    return [each for each in re.split("\t" if "\t" in line else r"\s+", line.strip()) if each]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file of plain text with their numbers, but for those that begin documents."""
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as stream:
            for number, line in enumerate(stream, 1):
                if not line.startswith(DOCUMENT):
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file}: is not UTF-8 (byte 0x{error.object[error.start]:02x}); convert it first, "
            "for example `iconv -f gb18030 -t utf-8 a > b`"
        ) from None
