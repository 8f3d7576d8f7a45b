"""Data sets at an address that fsspec knows: which of their files belong to which split."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import NotFoundError, UsageError
from zoo.places import Place

from .folders import unwanted
from .splits import assign, canonical


def here(name: str) -> str:
    """A data set's name, as a path where it is an address of this machine's files."""
    return str(Path(Place(name).root)) if name.startswith(("file://", "local://")) else name


def files_at(name: str) -> tuple[Place, list[str]]:
    """What lies at an address: a folder's files by their paths in it, or "" for a file.

    Raises:
        NotFoundError: there is nothing.
        UsageError: it is no address.
    """
    place = Place(name)
    if place.is_file:
        return place, [""]
    if not place.is_folder:
        raise NotFoundError(f"data set {name}: there is no such file or folder; check it")
    return place, [path for path in place.listed() if not unwanted(PurePosixPath(path))]


def tables_at(
    name: str, place: Place, paths: Sequence[str], suffixes: Collection[str]
) -> tuple[str, dict[str, list[str]]]:
    """The tables at an address: their suffix, and their addresses by split.

    Args:
        name: what messages call the data set.
        place: the folder or file.
        paths: of files, as `files_at` gives them.
        suffixes: of the files that are meant, with their dots.

    Raises:
        NotFoundError: there are none.
        UsageError: there are several kinds of files.
    """
    chosen = [path for path in paths if suffix_of(place.path(path)) in suffixes]
    found = {suffix_of(place.path(path)) for path in chosen}
    if not found:
        raise NotFoundError(
            f"data set {name}: there are no files of {', '.join(suffixes)}; check the address"
        )
    if len(found) > 1:
        raise UsageError(
            f"data set {name}: there are files of several formats ({', '.join(sorted(found))}); "
            "keep those of one"
        )
    addresses: dict[str, list[str]] = {}
    for member in assign([PurePosixPath(path) for path in chosen]):
        path = "" if chosen == [""] else member.path.as_posix()
        address = str(place.files.unstrip_protocol(place.path(path)))
        addresses.setdefault(member.split, []).append(address)
    return found.pop(), addresses


def of_split(name: str, split: str, splits: Mapping[str, list[Any]]) -> list[Any]:
    """What belongs to one split.

    Raises:
        UsageError: there is no such split.
    """
    found = splits.get(canonical(split))
    if not found:
        raise UsageError(
            f"data set {name} has no split {split!r}, only {', '.join(sorted(splits))}"
        )
    return found


def suffix_of(path: str) -> str:
    """The suffix of a file, with its dot, in small letters."""
    return PurePosixPath(path).suffix.lower()
