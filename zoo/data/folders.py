"""Data sets that are plain folders of picture files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import UsageError

from .files import list_pictures

SPLITS = ("train", "validation", "valid", "test")


@dataclass(frozen=True)
class Rows:
    """The rows of one split, undecoded.

    Attributes:
        contents: per picture its bytes, or its file; read it once, in order.
        count: how many there are.
        labels: their class numbers, or None.
        names: what messages call row i: a file, or "row 17".
    """

    contents: Iterator[bytes | Path | None]
    count: int
    labels: list[int] | None
    names: list[str]


def open_folder(name: str, folder: Path, split: str, max_rows: int | None) -> Rows:
    """A plain folder of pictures: folders named as splits, or everything is "train".

    Class numbers come from file names such as `0017-3.png`, else from the sub-folders.
    """
    from datasets import ReadInstruction

    parts = [part for part in SPLITS if (folder / part).is_dir()]
    splits = {part: list_pictures(folder / part) for part in parts}
    splits = splits or {"train": list_pictures(folder)}
    try:
        lengths = {part: len(files) for part, files in splits.items()}
        wanted = ReadInstruction.from_spec(split).to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        raise UsageError(f"data set {name}, split {split!r}: {error}") from error
    files = [
        (part.splitname, file)
        for part in wanted
        for file in splits[part.splitname][part.from_ or 0 : part.to]
    ][:max_rows]
    if not files:
        raise UsageError(f"data set {name}: the split {split!r} is empty; ask for more of it")
    return Rows(
        contents=(file for _, file in files),
        count=len(files),
        labels=_labels_of(folder, splits, files),
        names=[str(file) for _, file in files],
    )


def _labels_of(
    folder: Path, splits: dict[str, list[Path]], files: list[tuple[str, Path]]
) -> list[int] | None:
    """Class numbers of a plain folder, from names or sub-folders, or None."""
    numbers = [re.search(r"-(\d+)$", file.stem) for _, file in files]
    if all(numbers):
        return [int(number[1]) for number in numbers if number]

    def category(part: str, file: Path) -> str:
        top = folder / part if (folder / part).is_dir() else folder
        inside = file.relative_to(top).parts
        return inside[0] if len(inside) > 1 else ""

    # Numbered over all splits, so that a slice of one keeps the numbers of the whole.
    categories = sorted({category(part, file) for part in splits for file in splits[part]})
    if "" in categories:
        return None
    return [categories.index(category(part, file)) for part, file in files]
