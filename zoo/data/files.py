"""Image files named by a user: each is checked completely before a model reads it."""

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from zoo.errors import GenaeError, NotFoundError, UnsafeError, UsageError
from zoo.hints import correction

IMAGE_SUFFIXES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .jp2 .j2k .jpx .jpf .bmp .dib .gif .tif .tiff .tga .webp "
    ".avif .ppm .pgm .pbm .pnm".split(),
)
# Read from the header before any pixel is decoded; 64 million pixels of RGB take 192 MB.
MAX_PIXELS = 64_000_000
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
# Modes that the image processor turns into 8 bits or RGB; a 16-bit PGM has mode I.
PROCESSED_MODES = ("CMYK", "YCbCr", "I;16", "I;16B", "I;16L", "I;16N")
WIDE_FILES = ("PNG", "PPM")
CONVERT = "convert it first, for example `Image.open(a).convert('RGB').save(b)`"
REFUSED_MODES = {
    "CMYK": f"is in CMYK, whose colours need a profile; {CONVERT}",
    "I": f"has more than 8 bits per channel; {CONVERT}, after scaling the values to 0..255",
    "F": f"holds floating-point values; {CONVERT}, after scaling the values to 0..255",
}


def decode(content: bytes | Path, name: str) -> Image.Image:
    """Open and decode one image; whatever is wrong with it is reported in one line.

    Args:
        content: its bytes, or its file.
        name: what messages call it.

    Returns:
        The decoded image, in the mode of the file; of several frames the first.

    Raises:
        UnsafeError: if its header announces more than `MAX_PIXELS`.
        UsageError: if it is not an image, or damaged.
    """
    with _pillow(name):
        image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
        width, height = image.size
        if width * height <= MAX_PIXELS:
            image.load()
            return image
        image.close()
    raise UnsafeError(
        f"{name}: announces {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed; "
        "shrink it first"
    )


def check_frames(image: Image.Image, name: str) -> None:
    """Raise `UsageError` for an animation or several pages, of which one would have to be chosen.

    A phone's MPO is one photo with a preview or depth map behind it.
    """
    if image.format == "MPO":
        return
    # Of a PNG that is known since it was opened; others are read through for it.
    with nullcontext() if image.format == "PNG" else _pillow(name):
        frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UsageError(f"{name}: holds {frames} frames; save one of them as a PNG")


@contextmanager
def _pillow(name: str) -> Iterator[None]:
    """Let Pillow work without warnings, and report whatever it raises in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are refused anyway, or can be read
            yield
    except Image.DecompressionBombError:
        raise UnsafeError(
            f"{name}: announces more pixels than the {MAX_PIXELS:,} allowed; shrink it first"
        ) from None
    except UnidentifiedImageError:
        raise UsageError(f"{name}: is not an image that can be read; give PNG or JPEG") from None
    # Pillow's plugins raise whatever their parser meets (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{name}: is damaged ({reason}); get it again") from None


def open_image(path: Path, *, exact: bool = False) -> Image.Image:
    """Open one image file, and refuse it if it would not look as its owner expects.

    Args:
        path: a file.
        exact: also refuse what an image processor would turn into 8 bits or RGB, for readers
            that must be lossless.

    Returns:
        The decoded image, of mode 1, L, LA, P, PA, RGB or RGBA; unless `exact`, also CMYK,
        YCbCr and 16-bit grey, and colours of more than 8 bits per channel cut to 8.

    Raises:
        NotFoundError: if there is no such file.
        UnsafeError: if its header announces more than `MAX_PIXELS`.
        UsageError: if it is empty, not an image, damaged, animated, or of an unsupported mode.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; {correction(path)}")
    if not path.is_file():
        raise UsageError(f"{path}: is not a regular file; give an image or a folder of them")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check who owns it") from None
    return open_bytes(content, str(path), exact=exact)


