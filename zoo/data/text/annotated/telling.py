"""Which annotations a data set has, as its first rows tell."""

from itertools import islice
from pathlib import Path
from typing import Any

from zoo.data.sources import DATASETS, locate
from zoo.data.splits import assign
from zoo.errors import UsageError

from . import files
from .normal import FIELDS, Faults
from .reading import MAKERS, Reading, units_of

ROWS = 20  # that are looked at


def kinds_in_files(name: str) -> tuple[str, ...]:
    """The kinds of annotations in files that are no table: columns, and JSON with objects inside.

    Args:
        name: of the data set, whose first texts tell.

    Returns:
        Of "entities", "relations" and "tags"; none where `load_texts` can read it as a table.
    """
    place = locate(name)
    if name in DATASETS or not isinstance(place, Path):
        return ()
    found = [place]
    if place.is_dir():
        paths = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
        known = [path for path in paths if path.suffix.lower() in (*files.JSON, *files.COLUMNS)]
        found = [place / each.path for each in assign(known) if each.split == "train"]
    for file in found[:1]:
        suffix = file.suffix.lower()
        try:
            if suffix in files.JSON:
                rows = list(islice(files.read_json(file), ROWS))
                nested = any(isinstance(cell, dict) for _, row in rows for cell in row.values())
                return kinds_in(rows) if nested else ()
            if suffix in (*files.COLUMNS, *files.PLAIN) and files.layout_of(file)[0] == "columns":
                return kinds_in(list(islice(files.read_columns(file), ROWS)))
        except (UsageError, OSError, UnicodeDecodeError):
            return ()
    return ()


def kinds_in(rows: list[tuple[str, Any]]) -> tuple[str, ...]:
    """The kinds of annotations that some rows have, what they are written as first."""
    found: list[str] = []
    tagged = bool(rows) and units_of(rows[0][1], rows[0][0], Reading()) is not None
    for kind in sorted(FIELDS, key=lambda kind: ((kind == "tags") != tagged, kind)):
        faults = Faults()
        try:
            _, marks = MAKERS[kind](rows, Reading(), faults, lambda _: None)
        except UsageError:
            continue
        found += [kind] * any(marks)
    return tuple(found)
