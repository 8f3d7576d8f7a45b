"""Whether two data sets are the same one, whatever they are called: by the hash of their files."""

import hashlib
import os
from functools import cache
from pathlib import Path

from zoo.errors import GenaeError

from .sources import DATASETS, Source, locate
from .stacked import STACKED

#: The name in a card's `[data] sha256` of the sum over all files, as `fingerprint` makes it.
WHOLE = "."


def fingerprint(place: str | os.PathLike[str]) -> str:
    """The SHA-256 of a data set's files: of their paths inside its folder, and their contents.

    Args:
        place: a folder, whose hidden files do not count, or a file, whose name does not.

    Returns:
        64 hex digits; the same wherever the data set lies.
    """
    return _fingerprint(Path(place).resolve())


@cache
def _fingerprint(place: Path) -> str:
    total = hashlib.sha256()
    for name, file in _files(place):
        with file.open("rb") as content:
            total.update(f"{name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def same_data(one: str, other: str) -> bool:
    """Whether two names are of the same data: the same name or place, or files that are equal.

    Args:
        one: a name, folder, file or Hub id, as `zoo.data.load_images` takes it.
        other: another one.
    """
    if one == other:
        return True
    first, second = plain_place(one), plain_place(other)
    if first is None or second is None:
        return False
    if first.samefile(second):
        return True
    sizes = [[(name, file.stat().st_size) for name, file in _files(p)] for p in (first, second)]
    return sizes[0] == sizes[1] and fingerprint(first) == fingerprint(second)


def plain_place(name: str) -> Path | None:
    """Where a data set lies whose images or texts are those of its files; None for any other."""
    source = DATASETS.get(name, Source(name))
    if source.config is not None or name in STACKED:  # a part, or made of another's
        return None
    try:
        place = locate(name)
    except GenaeError:
        return None
    return place if isinstance(place, Path) else None


def _files(place: Path) -> list[tuple[str, Path]]:
    """The files of a data set, each with its path inside."""
    if place.is_file():
        return [("", place)]
    found = sorted(path for path in place.rglob("*") if path.is_file())
    named = [(path.relative_to(place).as_posix(), path) for path in found]
    return [(name, path) for name, path in named if not name.startswith(".") and "/." not in name]
