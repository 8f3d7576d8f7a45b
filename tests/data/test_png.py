"""Plain PNGs are read without Pillow, to the same pixels; whatever else is left to Pillow."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from zoo.data import png
from zoo.data.files import open_bytes, open_cell
from zoo.data.png import MAX_PIXELS, plain_pixels
from zoo.encoding import decoding
from zoo.encoding.rows import Row
from zoo.errors import GenaeError
from zoo.models import GenaeImageProcessor

FORMS = {"L": (0, 1), "RGB": (2, 3)}  # colour type and channels
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def part(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def written(
    pixels: "np.ndarray[Any, Any]",
    kinds: list[int],
    *,
    before: bytes = b"",
    between: bytes = b"",
    behind: bytes = b"",
    form: bytes | None = None,
) -> bytes:
    """A PNG whose rows are filtered as asked, of two IDAT parts."""
    height, width = pixels.shape[:2]
    channels = 3 if pixels.ndim == 3 else 1
    rows = pixels.reshape(height, -1).astype(np.int64)
    stream = bytearray()
    above = np.zeros_like(rows[0])
    for row, kind in zip(rows, kinds, strict=True):
        left = np.concatenate([np.zeros(channels, np.int64), row[:-channels]])
        corner = np.concatenate([np.zeros(channels, np.int64), above[:-channels]])
        ahead = left + above - corner
        away = [abs(ahead - one) for one in (left, above, corner)]
        paeth = np.where(
            (away[0] <= away[1]) & (away[0] <= away[2]),
            left,
            np.where(away[1] <= away[2], above, corner),
        )
        guess = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[kind]
        stream += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    packed = zlib.compress(bytes(stream))
    colour = {1: b"\x00", 3: b"\x02"}[channels]
    header = struct.pack(">II", width, height) + (form or b"\x08" + colour + b"\x00\x00\x00")
    middle = len(packed) // 2
    return (
        SIGNATURE
        + part(b"IHDR", header)
        + before
        + part(b"IDAT", packed[:middle])
        + between
        + part(b"IDAT", packed[middle:])
        + behind
        + part(b"IEND", b"")
    )


def saved(image: Image.Image, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()


@pytest.fixture(scope="module")
def noise() -> "np.ndarray[Any, Any]":
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


@pytest.mark.parametrize("mode", FORMS)
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, None])
def test_every_filter_gives_the_pixels_that_were_written(
    mode: str, kind: int | None, noise: "np.ndarray[Any, Any]"
) -> None:
    pixels = noise if mode == "RGB" else noise[..., 0]
    kinds = [row % 5 if kind is None else kind for row in range(len(pixels))]
    content = written(pixels, kinds)
    read = plain_pixels(content)
    assert read is not None
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)
    np.testing.assert_array_equal(read, np.asarray(open_bytes(content, "it")))


@given(
    st.sampled_from(sorted(FORMS)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_what_pillow_writes_is_read_as_pillow_reads_it(
    mode: str, size: tuple[int, int], level: int, optimize: bool, seed: int
) -> None:
    shape = size if mode == "L" else (*size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    content = saved(Image.fromarray(pixels), compress_level=level, optimize=optimize)
    read = plain_pixels(content)
    assert read is not None
    np.testing.assert_array_equal(read, pixels)


def test_parts_that_change_no_pixel_are_passed_over(noise: "np.ndarray[Any, Any]") -> None:
    parts = {
        b"gAMA": struct.pack(">I", 45455),
        b"cHRM": struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]),
        b"sRGB": b"\x00",
        b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
        b"tIME": struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5),
    }
    assert parts.keys() == png.PLAIN.keys()
    for name, content in parts.items():
        image = written(noise, [0] * len(noise), before=part(name, content))
        np.testing.assert_array_equal(plain_pixels(image), noise)
        np.testing.assert_array_equal(open_bytes(image, "it"), noise)
        # Of another length Pillow refuses some of them.
        longer = written(noise, [0] * len(noise), before=part(name, content + b"x"))
        assert plain_pixels(longer) is None


def _text(key: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value)
    return info


def _left_to_pillow() -> dict[str, bytes]:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [image, image.transpose(Image.Transpose.ROTATE_90)]
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    kinds = [0] * 4
    whole = written(grey, kinds)
    return {
        **{mode: saved(image.convert(mode)) for mode in ("1", "P", "LA", "RGBA")},
        "16 bits": saved(Image.fromarray(grey.astype(np.uint16) * 257)),
        "transparent": saved(image, transparency=(0, 1, 2)),
        "turned": saved(image, exif=turned),
        "text": saved(image, pnginfo=_text("Comment", "by hand")),
        "orientation in text": saved(
            image, pnginfo=_text("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
        ),
        "profile": saved(image, icc_profile=b"none"),
        "animated": saved(frames[0], save_all=True, append_images=frames[1:]),
        "interlaced": written(grey, kinds, form=b"\x08\x00\x00\x00\x01"),
        "JPEG": _jpeg(image),
        "cut": whole[:-20],
        "more behind": whole + b"x",
        "pixels in two places": written(grey, kinds, between=part(b"sRGB", b"\x00")),
        "two headers": written(grey, kinds, behind=whole[8:33]),
        "empty": b"",
        "a signature": SIGNATURE,
        "huge": written(np.zeros((1, MAX_PIXELS + 1), np.uint8), [0]),
        "no pixels": SIGNATURE + whole[8:33] + part(b"IEND", b""),
        "no width": written(grey[:, :0], kinds),
    }


def _jpeg(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


@pytest.mark.parametrize("name", _left_to_pillow())
def test_what_is_not_plain_is_left_to_pillow(name: str) -> None:
    assert plain_pixels(_left_to_pillow()[name]) is None


def outcome(content: bytes, opened: Any) -> "np.ndarray[Any, Any] | None":
    try:
        return np.asarray(opened(content, "it"))
    except GenaeError:
        return None


@given(
    st.sampled_from(sorted(FORMS)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_of_damaged_images_those_are_read_that_pillow_reads(
    mode: str, changes: list[tuple[int, int]], repaired: bool
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    content = bytearray(written(pixels[..., : FORMS[mode][1]], [row % 5 for row in range(8)]))
    for at, value in changes:
        content[at % len(content)] = value
    damaged = _with_sums(bytes(content)) if repaired else bytes(content)
    read = plain_pixels(damaged)
    if read is not None:
        for opened in (open_bytes, open_cell):
            np.testing.assert_array_equal(read, outcome(damaged, opened))


def _with_sums(content: bytes) -> bytes:
    """The same parts, each with the checksum of what is in it now."""
    made, at = content[:8], 8
    while at + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            break
        made += part(name, content[at + 8 : at + 8 + length])
        at += 12 + length
    return made + content[at:]


def test_without_the_library_all_is_left_to_pillow(
    monkeypatch: pytest.MonkeyPatch, noise: "np.ndarray[Any, Any]"
) -> None:
    content = written(noise, [0] * len(noise))
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    png._decoder.cache_clear()
    assert plain_pixels(content) is None
    png._decoder.cache_clear()


def test_rows_of_data_sets_are_read_without_pillow_where_they_can_be(
    monkeypatch: pytest.MonkeyPatch, noise: "np.ndarray[Any, Any]"
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Pillow was asked")

    for name in ("open_bytes", "open_cell"):
        monkeypatch.setattr(decoding, name, refuse)
    processor = GenaeImageProcessor(num_channels=3, size=7)
    plain = written(noise[:7], [0] * 7)
    (pixels,) = decoding.decode(processor, [Row(0, "it", plain)])
    np.testing.assert_array_equal(pixels, noise[:7].transpose(2, 0, 1))
    as_image = processor.to_uint8(Image.fromarray(noise[:7]))
    np.testing.assert_array_equal(processor.pad(pixels), as_image)
    with pytest.raises(AssertionError, match="Pillow was asked"):
        decoding.decode(processor, [Row(0, "it", saved(Image.fromarray(noise).convert("P")))])
