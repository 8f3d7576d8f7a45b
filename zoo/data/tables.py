"""Rows of a table, Parquet or metadata: its columns of images and labels, and their cells."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UsageError

MAX_OPENED = 64  # files whose row groups are looked up before a stream begins
MAX_LABEL = 2**63 - 1  # larger ones are identifiers, and do not fit an int64 tensor


def divided(stream: Any) -> Any:
    """A `datasets.IterableDataset` in smaller parts, of few Parquet files their row groups."""
    return stream.reshard() if stream.num_shards <= MAX_OPENED else stream


def numbered(tables: Any, split: str) -> Any:
    """One split of several tables, with `label` as numbers: texts in order, over all splits."""
    import datasets

    lengths = {each: len(table) for each, table in tables.items()}
    wanted = datasets.ReadInstruction.from_spec(split).to_absolute(lengths)
    parts = [tables[each.splitname] for each in wanted]
    parts = [
        part.select(range(each.from_ or 0, len(part) if each.to is None else each.to))
        for part, each in zip(parts, wanted, strict=True)
    ]
    table = datasets.concatenate_datasets(parts)
    if getattr(table.features.get("label"), "dtype", None) in ("string", "large_string"):
        names = {name for each in tables.values() for name in each.unique("label")}
        if None not in names:
            kind = datasets.ClassLabel(names=sorted(names))
            table = table.cast_column("label", kind)
    return table


def image_column(name: str, preferred: str, features: Mapping[str, Any]) -> str:
    """The column of images: the preferred one if it exists, else by its type or name."""
    import datasets

    by_type = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    for column in (preferred, *by_type, "image", "img"):
        if column in features:
            return str(column)
    raise UsageError(
        f"data set {name}: no column of images among {', '.join(features)}; name it `image`"
    )


def label_column(name: str, column: str | None, table: Any) -> list[int] | None:
    """The class numbers, if there are any; stderr reports a column that holds something else."""
    if column is None or column not in table.column_names:
        return None
    return class_numbers(name, column, table.with_format("arrow")[column].to_pylist())


def class_numbers(name: str, column: str, labels: list[Any]) -> list[int] | None:
    """The cells of a column of labels; None, which stderr reports, if they are something else."""
    labels = [int(label) if _is_whole(label) else label for label in labels]
    for row, label in enumerate(labels):
        if not isinstance(label, int) or abs(label) > MAX_LABEL:
            print(
                f"data set {name}: the column {column} is not read, as row {row} holds "
                f"{label!r:.40}, which is not a class number",
                file=sys.stderr,
            )
            return None
    return labels


def _is_whole(label: Any) -> bool:
    """Whether a label is a whole number written as a float, as in tables without integers."""
    return isinstance(label, float) and label.is_integer()


def cells(table: Any, column: str, place: Path | str) -> Iterator[bytes | Path | None]:
    """The undecoded cells of a column of images: bytes, or the file they name."""
    rows = table.select_columns([column]).with_format("arrow")
    for batch in rows.iter(batch_size=1000):
        for cell in batch[column].to_pylist():
            yield content_of(cell, place)


def content_of(cell: Any, place: Path | str) -> bytes | Path | None:
    """What a cell of a column of images holds: bytes, or the file it names; None if neither.

    Args:
        cell: as Arrow has it.
        place: the data set's folder or file, or its id on the Hub.
    """
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    return content if isinstance(content, bytes) else _cell_file(cell, place)


def _cell_file(cell: Any, place: Path | str) -> Path | None:
    """The file a cell names, if it lies inside the data set's own folder."""
    path = cell.get("path") if isinstance(cell, dict) else None
    if not path or not isinstance(place, Path):
        return None
    root = place if place.is_dir() else place.parent
    file = (root / path).resolve()
    # A downloaded table must not name any other file to be read.
    return file if file.is_relative_to(root.resolve()) and file.is_file() else None
