"""Which split an image file belongs to, by the names `datasets` knows. Standard library only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

#: The words for a split in the names of folders and files, as `datasets` lists them
#: (`SPLIT_KEYWORDS` of its `data_files.py`).
KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {word: split for split, words in KEYWORDS.items() for word in words}
_BETWEEN = r"[-._ 0-9]"  # what may stand before and after such a word
_WORD = re.compile(rf"(?:^|{_BETWEEN})({'|'.join(SPLIT_OF)})(?={_BETWEEN}|$)")
_ANY_CASE = re.compile(_WORD.pattern, re.IGNORECASE)


@dataclass(frozen=True)
class Member:
    """A file of a data set.

    Attributes:
        path: below the data set's folder.
        split: `train`, `validation` or `test`.
        category: the folder it lies in, unless that is the data set's own or names the split.
    """

    path: PurePath
    split: str
    category: str | None


def canonical(split: str) -> str:
    """A split under the name `datasets` gives it; slices and sums are kept, other names too.

    Example:
        >>> canonical("val[:10]+dev[10:]")
        'validation[:10]+validation[10:]'
    """
    return re.sub(
        r"(^|\+)(\s*)(\w+)", lambda m: m[1] + m[2] + SPLIT_OF.get(m[3], m[3]), str(split)
    )


def assign(paths: Sequence[PurePath]) -> list[Member]:
    """Sort files into splits as `datasets` does, each file into one.

    Folders decide, from the outermost on; where none is named as a split the files' own names do;
    where neither is, everything is `train`. Two rules go further than `datasets`, both so that no
    test image is trained on: of a file in `test/train/` the outer folder counts alone, and
    folders such as `Train` and `Test` are known in any case, where there are two splits of them
    or nothing lies in another folder.

    Args:
        paths: below the data set's folder.

    Returns:
        The files that lie in a split, in the order given.
    """
    places = [_by_folder(path, _ANY_CASE) for path in paths]
    others = [
        path for path, place in zip(paths, places, strict=True) if not place and path.parts[1:]
    ]
    if others and len({place[0] for place in places if place}) < 2:
        places = [_by_folder(path, _WORD) for path in paths]
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
    """Split and place of the outermost folder that is named as one."""
    for place, folder in enumerate(path.parts[:-1]):
        if found := word.search(folder):
            return SPLIT_OF[found[1].lower()], place
    return None


def _by_file(path: PurePath) -> tuple[str, int] | None:
    """Split that the file's name tells."""
    found = _WORD.search(path.name)
    return (SPLIT_OF[found[1]], -1) if found else None


def _category(path: PurePath, place: int) -> str | None:
    """The folder a file lies in, where that is none of the data set's own."""
    inner = len(path.parts) - 2
    return path.parts[inner] if inner > place else None


def labels_of(members: Sequence[Member]) -> list[int] | None:
    """Class numbers of a whole data set, over all its splits, or None.

    Class folders count as they do for `datasets`: in the order of their names, where there are
    two at least and all images lie at one depth. Only where there is no class folder at all may
    the names say it, if each is a running number, a dash and a class number, such as `0017-3`.
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
