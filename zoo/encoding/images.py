"""Files of images in a folder, each a row whose key is its path."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from zoo.data.files import IMAGE_SUFFIXES
from zoo.data.folders import unwanted
from zoo.data.splits import parts_of
from zoo.errors import NotFoundError
from zoo.places import Place

from .rows import Remote, Row, Wanted


class ImageFiles:
    """The images of a folder and its subfolders, in the order of their paths.

    Args:
        name: what messages call the data set.
        place: the folder.
        splits: the paths of images in it, by split.
        split: in the slicing syntax of `datasets`.
    """

    def __init__(self, name: str, place: Place, splits: dict[str, list[str]], split: str) -> None:
        self.name, self.place = name, place
        sizes = {each: len(found) for each, found in splits.items()}
        self.files = [
            path for part, rows in parts_of(name, split, sizes) for path in splits[part][rows]
        ]
        self.fingerprint = place.fingerprint(self.files)
        self.count: int | None = len(self.files)

    def read(self, wanted: Wanted) -> Iterator[Row]:
        """Rows whose files are still to be read."""
        for span in wanted.within(0, len(self.files)):
            for number in span:
                path = self.files[number]
                content = Remote(self.place.files, self.place.path(path))
                yield Row(number, path, content)


def image_paths(name: str, place: Place, paths: list[str]) -> list[str]:
    """The images among the paths of a folder, by suffix.

    Raises:
        NotFoundError: there are none.
    """
    found = [path for path in paths if _is_image(path)]
    if not found:
        raise NotFoundError(
            f"data set {name}: {place} holds no images; put PNG or JPEG files there"
        )
    return found


def _is_image(path: str) -> bool:
    _, dot, suffix = path.rpartition(".")
    return f"{dot}{suffix.lower()}" in IMAGE_SUFFIXES and not unwanted(PurePosixPath(path))
