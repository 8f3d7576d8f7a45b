"""Which source is meant by the name or address of a data set."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.data.folders import unwanted
from zoo.data.sources import DATASETS, load_table, locate
from zoo.data.splits import SPLIT_OF, assign, canonical
from zoo.data.stacked import STACKED
from zoo.data.text.files import FORMATS, KNOWN
from zoo.data.text.loading import describes, load_texts
from zoo.errors import NotFoundError, UsageError
from zoo.places import Place, is_address

from .images import ImageFiles, image_paths
from .lines import Lines
from .rows import Source
from .tables import TEXT, Columns, ParquetFiles, Stream, Table

PARQUET = ".parquet"
IN_LINES = (".jsonl", ".txt")
WHOLE = re.compile(r"\w+")
_KEYWORD = re.compile(rf"(?:{'|'.join(SPLIT_OF)})", re.IGNORECASE)


def open_source(
    data: str,
    reads: str,
    *,
    split: str = "train",
    config: str | None = None,
    column: str | None = None,
    key: str | None = None,
    streaming: bool = False,
    quiet: bool = False,
) -> Source:
    """The rows of a data set.

    Args:
        data: a name of `zoo.data.DATASETS`, a folder or file, an address of fsspec, or a Hub id.
        reads: `images` or `texts`.
        split: in the slicing syntax of `datasets`; a whole one of what is streamed, of lines, and
            of addresses.
        config: the configuration, where a data set has several.
        column: that is read, of a table or JSON lines; None is the usual one.
        key: the column of keys, of a table or JSON lines.
        streaming: read a data set of the Hub as rows are asked for.
        quiet: draw no progress bars while downloading.

    Raises:
        NotFoundError: it is not found.
        NotAllowedError: permission is missing.
        UsageError: it has no such split, configuration or column, or holds something else.
        IntegrityError: a Parquet file cannot be read.
        MissingDependencyError: its file system needs a package that is not installed.
    """
    known = DATASETS.get(data)
    if known is not None and bool(known.text_columns) != (reads == "texts"):
        holds = "texts" if known.text_columns else "images"
        raise UsageError(f"data set {data} holds {holds}, and the model reads {reads}")
    if data in STACKED:
        raise UsageError(f"data set {data} is drawn from {STACKED[data]}; encode that one")
    config = config or (known.config if known is not None else None)
    if known is not None and known.generated:
        table = load_texts(data, split, None, streaming=False, quiet=quiet)
        return Table(data, table, Columns(data, reads, table.features, column, key), [data, split])
    place = data if is_address(data) else locate(data)
    described = isinstance(place, Path) and place.is_dir() and (config or describes(place))
    hub = isinstance(place, str) and not is_address(data)
    if not hub and not described:
        found = Place(str(place))
        return _of_files(data, found, reads, split, column, key, streaming, quiet)
    return _by_datasets(data, place, reads, split, config, column, key, streaming, quiet)


def _by_datasets(
    data: str,
    place: Path | str,
    reads: str,
    split: str,
    config: str | None,
    column: str | None,
    key: str | None,
    streaming: bool,
    quiet: bool,
) -> Source:
    """What `datasets` finds: on the Hub, or in a folder that says itself what is in it."""
    if streaming:
        _check_whole(data, split, "a stream has")
    table: Any = load_table(
        data, place, canonical(split), config, quiet=quiet, streaming=streaming
    )
    known = DATASETS.get(data)
    features = table.features or dict.fromkeys(next(iter(table), {}))
    preferred = known.image_column if known is not None else "image"
    base = place if isinstance(place, Path) else ""
    columns = Columns(data, reads, features, column, key, preferred=preferred, place=base)
    # Of a folder the files tell, too, which data it is.
    files = Place(str(place)) if isinstance(place, Path) else None
    about = [files.fingerprint(files.listed()) if files else str(place), config, split]
    return (Stream if streaming else Table)(data, table, columns, about)


def _of_files(
    data: str,
    place: Place,
    reads: str,
    split: str,
    column: str | None,
    key: str | None,
    streaming: bool,
    quiet: bool,
) -> Source:
    """Files that lie somewhere, by their suffix."""
    if place.is_file:
        paths = [""]
        suffixes = {PurePosixPath(place.root).suffix.lower()}
        splits = {"train": paths}
    elif place.is_folder:
        paths = [path for path in place.listed() if not unwanted(PurePosixPath(path))]
        suffixes = {PurePosixPath(path).suffix.lower() for path in paths}
        wanted = {PARQUET} if reads == "images" else set(FORMATS)
        suffixes &= wanted
        if not suffixes and reads == "images":
            images = image_paths(data, place, paths)
            _no_columns(data, column, key)
            return ImageFiles(data, place, _in_splits(images), split)
        splits = _in_splits(
            [path for path in paths if PurePosixPath(path).suffix.lower() in suffixes]
        )
    else:
        raise NotFoundError(f"data set {data}: there is no such file or folder; check it")
    if not suffixes:
        raise NotFoundError(f"data set {data}: {place} has no files of texts ({KNOWN})")
    if len(suffixes) > 1:
        raise UsageError(
            f"data set {data}: {place} has files of several formats ({', '.join(sorted(suffixes))}"
            "); keep those of one"
        )
    (suffix,) = suffixes
    if suffix not in FORMATS or (reads == "images" and suffix != PARQUET):
        known = "a folder of images, or Parquet" if reads == "images" else KNOWN
        raise UsageError(f"data set {data}: {place} is none of {known}")
    if suffix != PARQUET and suffix not in IN_LINES:
        return _by_reader(data, place, split, column, key, quiet)
    if suffix == PARQUET and place.local and not WHOLE.fullmatch(split):
        return _by_datasets(
            data, Path(place.root), reads, split, None, column, key, streaming, quiet
        )
    _check_whole(data, split, f"{suffix} files at an address have" if suffix == PARQUET
                 else "lines have")  # fmt: skip
    files = splits.get(canonical(split))
    if not files:
        raise UsageError(
            f"data set {data} has no split {split!r}, only {', '.join(sorted(splits))}"
        )
    if suffix == PARQUET:
        return ParquetFiles(data, place, files, reads, column, key)
    if suffix == ".txt":
        if column is not None:
            raise UsageError(f"data set {data}: lines of text have no columns; leave --column")
        return Lines(data, place, files, None, key)
    return Lines(data, place, files, column or TEXT, key)


def _by_reader(
    data: str, place: Place, split: str, column: str | None, key: str | None, quiet: bool
) -> Source:
    """Tables in text, which `datasets` reads into its cache."""
    if not place.local:
        raise UsageError(
            f"data set {data}: .csv, .tsv and .json are read from here alone; copy it, or make it "
            "Parquet or JSON lines"
        )
    table = load_texts(place.root, split, None, quiet=quiet)
    files = [""] if place.is_file else place.listed()
    columns = Columns(data, "texts", table.features, column, key)
    return Table(data, table, columns, [place.fingerprint(files), split])


def _check_whole(data: str, split: str, what: str) -> None:
    if not WHOLE.fullmatch(split):
        raise UsageError(
            f"data set {data}: the split {split!r} is cut, and {what} whole ones alone; give its "
            "name"
        )


def _no_columns(data: str, column: str | None, key: str | None) -> None:
    if column or key:
        raise UsageError(
            f"data set {data}: a folder of images has no columns, keys are the paths of files; "
            f"leave {'--column' if column else '--key'} out"
        )


def _in_splits(paths: list[str]) -> dict[str, list[str]]:
    """Sorted paths by split; all are of one split where no name of one is in any path."""
    if not any(map(_KEYWORD.search, paths)):  # millions of paths need not become objects
        return {"train": paths}
    splits: dict[str, list[str]] = {}
    for member in assign([PurePosixPath(path) for path in paths]):
        splits.setdefault(member.split, []).append(member.path.as_posix())
    return splits