def open_bytes(content: bytes, name: str, *, exact: bool = False) -> Image.Image:
    """`open_image` for the content of a file that was read already.

    Args:
        content: of the file.
        name: what messages call it.
        exact: as of `open_image`.

    Raises:
        UnsafeError: as `open_image`.
        UsageError: as `open_image`.
    """
    if not content:
        raise UsageError(f"{name}: is empty (0 bytes); get it again")
    image = decode(content, name)
    with _pillow(name):
        if image.format == "PNG":  # verify the checksums of the parts that decoding skips
            Image.open(io.BytesIO(content)).verify()
        wide = exact and _is_wide(content, image)
    check_frames(image, name)
    if (reason := _refusal(image, wide, exact)) is not None:
        raise UsageError(f"{name}: {reason}")
    return image


def open_cell(content: bytes | Path | None, name: str) -> Image.Image:
    """The image of a row of a data set, decoded.

    Args:
        content: bytes of a table's cell, or a file.
        name: what messages call the row.

    Raises:
        UsageError: the row holds no image, or one that cannot be decoded.
        NotFoundError: the file is gone.
        UnsafeError: its header announces too many pixels.
    """
    if content is None:
        raise UsageError(f"{name}: holds no image")
    if isinstance(content, Path):
        return open_image(content)
    opened = decode(content, name)
    check_frames(opened, name)
    return opened


def _refusal(image: Image.Image, wide: bool, exact: bool) -> str | None:
    """The reason to refuse an image because of its mode, or None."""
    if not exact and (
        image.mode in PROCESSED_MODES or (image.mode == "I" and image.format in WIDE_FILES)
    ):
        return None
    mode = "I" if image.mode.startswith("I") else image.mode
    reason = REFUSED_MODES.get("I" if wide and mode != "F" else mode)
    return f"is of mode {mode}; {CONVERT}" if not reason and mode not in PLAIN_MODES else reason


def iter_images(
    paths: Iterable[str | Path], *, skip_bad: bool = False, problems: list[str] | None = None
) -> Iterator[tuple[Path, Image.Image]]:
    """Open images one by one, so that a folder of photos need not fit in memory.

    Args:
        paths: files, and folders, whose files come in the order of their names.
        skip_bad: skip a bad file even if it was named; bad files inside a folder always are.
        problems: receives one line for each file skipped.

    Yields:
        File and image, in order.

    Raises:
        NotFoundError: if a path does not exist, or a folder holds no image files.
        UsageError: for a bad file that was named, see `open_image`.
        UnsafeError: likewise.
    """
    problems = [] if problems is None else problems
    for path in (Path(os.path.expanduser(one)) for one in paths):
        inside = path.is_dir()
        try:
            found = list_images(path) if inside else [path]
        except NotFoundError as error:
            if not skip_bad:
                raise
            problems.append(str(error))
            continue
        for file in found:
            try:
                image = open_image(file)
            except GenaeError as error:
                if not (skip_bad or inside):
                    raise
                problems.append(str(error))
                continue
            yield file, image


def open_images(
    paths: Iterable[str | Path], *, skip_bad: bool = False
) -> tuple[list[Image.Image], list[Path], list[str]]:
    """Open images all at once.

    Args:
        paths: files and folders.
        skip_bad: skip a bad file even if it was named; bad files inside a folder always are.

    Returns:
        The images, their files, and one line for each file skipped.

    Raises:
        NotFoundError: as `iter_images`.
        UsageError: as `iter_images`, or if no image is left.
    """
    problems: list[str] = []
    opened = list(iter_images(paths, skip_bad=skip_bad, problems=problems))
    if not opened:
        raise UsageError(no_images_message(problems))
    return [image for _, image in opened], [path for path, _ in opened], problems


def no_images_message(problems: list[str]) -> str:
    """The message when every file was skipped, or none was given."""
    if not problems:
        return "no images were given; name PNG or JPEG files, or a folder of them"
    return f"no usable image among {len(problems)}; the first: {problems[0]}"


def list_images(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, by suffix, in the order of their names.

    Raises:
        NotFoundError: if there are none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    )
    if not found:
        raise NotFoundError(f"{folder}: holds no images; put PNG or JPEG files there")
    return found


def _is_wide(content: bytes, image: Image.Image) -> bool:
    """Whether Pillow silently cut colours of 16 bits to 8."""
    if image.format == "PNG":
        return content[24] > 8  # the bit depth of IHDR, which comes first in every PNG
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))  # BitsPerSample
        return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)
    return False
