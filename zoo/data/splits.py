"""The split that an image file belongs to, by the names that `datasets` knows."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from zoo.errors import UsageError

#: The names of a split in folders and files, as `datasets` lists them
#: (`SPLIT_KEYWORDS` of its `data_files.py`).
KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {name: split for split, names in KEYWORDS.items() for name in names}
_SEPARATOR = r"[-._ 0-9]"  # what may surround such a name
_NAME = re.compile(rf"(?:^|{_SEPARATOR})({'|'.join(SPLIT_OF)})(?={_SEPARATOR}|$)")
_ANY_CASE = re.compile(_NAME.pattern, re.IGNORECASE)


@dataclass(frozen=True)
class Member:
    """A file of a data set.

    Attributes:
        path: relative to the data set's folder.
        split: `train`, `validation` or `test`.
        category: the folder it is in, unless that is the data set's own or names the split.
    """

    path: PurePath
    split: str
    category: str | None


def canonical(split: str) -> str:
    """A split under its name in `datasets`; slices, sums and other names are kept.

    Example:
        >>> canonical("val[:10]+dev[10:]")
        'validation[:10]+validation[10:]'
    """
    return re.sub(
        r"(^|\+)(\s*)(\w+)", lambda m: m[1] + m[2] + SPLIT_OF.get(m[3], m[3]), str(split)
    )


def parts_of(name: str, split: str, sizes: Mapping[str, int]) -> list[tuple[str, slice]]:
    """The rows that a split names: of which splits, and which.

    Args:
        name: of the data set, for messages.
        split: in the slicing syntax of `datasets`.
        sizes: rows of each split there is.

    Raises:
        UsageError: there is no such split, or nothing in it.
    """
    from datasets import ReadInstruction

    try:
        parts = ReadInstruction.from_spec(canonical(split)).to_absolute(dict(sizes))
    except (ValueError, AssertionError) as error:
        raise UsageError(in_words(name, split, error)) from error
    found = [(part.splitname, slice(part.from_, part.to)) for part in parts]
    count = sum(len(range(sizes[splitname])[rows]) for splitname, rows in found)
    if not count:
        raise UsageError(f"data set {name}: the split {split!r} is empty; ask for more of it")
    note_fewer(name, split, count)
    return found


def in_words(name: str, split: str, error: Exception) -> str:
    """What `datasets` has against a split, as a message; for an absent one, which there are."""
    reason = " ".join(str(error).split())
    known = re.search(r"(?:Should be one of|Available splits:) \[(.*)\]", reason)
    if not known:
        return f"data set {name}, split {split!r}: {reason}"
    there = known[1].replace("'", "")
    return (
        f"data set {name} has no split {split!r}, only {there}; a part of one is written "
        f"{there.partition(',')[0]}[90%:]"
    )


def note_fewer(name: str, split: str, count: int) -> None:
    """Report on stderr that there are fewer rows than a slice such as `train[:500]` names."""
    slices = [re.fullmatch(r"\s*\w+\[(\d*):(\d+)\]\s*", part) for part in split.split("+")]
    wanted = sum(int(found[2]) - int(found[1] or 0) for found in slices if found)
    if all(slices) and count < wanted:
        print(f"data set {name}: {split} has {count:,} rows, not {wanted:,}", file=sys.stderr)


def assign(paths: Sequence[PurePath]) -> list[Member]:
    """Sort files into splits as `datasets` does, each file into one.

    The outermost folder named like a split decides; if there is none, the names of the files do;
    if they do not either, everything is `train`. Two rules go further than `datasets`, so that no
    test image is trained on: only the outer folder counts for a file in `test/train/`, and folders
    such as `Train` and `Test` are recognised in any case if they form two splits or no file is in
    another folder.

    Args:
        paths: relative to the data set's folder.

    Returns:
        The files that are in a split, in the order of `paths`.
    """
    places = [_by_folder(path, _ANY_CASE) for path in paths]
    others = [
        path for path, place in zip(paths, places, strict=True) if not place and path.parts[1:]
    ]
    if others and len({place[0] for place in places if place}) < 2:
        places = [_by_folder(path, _NAME) for path in paths]
    if not any(places):
        places = [_by_file(path) for path in paths]
    if not any(places):
        places = [("train", -1)] * len(paths)
    return [
        Member(path, place[0], _category(path, place[1]))
        for path, place in zip(paths, places, strict=True)
        if place
    ]


def _by_folder(path: PurePath, word: re.Pattern[str]) -> tuple[str, int] | None:
    """Split and position of the outermost folder that is named like a split."""
    for place, folder in enumerate(path.parts[:-1]):
        if found := word.search(folder):
            return SPLIT_OF[found[1].lower()], place
    return None


def _by_file(path: PurePath) -> tuple[str, int] | None:
    """The split in the name of a file."""
    found = _NAME.search(path.name)
    return (SPLIT_OF[found[1]], -1) if found else None


def _category(path: PurePath, place: int) -> str | None:
    """The folder of a file, unless it is the data set's own or names the split."""
    inner = len(path.parts) - 2
    return path.parts[inner] if inner > place else None


def labels_of(members: Sequence[Member]) -> list[int] | None:
    """Class numbers of a whole data set, over all its splits, or None.

    Class folders are numbered as in `datasets`: in the order of their names, if there are two or
    more and all images are at the same depth. Without class folders the names of files count, if
    each is a running number, a dash and a class number, such as `0017-3`.
    """
    categories = sorted({member.category for member in members if member.category is not None})
    if categories:
        depths = {len(member.path.parts) for member in members}
        if len(categories) < 2 or len(depths) > 1 or any(m.category is None for m in members):
            return None
        numbers = {category: number for number, category in enumerate(categories)}
        return [numbers[str(member.category)] for member in members]
    # Longer numbers are dates or identifiers.
    named = [re.fullmatch(r"[0-9]+-([0-9]{1,5})", member.path.stem) for member in members]
    found = [int(match[1]) for match in named if match]
    return found if len(found) == len(members) else None
