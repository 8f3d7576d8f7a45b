"""Images without a length, as rows of a `datasets.IterableDataset`, undecoded."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from zoo.errors import UsageError
from zoo.places import Place, is_address

from .addresses import (
    PARQUET,
    files_at,
    here,
    holds_parquet,
    images_at,
    of_split,
    read_in_order,
    tables_at,
)
from .files import open_bytes, open_cell
from .folders import metadata_files
from .planar import PLANAR
from .png import pixels_or
from .sources import DATASETS, Source, found, holds_tables, load_table, locate, no_bars
from .splits import canonical
from .stacked import STACKED
from .tables import content_of, divided, image_column

Opened: TypeAlias = "Image.Image | np.ndarray[Any, Any]"

Row: TypeAlias = Mapping[str, Any]

FILES = 1000  # of a part of a folder


@dataclass(frozen=True)
class ImageRows:
    """The rows of a split, in parts that processes can share.

    Attributes:
        rows: a `datasets.IterableDataset` with the columns `image`, of any form that `open` knows,
            and `label`, a class number; -1 where there are none.
        open: decodes the cell of an image that was read, which messages call by a name, to what an
            image processor takes.
        labelled: whether there are class numbers.
        read: the same rows with cells that `open` knows, read before they are asked for.
    """

    rows: Any
    open: Callable[[Any, str], Opened]
    labelled: bool
    read: Callable[[Iterable[Row]], Iterator[Row]] = iter


def stream_images(
    dataset: str | Path, split: str, *, config: str | None = None, quiet: bool = False
) -> ImageRows:
    """One split of a data set, read as it is asked for; nothing is stored, and it has no length.

    Args:
        dataset: a name of `zoo.data.DATASETS`, a folder of images or of Parquet files, a Parquet
            file, an address of either that fsspec knows, or a Hub id.
        split: a whole one.
        config: the configuration, where a data set has several.
        quiet: draw no progress bar, and say nothing.

    Raises:
        NotFoundError: if it is not found.
        NotAllowedError: if the Hub requires permission.
        UsageError: if the split is cut or absent, or there are no images.
        IntegrityError: if a Parquet file cannot be read.
        MissingDependencyError: if its file system needs a package that is not installed.
    """
    name = here(str(dataset))
    if name in PLANAR or name in STACKED:
        raise UsageError(f"data set {name}: is drawn, not read; leave streaming out")
    if not re.fullmatch(r"\w+", split):
        raise UsageError(
            f"data set {name}: the split {split!r} is cut, and a stream has whole ones alone; "
            "give its name, or leave streaming out"
        )
    if is_address(name):
        at, paths = files_at(name)
        if not holds_parquet(name, at, paths):
            return _of_files(name, at, paths, split)
        _, addresses = tables_at(name, at, paths, [PARQUET])
        return _of_table(name, name, split, None, addresses, quiet)
    place = locate(name)
    if isinstance(place, Path) and place.is_dir() and not holds_tables(place):
        if metadata_files(place):
            raise UsageError(
                f"data set {name}: images that a table of metadata describes are not streamed; "
                "make them Parquet, or leave streaming out"
            )
        return _of_files(name, *files_at(str(place)), split)
    return _of_table(name, place, split, config, None, quiet)


def _of_table(
    name: str,
    place: Path | str,
    split: str,
    config: str | None,
    addresses: dict[str, list[str]] | None,
    quiet: bool,
) -> ImageRows:
    import datasets

    known = DATASETS.get(name, Source(name))
    with found(name, place), no_bars(quiet):
        if addresses is not None:
            of_split(name, split, addresses)
            table = datasets.load_dataset(
                "parquet", data_files=addresses, split=canonical(split), streaming=True
            )
        else:
            config = config or known.config
            table = load_table(name, place, canonical(split), config, quiet=quiet, streaming=True)
        table = divided(table)
    features = table.features or {}
    column = image_column(name, known.image_column, features)
    if isinstance(features[column], datasets.Image):
        table = table.cast_column(column, datasets.Image(decode=False))
    label = known.label_column if known.label_column in features else None
    if label is not None and "int" not in getattr(features[label], "dtype", ""):
        if not quiet:
            print(
                f"data set {name}: the column {label} is not read, as it holds no class numbers",
                file=sys.stderr,
            )
        label = None
    table = table.select_columns([column, *([label] if label else [])])

    def rows(parts: list[int]) -> Iterator[dict[str, Any]]:
        for part in parts:
            with found(name, place):
                for row in table.shard(table.num_shards, part):
                    number = row[label] if label else None
                    yield {"image": row[column], "label": -1 if number is None else number}

    return ImageRows(
        _stream(rows, table.num_shards),
        lambda cell, title: pixels_or(content_of(cell, place), title, open_cell),
        label is not None,
    )


def _of_files(name: str, place: Place, paths: list[str], split: str) -> ImageRows:
    """Files of a folder, in order, in parts of some; each is read when it is drawn."""
    files = of_split(name, split, images_at(name, paths, quiet=True))
    labelled = files[0][1] is not None

    def rows(parts: list[int]) -> Iterator[dict[str, Any]]:
        for part in parts:
            for path, label in files[part * FILES : (part + 1) * FILES]:
                yield {"image": path, "label": -1 if label is None else label}

    def read(drawn: Iterable[Row]) -> Iterator[Row]:
        found = [*drawn]
        contents = read_in_order(place, (row["image"] for row in found))
        for row, content in zip(found, contents, strict=True):
            yield {**row, "image": (row["image"], content)}

    def open_file(cell: tuple[str, bytes | None], _: str) -> Opened:
        path, content = cell
        if content is None:
            raise UsageError(f"{place.path(path)}: is gone")
        return pixels_or(content, place.path(path), open_bytes)

    return ImageRows(_stream(rows, -(-len(files) // FILES)), open_file, labelled, read)


def _stream(rows: Callable[[list[int]], Iterator[Any]], parts: int) -> Any:
    import datasets

    return datasets.IterableDataset.from_generator(rows, gen_kwargs={"parts": [*range(parts)]})
