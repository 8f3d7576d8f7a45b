"""Random changes of training images that leave what they show recognisable.

Each takes a batch, floats `(B, C, H, W)` in [0, 1], draws anew for every image from torch's
global generator of the batch's device, and returns the same shape and range. No step depends on
the values, so the CPU never waits for a GPU.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from zoo.errors import UsageError
from zoo.hints import did_you_mean

MAX_SHIFT = 0.125  # of the side: 4 of 32 pixels
MIN_AREA = 0.3  # of a crop, as a share of the image
STRENGTH = 0.4  # of colours: factors from 0.6 to 1.4
GRAYED = 0.2  # of the images
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def uniform(like: Tensor, low: float, high: float) -> Tensor:
    """One number for each image, `(B, 1, 1, 1)`."""
    return torch.empty_like(like[:, :1, :1, :1]).uniform_(low, high)


def window(pixel_values: Tensor, side: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Squares of the images, of the given share of the side, resized to the whole.

    Args:
        pixel_values: `(B, C, H, W)`.
        side: `(B, 1, 1, 1)`; 1 is the whole image.
        x: where the square's middle is, -1 the left edge and 1 the right one.
        y: the same from top to bottom.

    Returns:
        The same shape; beyond its edges an image is mirrored.
    """
    zero = torch.zeros_like(side)
    matrix = torch.cat([side, zero, x, zero, side, y], 1).view(-1, 2, 3)
    grid = functional.affine_grid(matrix, list(pixel_values.shape), align_corners=False)
    return functional.grid_sample(
        pixel_values, grid, padding_mode="reflection", align_corners=False
    ).clamp(0, 1)


def shift(pixel_values: Tensor) -> Tensor:
    """Move each image by whole pixels, up to an eighth of its side; edges are mirrored."""
    height, width = pixel_values.shape[-2:]
    moves = []
    for pixels in (width, height):
        reach = int(MAX_SHIFT * pixels)
        steps = uniform(pixel_values, -reach - 0.5, reach + 0.5).round().clamp(-reach, reach)
        moves.append(2 * steps / pixels)
    return window(pixel_values, torch.ones_like(moves[0]), *moves)


def crop(pixel_values: Tensor) -> Tensor:
    """A random square of 30 to 100 % of the area, resized to the whole."""
    side = uniform(pixel_values, MIN_AREA, 1).sqrt()
    x, y = ((1 - side) * uniform(pixel_values, -1, 1) for _ in range(2))
    return window(pixel_values, side, x, y)


def flip(pixel_values: Tensor) -> Tensor:
    """Mirror half of the images, left to right."""
    return torch.where(uniform(pixel_values, 0, 1) < 0.5, pixel_values.flip(-1), pixel_values)


def luminance(pixel_values: Tensor) -> Tensor:
    """Grey versions, one channel."""
    if pixel_values.shape[1] != len(LUMINANCE):
        return pixel_values.mean(1, keepdim=True)
    red, green, blue = (
        weight * channel
        for weight, channel in zip(LUMINANCE, pixel_values.chunk(len(LUMINANCE), 1), strict=True)
    )
    return red + green + blue


def color(pixel_values: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, each by up to 40 %."""
    low, high = 1 - STRENGTH, 1 + STRENGTH
    images = (pixel_values * uniform(pixel_values, low, high)).clamp(0, 1)
    level = luminance(images).mean((1, 2, 3), keepdim=True)
    images = level.lerp(images, uniform(pixel_values, low, high)).clamp(0, 1)
    grey = luminance(images).expand_as(images)
    return grey.lerp(images, uniform(pixel_values, low, high)).clamp(0, 1)


def gray(pixel_values: Tensor) -> Tensor:
    """Remove the colours of a fifth of the images."""
    return torch.where(
        uniform(pixel_values, 0, 1) < GRAYED,
        luminance(pixel_values).expand_as(pixel_values),
        pixel_values,
    )


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "shift": shift,
    "crop": crop,
    "flip": flip,
    "color": color,
    "gray": gray,
}


def augment(pixel_values: Tensor, names: Sequence[str]) -> Tensor:
    """Apply augmentations by name, in order.

    Args:
        pixel_values: floats in [0, 1], `(B, C, H, W)`.
        names: of `AUGMENTATIONS`.

    Raises:
        UsageError: if a name is unknown.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(f"no augmentation {name!r}. {did_you_mean(name, AUGMENTATIONS)}")
        pixel_values = AUGMENTATIONS[name](pixel_values)
    return pixel_values
