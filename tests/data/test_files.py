"""Files that people name: each bad one has one clear line, none crashes."""

import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

from zoo.data.files import iter_images, open_image, open_images
from zoo.errors import GenaeError, NotFoundError, UnsafeError, UsageError

REASONS = {
    "truncated.png": (UsageError, "damaged"),
    "truncated.jpg": (UsageError, "damaged"),
    "flipped.png": (UsageError, "damaged"),
    "empty.png": (UsageError, "0 bytes"),
    "text.png": (UsageError, "not an image"),
    "bomb.png": (UnsafeError, "more pixels than"),
    "large.png": (UnsafeError, "9000 x 9000"),
    "float.tiff": (UsageError, "floating-point"),
    "animated.gif": (UsageError, "3 frames"),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_bad_file_is_refused_in_one_line_that_names_it(hostile, name):
    kind, reason = REASONS[name]
    with pytest.raises(kind, match=reason) as caught:
        open_images([hostile[name]])
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.startswith(str(hostile[name]))
    assert "\n" not in text


def test_every_hostile_file_has_a_stated_reason(hostile):
    assert set(hostile) == set(REASONS)


def test_skip_bad_counts_and_keeps_the_good(hostile, digit, tmp_path):
    good = tmp_path / "good.png"
    digit.save(good)
    images, files, problems = open_images(
        [*hostile.values(), good, tmp_path / "missing.png"], skip_bad=True
    )
    assert files == [good]
    assert len(problems) == len(hostile) + 1
    np.testing.assert_array_equal(np.asarray(images[0]), np.asarray(digit))


def test_bad_files_in_a_folder_are_skipped(hostile, digit, tmp_path):
    (tmp_path / "sub").mkdir()
    digit.save(tmp_path / "sub" / "good.png")
    (tmp_path / "notes.txt").write_text("no image by name")
    _, files, problems = open_images([tmp_path])
    assert files == [tmp_path / "sub" / "good.png"]
    assert len(problems) == len(hostile)


def test_only_bad_files_is_an_error(hostile):
    with pytest.raises(UsageError, match="no usable image among 9"):
        open_images(hostile.values(), skip_bad=True)
    with pytest.raises(UsageError, match="no images were given"):
        open_images([])


def test_missing_files_and_empty_folders_are_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        open_images([tmp_path / "missing.png"])
    with pytest.raises(NotFoundError, match="holds no images"):
        open_images([tmp_path])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_ordinary_modes_are_welcome(tmp_path, digit, mode):
    path = tmp_path / "image.png"
    digit.convert("RGB").convert(mode).save(path)
    images, _, _ = open_images([path])
    assert images[0].size == (28, 28)


EXACT = {
    "grey.png": "more than 8 bits per channel",
    "grey.pgm": "more than 8 bits per channel",
    "ink.jpg": "is in CMYK",
    "colour.png": "more than 8 bits per channel",
}


@pytest.mark.parametrize("name", EXACT)
def test_what_a_processor_makes_8_bits_of_is_refused_only_where_nothing_may_be_lost(
    tmp_path, digit, name
):
    path = tmp_path / name
    if name == "ink.jpg":
        digit.convert("CMYK").save(path)
    elif name == "colour.png":  # which Pillow reads, and cuts unasked
        path.write_bytes(wide_colours(3, 2))
    else:
        Image.fromarray(np.arange(784, dtype=np.uint16).reshape(28, 28) * 80).save(path)
    assert open_image(path).size in ((28, 28), (3, 2))
    with pytest.raises(UsageError, match=EXACT[name]):
        open_image(path, exact=True)


def wide_colours(width: int, height: int) -> bytes:
    """A PNG of 16-bit colours, all 0x80FF."""
    rows = (b"\0" + b"\x80\xff" * 3 * width) * height

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")


def test_integers_of_an_unknown_range_are_refused(tmp_path):
    path = tmp_path / "signed.tiff"
    Image.new("I", (2, 2), 300).save(path)
    with pytest.raises(UsageError, match="more than 8 bits"):
        open_image(path)


def test_the_order_is_that_of_the_names(tmp_path, digit):
    for name in ("b.png", "a.png", "c.PNG", ".hidden.png"):
        digit.save(tmp_path / name, format="PNG")
    assert [path.name for path, _ in iter_images([tmp_path])] == ["a.png", "b.png", "c.PNG"]


def test_any_prefix_and_any_flipped_byte_is_refused_or_read(tmp_path, digit, png):
    """Never another exception than genae's own, whatever Pillow meets."""
    path = tmp_path / "image"
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"):
        whole = png(digit.resize((12, 12)), kind)
        flips = range(0, len(whole), max(1, len(whole) // 60))
        damaged = [whole[:cut] for cut in flips]
        for place in flips:
            copy = bytearray(whole)
            copy[place] ^= 0xFF
            damaged.append(bytes(copy))
        for content in damaged:
            path.write_bytes(content)
            try:
                open_images([path])
            except GenaeError as error:
                assert str(error).startswith(str(path))  # noqa: PT017  (not every case raises)


def test_a_header_alone_is_not_decoded(tmp_path, monkeypatch):
    """The limit is checked on the header: no pixel of a large image is decoded."""
    from zoo.data import files

    path = tmp_path / "wide.bmp"
    Image.new("L", (40, 40)).save(path)
    content = bytearray(path.read_bytes())
    content[18:26] = struct.pack("<ii", 8_001, 8_001)
    path.write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UnsafeError, match="8001 x 8001"):
        files.open_image(path)
