"""Image files in and out of a coder: images that cannot be restored exactly are refused."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from zoo.data.files import list_images, open_image
from zoo.errors import ConflictError, NotFoundError, UnsafeError, UsageError
from zoo.hints import correction

from .container import CHANNELS, MAX_IMAGES

LOSSY = "; images are never converted here, as they must be restored exactly"


@dataclass(frozen=True)
class Gathered:
    """Images to compress.

    Attributes:
        names: of the files that decompression will write: relative, with `/`, ending in .png.
        pixels: uint8 `(n, C, H, W)`.
        mode: of all images, one of `container.MODES`.
        file_bytes: total size of the image files.
    """

    names: list[str]
    pixels: np.ndarray
    mode: str
    file_bytes: int


def gather(
    paths: Sequence[str | Path],
    shape: tuple[int, int, int],
    levels: int,
    fitting: Callable[[], str],
    progress: Callable[[int], None] | None = None,
) -> Gathered:
    """Read all images, each checked before any is coded.

    Args:
        paths: files, and folders, whose files come in the order of their names.
        shape: `(channels, height, width)` that the model takes.
        levels: maximum pixel value of the model: 1 for two-valued images, else 255.
        fitting: returns a text on what shipped models take; called if an image does not fit.
        progress: called with the number of images just read.

    Raises:
        NotFoundError: a path does not exist, or a folder holds no images.
        UsageError: an image is damaged, or of another size or mode than the model takes.
        ConflictError: two images would be written under one name.
    """
    names: dict[str, Path] = {}
    for name, path in _listed(paths):
        if name in names:
            raise ConflictError(
                f"{path} and {names[name]} would both be restored as {name}; rename one of them"
            )
        names[name] = path
    if not names:
        raise UsageError("no images were given; name PNG files, or a folder of them")
    if len(names) > MAX_IMAGES:
        raise UsageError(
            f"{len(names)} images are more than one file can hold ({MAX_IMAGES:,}); make several"
        )
    pixels = np.empty((len(names), *shape), np.uint8)
    modes: dict[str, Path] = {}
    for place, path in enumerate(names.values()):
        image = open_image(path, exact=True)
        _check(image, path, shape, fitting)
        if modes.setdefault(image.mode, path) == path and len(modes) > 1:
            first, other = modes
            raise UsageError(
                f"{modes[first]} is of mode {first} and {path} of mode {other}; compress them in "
                f"two files{LOSSY}"
            )
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
        if levels == 1 and not _two_valued(values):
            raise UsageError(
                f"{path}: holds grey pixels, and this model takes only the values 0 and 255; "
                f"{fitting()}"
            )
        pixels[place] = values.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)
        if progress:
            progress(1)
    size = sum(path.stat().st_size for path in names.values())
    return Gathered(list(names), pixels, next(iter(modes)), size)


def _listed(paths: Sequence[str | Path]) -> list[tuple[str, Path]]:
    """The name that each file will be restored under, and the file."""
    found = []
    for path in (Path(os.path.expanduser(one)) for one in paths):
        if path.is_dir():
            found += [(file.relative_to(path), file) for file in list_images(path)]
        elif path.exists():
            found.append((Path(path.name), path))
        else:
            raise NotFoundError(f"{path}: no such file or folder; {correction(path)}")
    return [(check_name(name.with_suffix(".png").as_posix(), str(f)), f) for name, f in found]


def _check(
    image: Image.Image, path: Path, shape: tuple[int, int, int], fitting: Callable[[], str]
) -> None:
    channels, height, width = shape
    accepted = [mode for mode, count in CHANNELS.items() if count == channels]
    if image.size != (width, height):
        raise UsageError(
            f"{path}: is {image.width} x {image.height} pixels, the model takes {width} x "
            f"{height}; {fitting()}"
        )
    if image.mode not in accepted or image.has_transparency_data:
        kind = "has transparency" if image.has_transparency_data else f"is of mode {image.mode}"
        raise UsageError(
            f"{path}: {kind}, the model takes mode {' or '.join(accepted)}{LOSSY}; {fitting()}"
        )


def _two_valued(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 255)).all())


def write_images(
    folder: Path,
    names: Sequence[str],
    pixels: np.ndarray,
    mode: str,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write PNG files.

    Args:
        folder: to write into.
        names: as `gather` made them, but from a file that may be hostile.
        pixels: uint8 `(n, C, H, W)`.
        mode: of all images.
        progress: called with the number of images just written.

    Raises:
        UnsafeError: a name leads out of the folder, or two are equal.
    """
    if len({name.casefold() for name in names}) != len(names) and len(set(names)) != len(names):
        raise UnsafeError("two images in the file have the same name; genae did not make it")
    for name in names:
        check_name(name, "a name in the file")
    for name, values in zip(names, pixels, strict=True):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
        (image.convert(mode) if image.mode != mode else image).save(place, "PNG")
        if progress:
            progress(1)


def check_name(name: str, label: str) -> str:
    """A relative name, if it stays in its folder on every system.

    Raises:
        UnsafeError: it does not.
    """
    path = PurePosixPath(name)
    bad = (
        path.is_absolute()
        or path.as_posix() != name
        or any(part in ("", ".", "..") for part in path.parts)
        or re.search(r'[\x00-\x1f\x7f\\:*?"<>|]', name)
        or not name.endswith(".png")
        or not _encodable(name)
    )
    if bad:
        raise UnsafeError(
            f"{label}: {name!r} is not a name that every system can write; rename it"
        )
    return name


def _encodable(name: str) -> bool:
    try:
        return max(len(part.encode()) for part in name.split("/")) <= 255
    except UnicodeEncodeError:
        return False
