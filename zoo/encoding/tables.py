"""Tables: Parquet files at any address, and whatever `datasets` reads or streams."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.data.parquet import ParquetFile
from zoo.data.sources import found
from zoo.data.tables import content_of, image_column
from zoo.errors import UsageError
from zoo.hints import did_you_mean
from zoo.places import Place

from .lines import keyed, text_of
from .rows import Content, Fault, Row, Wanted

BATCH = {"texts": 1024, "images": 64}  # rows that are in memory at one time
TEXT = "text"


class Columns:
    """Which columns of a table are read, and what their cells mean.

    Args:
        name: what messages call the data set.
        reads: `images` or `texts`.
        features: of the table, as `datasets` has them.
        column: that is read; None is the usual one.
        key: the column of keys, if any.
        preferred: the column of images, if there is one of that name.
        place: where files lie that cells name.
    """

    def __init__(
        self,
        name: str,
        reads: str,
        features: Mapping[str, Any],
        column: str | None,
        key: str | None,
        *,
        preferred: str = "image",
        place: Path | str = "",
    ) -> None:
        self.reads, self.key, self.place = reads, key, place
        if column is None and reads == "images":
            column = image_column(name, preferred, features)
        self.column = column or TEXT
        for each in filter(None, (self.column, key)):
            if each not in features:
                raise UsageError(
                    f"data set {name}: no column {each!r} among {', '.join(features)}; "
                    f"{did_you_mean(each, features)} Name one of these."
                )
        self.names = list(dict.fromkeys(filter(None, (self.column, key))))

    def rows(self, first: int, cells: Mapping[str, list[Any]]) -> Iterator[Row]:
        """Rows from the cells of each column.

        Args:
            first: number of the first row.
            cells: one list for each of `names`.
        """
        keys = cells[self.key] if self.key else cells[self.column]
        for number, (cell, key) in enumerate(zip(cells[self.column], keys, strict=True), first):
            content: Content = (
                text_of(cell, self.column)
                if self.reads == "texts"
                else content_of(cell, self.place)
            )
            yield keyed(number, content, self.key, key)


def _cells(column: Any) -> list[Any]:
    """The values of an Arrow column, with a fault for each that is no UTF-8."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_cell(one) for one in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return Fault(f"is not UTF-8 (byte 0x{error.object[error.start]:02x})")


class ParquetFiles:
    """Rows of Parquet files; groups of rows that nobody wants are not read.

    Args:
        name: what messages call the data set.
        place: the folder or file.
        files: names of files inside, in order; an empty one is the place itself.
        reads: `images` or `texts`.
        column: that is read; None is the usual one.
        key: the column of keys, if any.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        files: list[str],
        reads: str,
        column: str | None,
        key: str | None,
    ) -> None:
        self.name, self.reads = name, reads
        self.fingerprint = place.fingerprint(files)
        self.files: list[ParquetFile] = []
        base = Path(place.root) if place.local else ""
        for file in files:
            self.files.append(ParquetFile(name, place, file))
            self.columns = Columns(
                place.path(file) if len(files) > 1 else name,
                reads, self.files[-1].features, column, key, place=base,
            )  # fmt: skip
        self.count: int | None = sum(file.count for file in self.files)

    def read(self, wanted: Wanted) -> Iterator[Row]:
        """Rows of the groups that have wanted ones."""
        first = 0
        for file in self.files:
            spans = [
                range(span.start - first, span.stop - first)
                for span in wanted.within(first, first + file.count)
            ]
            for start, batch in file.batches(self.columns.names, spans, BATCH[self.reads]):
                cells = {each: _cells(batch[each]) for each in self.columns.names}
                yield from self.columns.rows(first + start, cells)
            if wanted.over:
                return
            first += file.count


class Table:
    """Rows of a `datasets.Dataset`, which lies on the disk.

    Args:
        name: what messages call the data set.
        table: the data set.
        columns: which of its columns are read.
        about: what tells it from others: its place, configuration and split.
    """

    def __init__(self, name: str, table: Any, columns: Columns, about: list[Any]) -> None:
        self.name, self.columns = name, columns
        self.table = table.select_columns(columns.names).with_format("arrow")
        self.count: int | None = len(table)
        self.fingerprint = json.dumps([*about, len(table), table.column_names])

    def read(self, wanted: Wanted) -> Iterator[Row]:
        """Rows of the spans that are wanted."""
        for span in wanted.within(0, len(self.table)):
            part, first = self.table.select(span), span.start
            for batch in part.iter(batch_size=BATCH[self.columns.reads]):
                cells = {each: _cells(batch[each]) for each in self.columns.names}
                yield from self.columns.rows(first, cells)
                first += len(batch)


class Stream:
    """Rows of a `datasets.IterableDataset`, read as they are asked for.

    Args:
        name: what messages call the data set.
        table: the data set.
        columns: which of its columns are read.
        about: what tells it from others: its place, configuration and split.
    """

    def __init__(self, name: str, table: Any, columns: Columns, about: list[Any]) -> None:
        self.name, self.columns = name, columns
        self.table = table.select_columns(columns.names).with_format("arrow")
        self.count: int | None = None
        self.fingerprint = json.dumps(about)

    def read(self, wanted: Wanted) -> Iterator[Row]:
        """Rows that are wanted, of a stream that is read from its beginning."""
        first = 0
        with found(self.name, self.name):
            for batch in self.table.iter(batch_size=BATCH[self.columns.reads]):
                for part in wanted.within(first, first + len(batch)):
                    piece = batch.slice(part.start - first, len(part))
                    cells = {each: _cells(piece[each]) for each in self.columns.names}
                    yield from self.columns.rows(part.start, cells)
                if wanted.over:
                    return
                first += len(batch)
        self.count = first
