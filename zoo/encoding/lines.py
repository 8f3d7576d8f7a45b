"""Lines of files: of text, or of JSON with a text among its values."""

import io
import json
from collections.abc import Iterator
from typing import Any

from zoo.data.text.files import CONVERT, HEAD
from zoo.errors import UsageError
from zoo.places import Place, in_words

from .rows import Content, Fault, Row, Wanted

MAX_LINE = 16 * 1024 * 1024  # bytes; what is longer is no text that a model reads
BOM = b"\xef\xbb\xbf"


class Lines:
    """Texts that stand in lines, a text or a JSON object each.

    Args:
        name: what messages call the data set.
        place: the folder or file.
        files: names of files inside, in order; an empty one is the place itself.
        column: the value of JSON objects that is the text; None for lines of text.
        key: the value that is the key.
    """

    def __init__(
        self, name: str, place: Place, files: list[str], column: str | None, key: str | None
    ) -> None:
        self.name, self.place, self.files = name, place, files
        self.column, self.key = column, key
        self.fingerprint = place.fingerprint(files)
        self.count: int | None = None
        if key is not None and column is None:
            raise UsageError(f"data set {name}: lines of text have no column {key!r}; leave --key")
        for file in files:
            self._check(file)

    def _check(self, file: str) -> None:
        """Refuse a file that is empty, or binary where text should be."""
        with self.place.open(file) as stream, in_words(str(self.place)):
            head = stream.read(HEAD)
        where = self.place.path(file)
        if not head:
            raise UsageError(f"data set {self.name}: {where} is empty (0 bytes); get it again")
        if b"\0" in head:
            raise UsageError(
                f"data set {self.name}: {where} is UTF-16 or not text (it has bytes of 0); "
                f"{CONVERT.format('utf-16')}"
            )

    def read(self, wanted: Wanted) -> Iterator[Row]:
        """Rows of the lines that are wanted; others are not decoded."""
        number = 0
        for file in self.files:
            with self.place.open(file) as stream, in_words(str(self.place)):
                for line in _lines(stream):
                    if self.column is not None and line is not None and not line.strip():
                        continue  # JSON lines may have empty ones between them
                    for _ in wanted.within(number, number + 1):
                        yield self._row(number, line)
                    if wanted.over:
                        return
                    number += 1
        self.count = number

    def _row(self, number: int, line: bytes | None) -> Row:
        if line is None:
            return Row(number, str(number), Fault(f"is longer than {MAX_LINE:,} bytes"))
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            fault = Fault(f"is not UTF-8 (byte 0x{line[error.start]:02x})")
            return Row(number, str(number), fault)
        if self.column is None:
            return Row(number, str(number), text)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply, or a number too long")
            return Row(number, str(number), Fault(f"is not JSON ({reason})"))
        if not isinstance(values, dict):
            return Row(number, str(number), Fault("is no JSON object"))
        content = text_of(values.get(self.column), self.column)
        return keyed(number, content, self.key, values.get(self.key))


def keyed(number: int, content: Content, key: str | None, cell: Any) -> Row:
    """A row with its key.

    Args:
        number: of the row.
        content: of the row.
        key: the column of keys; None is the number.
        cell: of that column.
    """
    if key is None:
        return Row(number, str(number), content)
    if cell is None or isinstance(cell, Fault):
        return Row(number, str(number), Fault(f"has no key in the column {key}"))
    return Row(number, str(cell), content)


def text_of(cell: Any, column: str) -> str | Fault:
    """The text in a cell, or why there is none."""
    if isinstance(cell, str | Fault):
        return cell
    if cell is None:
        return Fault(f"has nothing (null) in the column {column}")
    return Fault(f"has {cell!r:.40} in the column {column}, which is no text")


def _lines(stream: io.BufferedIOBase) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is too long, which is never in memory whole."""
    first = True
    while line := stream.readline(MAX_LINE + 1):
        if first:
            line, first = line.removeprefix(BOM), False
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield None
            continue
        yield line.removesuffix(b"\n").removesuffix(b"\r")
