"""Texts of a data set: found by name, in files, in a folder or on the Hub."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from zoo.data.addresses import copied, files_at, here, tables_at
from zoo.data.sources import DATASETS, found, locate, no_bars
from zoo.data.splits import canonical, in_words, note_fewer
from zoo.data.tables import divided
from zoo.errors import GenaeError, IntegrityError, UsageError
from zoo.places import is_address

from .files import FORMATS, Format, csv_header, find_files, first_fault
from .listops import load_listops
from .punctuation import unpunctuated

#: Data sets that are made of others: of a table or stream of texts.
DERIVED: dict[str, Callable[[Any], Any]] = {"chinese-classics-punctuation": unpunctuated}
#: Data sets that are made by code: from a split, and whether it is streamed.
GENERATED: dict[str, Callable[[str, bool], Any]] = {"listops": load_listops}
EMPTY = "corresponds to no data"  # what `datasets` says of a data set without rows
STREAMED = (".parquet", ".jsonl", ".json", ".txt")  # formats that are streamed from any address


def load_texts(
    name: str | Path,
    split: str,
    columns: Sequence[str] | None,
    *,
    config: str | None = None,
    streaming: bool = False,
    paragraphs: bool = False,
    quiet: bool = False,
) -> Any:
    """The columns of one split of a data set of texts.

    A line of a `.txt` file is a text, in the column `text`, or a paragraph is. Columns of `.csv`
    and `.tsv` files are texts, labels too. Files are read into a cache on disk, not into memory;
    those at an address are copied there, unless they are streamed.

    Args:
        name: a name of `zoo.data.DATASETS`, a folder or file (Parquet, JSON lines, CSV, text), a
            Hub id, or an address that fsspec knows; streamed, of anything but CSV.
        split: in the slicing syntax of `datasets`: "train", "train[:500]", "train[90%:]"; a whole
            one if it is streamed.
        columns: that are needed, in the order they shall have; None for all there are, with
            empty cells, of a data set that is not streamed.
        config: the configuration, where a data set has several.
        streaming: read rows as they are asked for; nothing is stored, and there is no length.
        paragraphs: a text is what stands between blank lines of a `.txt` file, with its line ends.
        quiet: draw no progress bars while downloading.

    Returns:
        A `datasets.Dataset`, or of a stream `IterableDataset`, with just these columns and no
        empty cells.

    Raises:
        NotFoundError: if it is not found.
        NotAllowedError: if the Hub requires permission.
        UsageError: if the split, configuration or a column is absent, a cell is empty (null), a
            file is empty, not UTF-8, or not of its format. Of a stream when it comes to that row.
        IntegrityError: if a Parquet file cannot be read.
    """
    name = str(name)
    columns = None if columns is None else list(dict.fromkeys(columns))
    if streaming and not re.fullmatch(r"\w+", split):
        raise UsageError(
            f"data set {name}: the split {split!r} is cut, and a stream has whole ones alone; "
            "give its name, or leave streaming out"
        )
    if paragraphs and name in GENERATED:
        raise UsageError(_no_paragraphs(name))
    if name in GENERATED:
        table = GENERATED[name](split, streaming)
        columns = list(table.features) if columns is None else columns
        _check_columns(name, list(table.features), columns)
        return table.select_columns(list(columns))
    name = here(name)
    place: Path | str
    if is_address(name):
        place = name if streaming else copied(name, split, FORMATS)
    else:
        place = locate(name)
    config = config or (DATASETS[name].config if name in DATASETS else None)
    kind: Format | None = None
    files: dict[str, list[Path]] = {}
    addresses: dict[str, list[str]] = {}
    if is_address(str(place)):
        suffix, addresses = tables_at(name, *files_at(name), STREAMED)
        kind = FORMATS[suffix]
    elif isinstance(place, Path) and not (place.is_dir() and (config or describes(place))):
        kind, files = find_files(name, place)
        addresses = {split: [str(file.absolute()) for file in files[split]] for split in files}
    every = [file for each in files.values() for file in each]
    if paragraphs and (kind is None or kind.reader != "text"):
        raise UsageError(_no_paragraphs(name))
    request: dict[str, Any] = {"path": str(place), "name": config}
    if kind is not None:
        request = _request(name, kind, addresses, files, columns)
        request |= {"sample_by": "paragraph"} if paragraphs else {}
    with _faults(name, place, split, every), no_bars(quiet or kind is not None):
        import datasets

        with found(name, place):
            table = datasets.load_dataset(**request, split=canonical(split), streaming=streaming)
            if name in DERIVED:
                table = DERIVED[name](table)
    if streaming:
        return _stream(name, place, split, every, table, list(columns or ()))
    _check_columns(name, table.column_names, columns or ())
    if not len(table):
        raise UsageError(f"data set {name}: the split {split!r} is empty; ask for more of it")
    note_fewer(name, split, len(table))
    if columns is None:
        return table
    table = table.select_columns(list(columns))
    with _faults(name, place, split, every):
        table.data.table.validate(full=True)  # readers take texts that are not UTF-8
    _check_nulls(name, table)
    return table


def _no_paragraphs(name: str) -> str:
    return f"data set {name}: paragraphs are of .txt files, and it has none; leave paragraphs out"


def describes(folder: Path) -> bool:
    """Whether a folder's README says which files are which split, as a repository on the Hub."""
    readme = folder / "README.md"
    return readme.is_file() and bool(
        re.match(r"---\n(.*\n)*?configs:", readme.read_text("utf-8", errors="replace"))
    )


