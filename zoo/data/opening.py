"""The rows of a split of images, wherever they lie, undecoded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import NotFoundError, UsageError
from zoo.places import Place, is_address

from .addresses import (
    PARQUET,
    files_at,
    here,
    holds_parquet,
    images_at,
    named_in,
    read_in_order,
    tables_at,
)
from .files import open_bytes
from .folders import ARCHIVES, Rows, metadata_files, note_unread, open_folder
from .parquet import ParquetFile
from .sources import DATASETS, Source, holds_tables, load_table, locate
from .splits import note_fewer, parts_of
from .tables import cells, class_numbers, content_of, image_column, label_column

IMAGE, LABEL = "image", "label"  # the usual columns
BATCH = 64  # rows of a table elsewhere that are in memory at one time


def open_rows(
    dataset: str | Path,
    split: str,
    *,
    config: str | None = None,
    max_rows: int | None = None,
    quiet: bool = False,
) -> Rows:
    """Find a data set and open one split of it.

    Args:
        dataset: a name of `DATASETS`, a folder (of Parquet files or of images), a Parquet file,
            an address of either that fsspec knows, or a Hub id. A name is looked for in the
            folders of `GENAE_DATA`, in `./data` and on the Hub.
        split: in the slicing syntax of `datasets`: "train", "train[:500]", "train[90%:]".
        config: the configuration, where a data set has several.
        max_rows: read only the first rows, this many.
        quiet: draw no progress bars while downloading.

    Raises:
        NotFoundError: if it is not found.
        NotAllowedError: if the Hub requires permission.
        UsageError: if the split or configuration is wrong, or holds no images.
        IntegrityError: if a Parquet file cannot be read.
        UnreachableError: if a file at an address cannot be had now.
        MissingDependencyError: if its file system needs a package that is not installed.
    """
    if is_address(address := here(str(dataset))):
        return _open_address(address, split, max_rows, quiet)
    source = DATASETS.get(str(dataset), Source(str(dataset)))
    if source.text_columns:
        raise UsageError(f"data set {dataset}: texts, not images; use it for models of texts")
    place = locate(str(dataset))
    described: dict[str, list[str]] = {}
    if isinstance(place, Path) and place.is_dir() and not holds_tables(place):
        described = metadata_files(place)
        note_unread(str(dataset), place, described)
        if not described:
            return open_folder(str(dataset), place, split, max_rows)
    if isinstance(place, Path) and place.is_file():
        _check_table(str(dataset), place)
    table = load_table(
        str(dataset), place, split, config or source.config, quiet=quiet, described=described
    )
    note_fewer(str(dataset), split, len(table))
    if max_rows is not None:
        table = table.select(range(min(max_rows, len(table))))
    if not len(table):
        raise UsageError(f"data set {dataset}: the split {split!r} is empty; ask for more of it")
    column = image_column(str(dataset), source.image_column, table.features)
    return Rows(
        contents=cells(table, column, place),
        count=len(table),
        labels=label_column(str(dataset), source.label_column, table),
        names=[f"row {number}" for number in range(len(table))],
    )


def _check_table(name: str, file: Path) -> None:
    """Raise `UsageError` for a file that is not Parquet, by its content and by its name."""
    with file.open("rb") as stream:
        parquet = stream.read(4) == b"PAR1"
    if not parquet and file.suffix.lower() != ".parquet":
        what = "an archive: unpack it" if file.suffix.lower() in ARCHIVES else "not a Parquet file"
        raise UsageError(f"data set {name}: {file} is {what}; give a folder of images or Parquet")


def _open_address(name: str, split: str, max_rows: int | None, quiet: bool) -> Rows:
    """As `open_rows`, what lies elsewhere; files are read as they are asked for."""
    place, paths = files_at(name)
    if holds_parquet(name, place, paths):
        _, addresses = tables_at(name, place, paths, [PARQUET])
        return _open_tables(name, split, named_in(name, split, addresses), max_rows)
    splits = named_in(name, split, images_at(name, paths, quiet=quiet))
    parts = parts_of(name, split, {each: len(files) for each, files in splits.items()})
    files = [file for part, chosen in parts for file in splits[part][chosen]][:max_rows]
    chosen, labels = zip(*files, strict=True)
    return Rows(
        contents=_contents(place, chosen),
        count=len(files),
        labels=None if None in labels else list(labels),
        names=list(chosen),
        open=open_bytes,
    )


def _contents(place: Place, paths: Sequence[str]) -> Iterator[bytes]:
    for path, content in zip(paths, read_in_order(place, paths), strict=True):
        if content is None:
            raise NotFoundError(f"{place}/{path}: is gone; run the same command again")
        yield content


def _open_tables(
    name: str, split: str, splits: dict[str, list[str]], max_rows: int | None
) -> Rows:
    """The rows of Parquet files elsewhere."""
    tables = {
        part: [ParquetFile(name, Place(address)) for address in addresses]
        for part, addresses in splits.items()
    }
    sizes = {part: sum(file.count for file in files) for part, files in tables.items()}
    parts, left = [], max_rows
    for part, chosen in parts_of(name, split, sizes):
        numbers = range(sizes[part])[chosen][:left]
        left = None if left is None else left - len(numbers)
        parts.append((tables[part], numbers))
    features = parts[0][0][0].features

    def cells_of(column: str) -> Iterator[Any]:
        for files, numbers in parts:
            first = 0
            for file in files:
                wanted = range(numbers.start - first, numbers.stop - first)
                for _, batch in file.batches([column], [wanted], BATCH):
                    yield from batch.column(0).to_pylist()
                first += file.count

    labels = None
    if LABEL in features:
        labels = class_numbers(name, LABEL, list(cells_of(LABEL)))
    images = cells_of(image_column(name, IMAGE, features))
    count = sum(len(rows) for _, rows in parts)
    return Rows(
        contents=(content_of(cell, name) for cell in images),
        count=count,
        labels=labels,
        names=[f"row {number}" for number in range(count)],
    )
