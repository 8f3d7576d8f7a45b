"""From raw images of any size and mode to the tensors that models read, and back.

Registration with transformers takes the dictionary form, once per config class::

    AutoImageProcessor.register(
        VAEConfig, image_processor_classes={"pil": GenaeImageProcessor}, exist_ok=True
    )

Under the key "pil" the class is also found where torchvision is installed (the automatic choice
falls back to it). `AutoImageProcessor` reads `preprocessor_config.json` before it knows our
class, so it takes folders alone: `GenaeImageProcessor` itself finds ids, too.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

ImageInput = Image.Image | np.ndarray | torch.Tensor

CHANNEL_MODES = {1: "L", 3: "RGB"}
ARRAY_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
#: Modes whose images come back from `to_uint8` pixel for pixel.
SAME_MODES = {1: ("1", "L"), 3: ("RGB", "P")}
COLOURS = {1: "grey", 3: "RGB"}
MODE_WORDS = {"1": "grey", "L": "grey", "LA": "grey", "P": "colours of a palette", "RGBA": "RGB"}
PLAIN_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "RGBX")
WIDE_FILES = ("PNG", "PPM")  # Pillow may open their 16-bit greys as 32-bit integers


class GenaeImagesKwargs(TypedDict, total=False):
    """The fields of `preprocessor_config.json` that `from_pretrained` may override."""

    num_channels: int
    size: int
    crop_size: int | None
    pad_size: int | None
    resample: int


class GenaeImageProcessor(BaseImageProcessor):
    """Turn images into `pixel_values`: float32, `(B, num_channels, S, S)`, in [0, 1].

    The steps are: rotate as EXIF says, scale 16-bit greys to 8, put transparency on black,
    convert to grey or RGB, crop the centre square, resize to `size`, pad with zeros to `pad_size`.
    Each is skipped when it would change nothing, so a grey 28 x 28 image passes bit for bit. S
    is `pad_size`, or `size` without one.

    A 16-bit grey v becomes round(255 v / 65535), whatever values an image uses (of a 12-bit TIFF,
    round(255 v / 4095)). CMYK becomes R = (255 - C)(255 - K) / 255 and so on, without its colour
    profile, after Pillow has undone the inversion of Adobe's JPEGs. Of 16-bit colours Pillow
    reads the upper eight bits.

    Args:
        num_channels: 1 (grey, ITU-R 601 weights) or 3 (RGB).
        size: side in pixels after resizing.
        crop_size: side in pixels of the centre square that is cut before resizing; None, and
            every image too small for it, means the largest square.
        pad_size: side in pixels after padding with zeros on all sides; None pads nothing.
        resample: a filter of `PIL.Image.Resampling`; the default 2 is bilinear, which averages
            when it shrinks and never overshoots.

    Raises:
        ValueError: if a field is out of its range.
    """

    valid_kwargs = GenaeImagesKwargs  # type: ignore[assignment]
    model_input_names = ["pixel_values"]  # noqa: RUF012  (the base class declares it so)

    def __init__(
        self,
        num_channels: int = 1,
        size: int = 28,
        crop_size: int | None = None,
        pad_size: int | None = None,
        resample: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_channels not in CHANNEL_MODES:
            raise ValueError(f"num_channels must be 1 or 3, got {num_channels!r}")
        for name, side in (("size", size), ("crop_size", crop_size), ("pad_size", pad_size)):
            if side is None and name != "size":
                continue
            if isinstance(side, bool) or not isinstance(side, int) or side < 1:
                raise ValueError(f"{name} must be a whole number of pixels, got {side!r}")
        if pad_size is not None and pad_size < size:
            raise ValueError(f"pad_size must be at least size ({size}), got {pad_size}")
        self.num_channels = num_channels
        self.size = size
        self.crop_size = crop_size
        self.pad_size = pad_size
        self.resample = int(Image.Resampling(resample))

    @property
    def output_size(self) -> int:
        """Side of the output in pixels, padding included."""
        return self.size if self.pad_size is None else self.pad_size

    @property
    def form(self) -> str:
        """Size and colours of the images made, without padding, such as "28 x 28 grey"."""
        return f"{self.size} x {self.size} {COLOURS[self.num_channels]}"

    def changed_form(self, image: Image.Image) -> str:
        """The form of an image that `to_uint8` changes, such as "64 x 64 RGB"; else empty.

        Rotating an image as its EXIF says, writing out a palette and padding change no pixel of
        what it shows, and do not count.
        """
        wide, transparent = _range(image) is not None, image.has_transparency_data
        same = image.mode in SAME_MODES[self.num_channels] and not (wide or transparent)
        if same and image.size == (self.size, self.size):
            return ""
        words = "grey of more than 8 bits" if wide else MODE_WORDS.get(image.mode, image.mode)
        more = " with transparency" if transparent else ""
        return f"{image.width} x {image.height} {words}{more}"

    def to_uint8(self, image: ImageInput) -> np.ndarray:
        """One image as bytes.

        Args:
            image: a PIL image of mode 1, L, LA, P, PA, RGB, RGBA, CMYK, YCbCr, HSV or I;16, or
                the 16-bit grey of a PNG or PGM file that Pillow opens in mode I; or an array or
                tensor `(H, W)`, `(H, W, C)` or `(C, H, W)` with C in 1 to 4, uint8, uint16, bool,
                or floats in [0, 1]. Where both ends could be channels, an array counts as
                channels-last and a tensor as channels-first.

        Returns:
            uint8 `(num_channels, S, S)`.

        Raises:
            TypeError: if it is not an image.
            ValueError: if its mode, shape, type or range is none of the above.
        """
        return self.pad(self.to_pixels(image))

    def to_pixels(self, image: ImageInput) -> np.ndarray:
        """`to_uint8` without the padding.

        Args:
            image: as `to_uint8` reads it.

        Returns:
            uint8 `(num_channels, size, size)`.

        Raises:
            TypeError: as `to_uint8`.
            ValueError: as `to_uint8`.
        """
        form = (self.size, self.size, self.num_channels)
        if isinstance(image, np.ndarray) and image.dtype == np.uint8:
            if image.shape in (form, form[:2]) and image.size == math.prod(form):
                return image.reshape(form).transpose(2, 0, 1)  # nothing is to be changed
        pil = image if isinstance(image, Image.Image) else _from_array(image)
        wide = _range(pil)
        pil = _upright(pil)
        if wide is not None:
            pil = _to_eight_bits(pil, *wide)
        pil = _to_mode(pil, CHANNEL_MODES[self.num_channels])
        width, height = pil.size
        side = min(width, height, self.crop_size or width)
        if (width, height) != (side, side):
            left, top = (width - side) // 2, (height - side) // 2
            pil = pil.crop((left, top, left + side, top + side))
        if side != self.size:
            pil = pil.resize((self.size, self.size), Image.Resampling(self.resample))
        return np.asarray(pil).reshape(form).transpose(2, 0, 1)

    def pad(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels with zeros around them.

        Args:
            pixels: uint8 `(..., size, size)`.

        Returns:
            uint8 `(..., S, S)`.
        """
        before, after = self._padding()
        side = before + self.size + after
        # np.pad takes a third of the time that a small image takes in all.
        padded = np.zeros((*pixels.shape[:-2], side, side), np.uint8)
        padded[..., before : side - after, before : side - after] = pixels
        return padded

    def preprocess(
        self, images: ImageInput | Sequence[ImageInput], return_tensors: str | None = "pt"
    ) -> BatchFeature:
        """Process one image or several; calling the processor does this.

        Args:
            images: an image as `to_uint8` reads it, a list of them, or a batch `(B, H, W, C)`
                or `(B, C, H, W)`.
            return_tensors: "pt" for a torch tensor, "np" for a numpy array.

        Returns:
            `{"pixel_values": float32 (B, num_channels, S, S) in [0, 1]}`.
        """
        if isinstance(images, np.ndarray | torch.Tensor):
            batch = list(images) if images.ndim == 4 else [images]
        elif isinstance(images, list | tuple):
            batch = list(images)
        else:
            batch = [images]
        if not batch:
            raise ValueError("no images were given; pass at least one")
        pixels = np.stack([self.to_uint8(image) for image in batch])
        values = {"pixel_values": pixels.astype(np.float32) / np.float32(255)}
        return BatchFeature(values, tensor_type=return_tensors)

    def crop_padding(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Remove the padding: `(..., S, S)` becomes `(..., size, size)`, a view.

        Raises:
            ValueError: if the last two axes are not S.
        """
        expected = (self.output_size, self.output_size)
        if tuple(pixel_values.shape[-2:]) != expected:
            raise ValueError(
                f"images of this processor end in {expected}, got {tuple(pixel_values.shape)}"
            )
        before, _ = self._padding()
        return pixel_values[..., before : before + self.size, before : before + self.size]

    def post_process(self, pixel_values: torch.Tensor) -> list[Image.Image]:
        """Model output as images, without the padding.

        Args:
            pixel_values: `(B, C, S, S)` or `(C, S, S)`, in [0, 1]; a rounding error outside is
                clipped.

        Returns:
            B images of `size` x `size`, mode L or RGB.

        Raises:
            ValueError: if the shape is another one, or a value is not a number.
        """
        values = torch.as_tensor(pixel_values).detach().to("cpu", torch.float32)
        values = self.crop_padding(values[None] if values.ndim == 3 else values)
        if values.ndim != 4 or values.shape[1] != self.num_channels:
            raise ValueError(
                f"expected (B, {self.num_channels}, S, S), got {tuple(pixel_values.shape)}"
            )
        if not torch.isfinite(values).all():
            raise ValueError("the images contain values that are not finite numbers")
        pixels = (values.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(p[..., 0] if self.num_channels == 1 else p) for p in pixels]

    def _padding(self) -> tuple[int, int]:
        """Number of zero pixels before and after the image, on each axis."""
        total = self.output_size - self.size
        return total // 2, total - total // 2


def _upright(image: Image.Image) -> Image.Image:
    """The image rotated as its EXIF says; unchanged if EXIF is absent or damaged."""
    if image.format == "PNG" and not image.info and not getattr(image, "tile", True):
        return image  # it was read to its end, where nothing says how
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about damage that does not matter here
            image.load()  # of a PNG, EXIF may stand behind the pixels
            if image.format == "PNG" and not image.info:  # nothing says so, and nothing is copied
                return image
            return ImageOps.exif_transpose(image)
    except Exception:  # Pillow raises whatever its parser meets; the pixels are intact
        return image


def _range(image: Image.Image) -> tuple[int, int] | None:
    """The values of black and white in greys of more than 8 bits; None for any other image.

    Of mode I, whose range is unknown, only what Pillow makes of a file of 16-bit greys.
    """
    if image.mode == "I" and image.format in WIDE_FILES:
        return 0, 65535
    if not image.mode.startswith("I;16"):
        return None
    tags = getattr(image, "tag_v2", {})  # of a TIFF: BitsPerSample, PhotometricInterpretation
    white = 4095 if tags.get(258) in (12, (12,)) else 65535
    return (white, 0) if tags.get(262) == 0 else (0, white)  # Pillow inverts only 8-bit greys


def _to_eight_bits(image: Image.Image, black: int, white: int) -> Image.Image:
    """Greys from black to white as mode L, a transparent one as black."""
    values, maximum = np.asarray(image).astype(np.int64), max(black, white)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        values = np.where(values == transparent, black, values)
    scaled = (abs(values.clip(0, maximum) - black) * 255 + maximum // 2) // maximum
    return Image.fromarray(scaled.astype(np.uint8))


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB from any mode, transparency on black."""
    if image.mode == mode and not image.has_transparency_data:
        return image
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        black = Image.new("RGBA", colours.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, colours).convert(mode)
    if image.mode not in PLAIN_MODES:
        raise ValueError(
            f"images of mode {image.mode} have no known range; scale the values to 8 bits "
            "and convert to L or RGB first"
        )
    return image.convert("RGB").convert(mode) if image.mode != "L" else image.convert(mode)


def _from_array(image: np.ndarray | torch.Tensor) -> Image.Image:
    """A PIL image from an array or tensor, see `GenaeImageProcessor.to_uint8`."""
    if isinstance(image, torch.Tensor):
        array, channels_first = image.detach().cpu().numpy(), True
    elif isinstance(image, np.ndarray):
        array, channels_first = image, False
    else:
        raise TypeError(
            f"expected a PIL image, an array or a tensor, got {type(image).__name__}; open "
            "files with PIL.Image.open first"
        )
    if array.ndim == 2:
        array = array[..., None]
    ends = [axis for axis in (0, -1) if array.ndim == 3 and array.shape[axis] in ARRAY_MODES]
    if not ends or not array.size:
        raise ValueError(
            f"expected (H, W), (H, W, C) or (C, H, W) with C in 1 to 4, got {array.shape}"
        )
    if image.ndim == 3 and ends[0 if channels_first else -1] == 0:
        array = array.transpose(1, 2, 0)
    array = np.ascontiguousarray(_to_bytes(array))
    channels = array.shape[-1]
    # `frombytes` knows the two-channel mode LA, which `fromarray` does not.
    size = (array.shape[1], array.shape[0])
    return Image.frombytes(ARRAY_MODES[channels], size, array.tobytes())


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Values as uint8: whole ranges of uint16, bool and float map onto 0 to 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"values of type {array.dtype} have no known range; pass uint8, or floats in [0, 1]"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"floats must lie in [0, 1], got {low:g} to {high:g}; divide by 255, or pass uint8"
        )
    bytes_: np.ndarray = np.rint(array * 255).astype(np.uint8)
    return bytes_
