"""Data sets at an address that fsspec knows: which of their files belong to which split."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from zoo.ahead import in_order
from zoo.errors import NotFoundError, UsageError
from zoo.places import Place

from .files import IMAGE_SUFFIXES
from .folders import METADATA, note_rest, unwanted
from .splits import assign, canonical, labels_of

T = TypeVar("T")

PARQUET = ".parquet"
READERS = 16  # threads that read files elsewhere
WAITING = 64  # files that are read ahead


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


def holds_parquet(name: str, place: Place, paths: Sequence[str]) -> bool:
    """Whether Parquet files lie at an address, and not files of images.

    Args:
        name: what messages call the data set.
        place: the folder or file.
        paths: of files, as `files_at` gives them.

    Raises:
        UsageError: a table of metadata describes images.
    """
    if any(PurePosixPath(path).name in METADATA for path in paths):
        raise UsageError(
            f"data set {name}: images that a table of metadata describes are not read at an "
            "address; make them Parquet, or copy them to here"
        )
    return any(suffix_of(place.path(path)) == PARQUET for path in paths)


def images_at(
    name: str, paths: Sequence[str], *, quiet: bool = False
) -> dict[str, list[tuple[str, int | None]]]:
    """The files of images in a folder by split, each with its class number if there are any.

    Args:
        name: what messages call the data set.
        paths: of the folder's files, as `files_at` gives them.
        quiet: do not say how many are in no split.

    Raises:
        NotFoundError: there are none.
    """
    images = [PurePosixPath(path) for path in paths if suffix_of(path) in IMAGE_SUFFIXES]
    if not images:
        raise NotFoundError(f"data set {name}: holds no images; put PNG or JPEG files there")
    members = assign(images)
    if not quiet:
        note_rest(name, len(images), len(members))
    found = labels_of(members)
    labels: Sequence[int | None] = [None] * len(members) if found is None else found
    splits: dict[str, list[tuple[str, int | None]]] = {}
    for member, label in zip(members, labels, strict=True):
        splits.setdefault(member.split, []).append((member.path.as_posix(), label))
    return splits


def tables_at(
    name: str,
    place: Place,
    paths: Sequence[str],
    suffixes: Collection[str],
    *,
    mixed: bool = False,
) -> tuple[str, dict[str, list[str]]]:
    """The tables at an address: their suffix, and their addresses by split.

    Args:
        name: what messages call the data set.
        place: the folder or file.
        paths: of files, as `files_at` gives them.
        suffixes: of the files that are meant, with their dots.
        mixed: whether they may be of several kinds, of which one is returned.

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
    if len(found) > 1 and not mixed:
        raise UsageError(
            f"data set {name}: there are files of several formats ({', '.join(sorted(found))}); "
            "keep those of one"
        )
    addresses: dict[str, list[str]] = {}
    for member in assign([PurePosixPath(path) for path in chosen]):
        path = "" if chosen == [""] else member.path.as_posix()
        addresses.setdefault(member.split, []).append(_address(place, path))
    return found.pop(), addresses


def copied(name: str, split: str, suffixes: Collection[str], *, mixed: bool = False) -> Path:
    """A copy of the tables of a split at an address, in the cache of `datasets`.

    What was copied before is not copied again while it is the same there.

    Args:
        name: the address.
        split: in the slicing syntax of `datasets`.
        suffixes: of the files that are meant, with their dots.
        mixed: whether they may be of several kinds.

    Returns:
        A folder with files as they lie there, or the one file.

    Raises:
        NotFoundError: there are none.
        UsageError: there is no such split, or there are several kinds of files.
        UnreachableError: they cannot be had now.
    """
    import datasets
    import filelock

    place, paths = files_at(name)
    _, addresses = tables_at(name, place, paths, suffixes, mixed=mixed)
    wanted = {each for found in named_in(name, split, addresses).values() for each in found}
    paths = [path for path in paths if _address(place, path) in wanted]
    cache = Path(datasets.config.DOWNLOADED_DATASETS_PATH) / "addresses"
    folder = cache / hashlib.sha256(f"{name} {place.fingerprint(paths)}".encode()).hexdigest()
    files = [folder / (path.lstrip("/") or PurePosixPath(place.root).name) for path in paths]
    for path, file in zip(paths, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(file.with_name(f".{file.name}.lock")):
            if not file.exists():
                place.fetch(path, file)
    return files[0] if place.is_file else folder


def _address(place: Place, path: str) -> str:
    return str(place.files.unstrip_protocol(place.path(path)))


def read_in_order(place: Place, paths: Iterable[str]) -> Iterator[bytes | None]:
    """The content of files, None for one that is gone; several are read at a time elsewhere."""
    if place.local:
        yield from map(place.read, paths)
        return
    with ThreadPoolExecutor(READERS) as pool:
        for _, content in in_order(pool, place.read, paths, WAITING):
            yield content


def of_split(name: str, split: str, splits: Mapping[str, list[T]]) -> list[T]:
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


def named_in(name: str, split: str, splits: Mapping[str, list[T]]) -> dict[str, list[T]]:
    """Of all splits those that are named in the slicing syntax of `datasets`.

    Raises:
        UsageError: one of them is absent.
    """
    words = re.findall(r"(?:^|\+)\s*(\w+)", split) or [split]
    return {canonical(word): of_split(name, word, splits) for word in words}


def suffix_of(path: str) -> str:
    """The suffix of a file, with its dot, in small letters."""
    return PurePosixPath(path).suffix.lower()
