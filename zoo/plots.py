"""Grids of images: samples, reconstructions, interpolations; written completely or not at all."""

import io
import math
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from zoo.errors import ConflictError, IntegrityError, NotAllowedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

ENDINGS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
POINT_CELLS, POINT_SCALE = 160, 3  # cells a side, pixels a cell
PAPER = 255  # white shows where an image with a black background ends
ENLARGED_SIDE = 64  # pixels; smaller images are enlarged to about this width
MAX_ENLARGED_WIDTH = 4096  # pixels; no grid is enlarged beyond this width
# What common viewers, and Pillow without a warning, can open.
MAX_GRID_PIXELS = 80_000_000


def prepare_output(
    path: str | Path, inputs: Iterable[str | Path] = (), endings: Iterable[str] = ENDINGS
) -> Path:
    """Check before the work begins that an image, or a page, can be written to a path.

    Args:
        path: the file to write; its ending chooses the format.
        inputs: images that will be read, which must not be overwritten.
        endings: of the formats that can be written.

    Returns:
        The path.

    Raises:
        ConflictError: if the file is one of the inputs.
        UsageError: if the ending is not one of these, the path is a folder, or it is not in one.
        NotAllowedError: if the folder cannot be written.
    """
    path, endings = Path(os.path.expanduser(path)), tuple(endings)
    if path.suffix.lower() not in endings:
        what = "images" if endings == tuple(ENDINGS) else "this"
        raise UsageError(
            f"{path}: cannot write {what} ending in {path.suffix or 'nothing'!r}; "
            f"use one of {', '.join(endings)}"
        )
    if path.is_dir():
        raise UsageError(
            f"{path}: is a folder; give a file name such as {path / ('out' + endings[0])}"
        )
    if any(Path(file).resolve() == path.resolve() for file in inputs):
        raise ConflictError(f"{path}: is one of the images to read; write to another file")
    # Folders are made only with the image: a request that fails leaves nothing behind.
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not existing.is_dir():
        raise UsageError(f"{path}: {existing} is a file, not a folder; choose another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise NotAllowedError(f"{path}: {existing} cannot be written; choose another place")
    return path


def check_grid(count: int, height: int, width: int, columns: int | None = None) -> int:
    """The number of columns of a grid.

    Args:
        count: images on it.
        height: of one image, pixels.
        width: of one image, pixels.
        columns: the wanted number; None makes the grid about square.

    Raises:
        UsageError: if there is no image or no column, or the grid would be too large to open.
    """
    if count < 1:
        raise UsageError("a grid needs at least one image")
    if columns is not None and columns < 1:
        raise UsageError(f"columns must be at least 1, got {columns}")
    columns = columns or math.ceil(math.sqrt(count * height / width))
    columns = min(columns, count)
    if columns * width * math.ceil(count / columns) * height > MAX_GRID_PIXELS:
        max_images = MAX_GRID_PIXELS // (width * height)
        raise UsageError(
            f"{count} images of {width} x {height} pixels make a grid too large to open; "
            f"show at most {max_images}"
        )
    return columns


def grid(
    images: "Tensor | np.ndarray",
    columns: int | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> Image.Image:
    """Images side by side, row by row, on white.

    Args:
        images: `(N, C, H, W)`, C 1 or 3, uint8 or floats in [0, 1].
        columns: images per row; None makes the grid about square.
        padding: pixels between images and around them.
        scale: pixels per image pixel, each way; None enlarges small images to about 64 pixels.

    Returns:
        One image of mode L or RGB.

    Raises:
        UsageError: if there are no images, or too many for a grid.
        ValueError: if shape or values are not as above.
    """
    pixels = _to_bytes(images)
    count, height, width, channels = pixels.shape
    columns = check_grid(count, height, width, columns)
    rows = math.ceil(count / columns)
    if scale is None:
        scale = max(1, min(ENLARGED_SIDE // width, MAX_ENLARGED_WIDTH // (columns * width)))
    high, wide = height * scale + padding, width * scale + padding
    sheet = np.full((rows * high + padding, columns * wide + padding, channels), PAPER, np.uint8)
    for place, image in enumerate(pixels):
        top, left = padding + place // columns * high, padding + place % columns * wide
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        sheet[top : top + height * scale, left : left + width * scale] = large
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def classes_of(model: Any, sampler: str) -> list[int]:
    """The labels that a sampler of a model can be asked for, each a row of a grid; often none."""
    distribution = getattr(model, "distribution", None)
    return [] if distribution is None else list(range(distribution(sampler).num_labels))


def in_rows(labels: Sequence[int], count: int) -> list[int]:
    """A label for each of so many images, in order, equally many of each where that goes."""
    columns = -(-count // len(labels))
    return [labels[place // columns] for place in range(count)]


def save_grid(
    images: "Tensor | np.ndarray",
    path: str | Path,
    columns: int | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> Path:
    """Write `grid(...)` to a file, which appears complete or not at all.

    Returns:
        The path.

    Raises:
        UsageError: as `prepare_output` and `grid`.
    """
    return save_image(grid(images, columns, padding, scale), path)


def points_image(points: "Tensor", bound: float = 4.0) -> Image.Image:
    """Points of the plane, `(N, 2)`, as an image whose darkness is their number, of mode L.

    Args:
        points: outside of the square from -bound to bound they are not shown.
        bound: half the side of what is shown.
    """
    x, y = points.detach().cpu().double().numpy().T
    edges = np.linspace(-bound, bound, POINT_CELLS + 1)
    counts = np.histogram2d(-y, x, bins=(edges, edges))[0]  # the second axis upwards
    shade = 255 * (1 - np.sqrt(counts / max(counts.max(), 1)))
    side = np.ones((POINT_SCALE, POINT_SCALE))
    return Image.fromarray(np.kron(shade, side).round().astype(np.uint8))


def save_points(points: "Tensor", path: str | Path, bound: float = 4.0) -> Path:
    """Write `points_image(...)` to a file, which appears complete or not at all.

    Raises:
        UsageError: as `save_image`.
    """
    return save_image(points_image(points, bound), path)


def save_reconstructions(
    originals: "Tensor | np.ndarray",
    reconstructions: "Tensor | np.ndarray",
    path: str | Path,
    columns: int | None = None,
) -> Path:
    """Write pairs, each original over its reconstruction.

    Args:
        originals: `(N, C, H, W)`, uint8 or floats in [0, 1].
        reconstructions: same shape, either type.
        path: the file to write.
        columns: pairs per row.

    Raises:
        UsageError: as `save_grid`.
        ValueError: if the shapes differ.
    """
    above, below = _to_bytes(originals), _to_bytes(reconstructions)
    if above.shape != below.shape:
        raise ValueError(
            f"shapes differ: {tuple(originals.shape)}, {tuple(reconstructions.shape)}"
        )
    pairs = np.concatenate([above, below], axis=1).transpose(0, 3, 1, 2)
    return save_grid(pairs, path, columns)


def save_interpolations(paths: "Tensor | np.ndarray", path: str | Path) -> Path:
    """Write one row for each interpolation.

    Args:
        paths: `(B, steps, C, H, W)`, uint8 or floats in [0, 1].
        path: the file to write.

    Raises:
        UsageError: as `save_grid`.
        ValueError: if there are not five axes.
    """
    if paths.ndim != 5:
        raise ValueError(f"expected (B, steps, C, H, W), got {tuple(paths.shape)}")
    return save_grid(paths.reshape(-1, *paths.shape[2:]), path, columns=paths.shape[1])


def save_image(image: Image.Image, path: str | Path) -> Path:
    """Write an image to a file, which appears complete or not at all.

    Raises:
        UsageError: as `prepare_output`, or if the format cannot hold the image.
        NotAllowedError: as `prepare_output`.
    """
    path = prepare_output(path)
    name, encoded = ENDINGS[path.suffix.lower()], io.BytesIO()
    try:  # in memory, where only the format can fail, not the disk
        image.save(encoded, format=name)
    except (ValueError, OSError, OverflowError, struct.error) as error:
        size = f"{image.width} x {image.height} pixels"
        raise UsageError(
            f"{path}: {name} cannot hold {size} ({error}); use .png or show fewer images"
        ) from error
    write_whole(encoded.getbuffer(), path)
    return path


def write_whole(content: bytes | memoryview, path: Path) -> None:
    """Write a file under a temporary name, then rename it; its folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _to_bytes(images: "Tensor | np.ndarray") -> np.ndarray:
    """Images as uint8 `(N, H, W, C)`."""
    values = images if isinstance(images, np.ndarray) else images.detach().cpu().numpy()
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise ValueError(f"expected (N, C, H, W) with C 1 or 3, got {values.shape}")
    if values.dtype != np.uint8:
        import torch

        values = to_uint8(torch.from_numpy(values)).numpy()
    return values.transpose(0, 2, 3, 1)


def to_uint8(pixel_values: "Tensor") -> "Tensor":
    """The output of a model, floats in [0, 1], as bytes of the same shape.

    Raises:
        IntegrityError: if a value is not a finite number; a cast would hide it.
    """
    import torch

    if not pixel_values.isfinite().all():
        raise IntegrityError(
            "the images contain values that are not finite numbers: the model's weights are "
            "damaged; `genae verify` checks a model's files"
        )
    return (pixel_values.clamp(0, 1) * 255).round().to(torch.uint8)
