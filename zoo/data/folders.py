"""Data sets that are plain folders of image files."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from zoo.errors import NotFoundError

from .files import list_images, open_cell
from .splits import KEYWORDS, assign, labels_of, parts_of

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # which `datasets` reads
TABLES = (".csv", ".tsv", ".jsonl", ".xlsx")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Rows:
    """The rows of one split, undecoded.

    Attributes:
        contents: the bytes of each image, or its file; can be iterated once.
        count: number of images.
        labels: their class numbers, or None.
        names: of the rows in messages: a file, or "row 17".
        open: decodes a content, which messages call by a name.
    """

    contents: Iterator[bytes | Path | None]
    count: int
    labels: list[int] | None
    names: list[str]
    open: Callable[[Any, str], Image.Image] = open_cell


def open_folder(name: str, folder: Path, split: str, max_rows: int | None) -> Rows:
    """A plain folder of images, with splits and classes as in `datasets`.

    Splits are those of `splits.assign`, classes those of `splits.labels_of`. A split has other
    names, such as "val". Hidden files and files in folders such as `__MACOSX` are ignored. Files
    outside of every split are reported on stderr.

    Args:
        name: what messages call the data set.
        folder: its folder.
        split: in the slicing syntax of `datasets`.
        max_rows: read only the first rows, this many.

    Raises:
        NotFoundError: if there are no images.
        UsageError: if the split is absent, malformed or empty.
    """
    paths = _listed(folder)
    members = assign(paths)
    labels = labels_of(members)
    note_rest(name, len(paths), len(members))
    splits = {
        each: [row for row, member in enumerate(members) if member.split == each]
        for each in KEYWORDS
    }
    splits = {each: rows for each, rows in splits.items() if rows}
    lengths = {each: len(rows) for each, rows in splits.items()}
    parts = parts_of(name, split, lengths)
    rows = [row for part, chosen in parts for row in splits[part][chosen]][:max_rows]
    files = [folder / members[row].path for row in rows]
    return Rows(
        contents=iter(files),
        count=len(files),
        labels=None if labels is None else [labels[row] for row in rows],
        names=list(map(str, files)),
    )


def metadata_files(folder: Path) -> dict[str, list[str]]:
    """The tables that list the images of a data set and describe them, by split; often none.

    As in `datasets`, a table outside of the splits is not among them.
    """
    found = [file.relative_to(folder) for file in folder.rglob("metadata.*")]
    found = sorted(path for path in found if path.name in METADATA and not unwanted(path))
    files: dict[str, list[str]] = {}
    for member in assign([*found, *_listed(folder)]) if found else ():
        if member.path in found:
            files.setdefault(member.split, []).append(str(folder / member.path))
    return files


def note_unread(name: str, folder: Path, described: dict[str, list[str]]) -> None:
    """Report on stderr which archives and tables in a folder are not read, and why.

    Args:
        name: what messages call the data set.
        folder: its folder.
        described: its tables that are read, as `metadata_files` finds them.
    """
    read = {Path(file) for files in described.values() for file in files}
    kinds = {*TABLES, *ARCHIVES, ".parquet"}  # by suffix first, as there may be many images
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in kinds)
    found = [path for path in found if path not in read and not unwanted(Path(path.name))]
    packed = [path.name for path in found if _is_archive(path)]
    outside = [path.name for path in found if path.name in METADATA]
    tables = [path.name for path in found if path.suffix.lower() in TABLES]
    tables = [each for each in tables if each not in METADATA]
    for names, reason in (
        (packed, "archives are not read ({}); unpack them there"),
        (outside, "{} is not read, as it is outside of the splits; put one into each split"),
        (tables, "not read: {}; describe images in a metadata.csv or .jsonl with a column "
                 "file_name"),
    ):  # fmt: skip
        if names:
            print(f"data set {name}: {reason.format(', '.join(names[:3]))}", file=sys.stderr)


def note_unnamed(name: str, folder: Path, named: int) -> None:
    """Report on stderr how many images are left out because no metadata names them."""
    if (rest := (count := len(_listed(folder))) - named) > 0:
        print(
            f"data set {name}: {rest} of {count} images are named in no metadata and left out",
            file=sys.stderr,
        )


def _listed(folder: Path) -> list[Path]:
    """The images below a folder in the order of `datasets`, as paths relative to it."""
    try:
        found = [file.relative_to(folder) for file in list_images(folder)]
    except NotFoundError:
        found = []
    found = [path for path in found if not unwanted(path)]
    if not found:
        packed = sorted(path.name for path in folder.rglob("*") if _is_archive(path))
        raise NotFoundError(
            f"{folder}: holds archives, not images ({', '.join(packed[:3])}); unpack them there"
            if packed
            else f"{folder}: holds no images; put PNG or JPEG files there"
        )
    return sorted(found, key=Path.as_posix)


def unwanted(path: PurePath) -> bool:
    """Whether a file is hidden or in a folder that an operating system makes."""
    return any(part.startswith(".") for part in path.parts) or any(
        folder.startswith("__") for folder in path.parts[:-1]
    )


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() in ARCHIVES and path.is_file()


def note_rest(name: str, count: int, read: int) -> None:
    """Report on stderr how many of all images are not read, as it changes the training data."""
    if rest := count - read:
        print(
            f"data set {name}: {rest} of {count} images are in no split and are left out; "
            "if a class is named like a split, put all classes into a folder train",
            file=sys.stderr,
        )
