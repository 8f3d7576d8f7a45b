"""Files of texts: which there are, which split each belongs to, what is wrong with one."""

import csv
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.data.folders import ARCHIVES
from zoo.data.splits import assign
from zoo.errors import NotFoundError, UsageError

HEAD = 4096  # bytes that are looked at before a file is read
CONVERT = "convert it to UTF-8 first, for example `iconv -f {} -t utf-8 a > b`"


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        reader: its name in `datasets`.
        settings: of that reader.
        plain: whether its content is text.
    """

    reader: str
    settings: dict[str, Any] = field(default_factory=dict)
    plain: bool = True


#: A table's cells are texts, an empty one included: `NA` is a word, "1984" a text.
_TABLE = {"encoding": "utf-8-sig", "keep_default_na": False, "na_filter": False}
FORMATS = {
    ".parquet": Format("parquet", plain=False),
    ".jsonl": Format("json"),
    ".json": Format("json"),
    ".csv": Format("csv", {**_TABLE, "sep": ","}),
    ".tsv": Format("csv", {**_TABLE, "sep": "\t"}),
    ".txt": Format("text", {"encoding": "utf-8-sig"}),
}
UNCLOSED = "unexpected end of data"  # what `csv` says of a quote without an end
_QUOTE = "put quotes around texts with {!r} in them, or name all columns"
KNOWN = ", ".join(FORMATS)


def find_files(name: str, place: Path) -> tuple[Format, dict[str, list[Path]]]:
    """The files of a data set, by split; all of one format.

    Args:
        name: what messages call the data set.
        place: a file, which is the split `train`, or a folder, whose files are in splits by the
            rules of `zoo.data.splits.assign`.

    Raises:
        NotFoundError: a folder has no files of texts.
        UsageError: the files are of no known format, of several, or one is empty or not text.
    """
    if place.is_dir():
        paths = sorted(
            path.relative_to(place)
            for path in place.rglob("*")
            if path.suffix.lower() in FORMATS and path.is_file() and not _hidden(path, place)
        )
        if not paths:
            raise NotFoundError(f"data set {name}: {place} has no files of texts ({KNOWN})")
        splits: dict[str, list[Path]] = {}
        for member in assign(paths):
            splits.setdefault(member.split, []).append(place / member.path)
    else:
        splits = {"train": [place]}
    suffixes = {file.suffix.lower() for files in splits.values() for file in files}
    if len(suffixes) > 1:
        raise UsageError(
            f"data set {name}: {place} has files of several formats "
            f"({', '.join(sorted(suffixes))}); keep those of one"
        )
    (suffix,) = suffixes
    if suffix not in FORMATS:
        what = "an archive: unpack it first" if suffix in ARCHIVES else f"none of {KNOWN}"
        raise UsageError(f"data set {name}: {place} is {what}")
    for files in splits.values():
        for file in files:
            _check(name, file, FORMATS[suffix])
    return FORMATS[suffix], splits


def csv_header(name: str, file: Path, separator: str) -> list[str]:
    """The columns that a table's first line names.

    Raises:
        UsageError: the first row has more cells than that, which readers would take for an index.
    """
    first: list[str] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter=separator)
            header = next(rows, [])
            with suppress(csv.Error):  # a text longer than this reader allows
                first = next(rows, [])
    except (UnicodeDecodeError, csv.Error):
        raise UsageError(f"data set {name}: {fault(file) or f'{file} is not a table'}") from None
    if len(first) > len(header):
        raise UsageError(
            f"data set {name}: {file} names {len(header)} columns and its first row has "
            f"{len(first)} cells; {_QUOTE.format(separator)}"
        )
    return header


def first_fault(files: Sequence[Path]) -> str | None:
    """What is wrong with the first file that is wrong, or None."""
    return next((found for file in files if (found := fault(file))), None)


def fault(file: Path) -> str | None:
    """The first line of a file that cannot be read, and why, or None."""
    suffix = file.suffix.lower()
    if suffix not in FORMATS or not FORMATS[suffix].plain:
        return None
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if suffix == ".jsonl" and text.strip() and not isinstance(json.loads(text), dict):
                    return f'{file}, line {number}: is not an object such as {{"text": "..."}}'
            except UnicodeDecodeError as error:
                byte = line[error.start]
                convert = CONVERT.format("gb18030")
                return f"{file}, line {number}: is not UTF-8 (byte 0x{byte:02x}); {convert}"
            except json.JSONDecodeError as error:
                return (
                    f"{file}, line {number}: is not JSON ({error.msg}, at character "
                    f"{error.colno}); write one object a line"
                )
            except RecursionError:
                return f"{file}, line {number}: is nested too deeply"
    if FORMATS[suffix].reader == "csv":
        return _table_fault(file, FORMATS[suffix].settings["sep"])
    return None


def _table_fault(file: Path, separator: str) -> str | None:
    """The first line of a table that has more cells than columns, or a quote without an end."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, delimiter=separator, strict=True)
        begin, header = 1, None
        try:
            for row in rows:
                header = row if header is None else header
                if len(row) > len(header):
                    return (
                        f"{file}, line {begin}: has {len(row)} cells, and line 1 names "
                        f"{len(header)} columns; {_QUOTE.format(separator)}"
                    )
                begin = rows.line_num + 1
        except csv.Error as error:
            if (
                str(error) != UNCLOSED
            ):  # longer than this reader allows, or oddly quoted: not wrong
                return None
            return (
                f"{file}, line {begin}: a cell begins with a quote and has no other before its "
                'end; write the cell as "..." and quotes in it twice'
            )
    return None


def _check(name: str, file: Path, kind: Format) -> None:
    """Raise `UsageError` for a file that is empty, or binary where text should be."""
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UsageError(f"data set {name}: {file} cannot be read ({reason})") from None
    if not head:
        raise UsageError(f"data set {name}: {file} is empty (0 bytes); get it again")
    if kind.plain and b"\0" in head:
        raise UsageError(
            f"data set {name}: {file} is UTF-16 or not text (it has bytes of 0); "
            f"{CONVERT.format('utf-16')}"
        )


def _hidden(path: Path, place: Path) -> bool:
    parts = path.relative_to(place).parts
    return any(part.startswith((".", "__")) for part in parts)