def _request(
    name: str,
    kind: Format,
    addresses: dict[str, list[str]],
    files: dict[str, list[Path]],
    columns: Sequence[str] | None,
) -> dict[str, Any]:
    """The arguments of `datasets.load_dataset` for files."""
    import datasets

    request = {
        "path": kind.reader,
        "data_files": {split: [*map(escape, each)] for split, each in addresses.items()},
        **kind.settings,
    }
    if kind.reader == "csv":
        headers = {
            file: csv_header(name, file, kind.settings["sep"])
            for each in files.values()
            for file in each
        }
        columns = next(iter(headers.values())) if columns is None else columns
        for file, header in headers.items():
            _check_columns(str(file), header, columns)
        request["features"] = datasets.Features(
            {column: datasets.Value("string") for column in columns}
        )
    return request


@contextmanager
def _faults(name: str, place: Path | str, split: str, files: list[Path]) -> Iterator[None]:
    """Report what is wrong with a file or a request in one sentence."""
    import datasets

    level = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # readers log what they raise
    try:
        yield
    except GenaeError as error:
        if isinstance(error, IntegrityError) and (reason := first_fault(files)):
            raise UsageError(f"data set {name}: {reason}") from error
        raise
    except Exception as error:  # `datasets` raises whatever its readers meet
        fault = first_fault(files)
        if fault is None and EMPTY not in str(error):
            raise UsageError(in_words(name, split, error)) from error
        reason = fault or f"the split {split!r} is empty; ask for more of it"
        raise UsageError(f"data set {name}: {reason}") from error
    finally:
        datasets.logging.set_verbosity(level)


def _check_columns(name: str, present: Sequence[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in present:
            raise UsageError(
                f"data set {name}: no column {column!r} among {', '.join(present)}; name one of "
                "these"
            )


def _check_nulls(name: str, table: Any) -> None:
    """Raise `UsageError` for the first cell that is null."""
    import pyarrow.compute as pc

    for column in table.column_names:
        cells = table.data.column(column)
        if cells.null_count:
            row = pc.index(pc.is_null(cells), True).as_py()
            raise UsageError(_null(name, column, f"row {row}"))


def _null(name: str, column: str, row: str) -> str:
    return (
        f"data set {name}, {row}: nothing (null) in the column {column}; leave such rows out, "
        "or fill them"
    )


def _stream(
    name: str, place: Path | str, split: str, files: list[Path], table: Any, columns: list[str]
) -> Any:
    """The rows of a stream, checked as they come, in the parts that it can be divided into."""
    import datasets

    with _faults(name, place, split, files), found(name, place):
        table = divided(table)
    count = table.num_shards

    def rows(parts: list[int]) -> Iterator[dict[str, Any]]:
        number = -1
        for part in parts:
            with _faults(name, place, split, files), found(name, place):
                for number, row in enumerate(table.shard(count, part)):
                    if not number:
                        _check_columns(name, list(row), columns)
                    for column in columns:
                        if row[column] is None:
                            where = f"row {number}" + (f" of part {part}" if count > 1 else "")
                            raise UsageError(_null(name, column, where))
                    yield {column: row[column] for column in columns}
        if number < 0 and count == 1:
            raise UsageError(f"data set {name}: the split {split!r} is empty; ask for more of it")

    features = None
    if table.features:
        _check_columns(name, list(table.features), columns)
        features = datasets.Features({column: table.features[column] for column in columns})
    parts = {"parts": [*range(count)]}
    return datasets.IterableDataset.from_generator(rows, features=features, gen_kwargs=parts)
