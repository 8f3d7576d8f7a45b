"""Images that people really have, and images that someone made to hurt."""

import io
import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def digit() -> Image.Image:
    """A grey 28 x 28 image in which every pixel differs from its neighbours."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8))


@pytest.fixture
def png():
    """`png(image)`: its bytes as a PNG file."""

    def encode(image: Image.Image, kind: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format=kind)
        return buffer.getvalue()

    return encode


def huge_header(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that announces any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", compress(b"0")) + chunk(b"IEND", b"")


@pytest.fixture
def hostile(tmp_path, digit, png) -> dict:
    """Bad image files by what is wrong with them."""
    whole = png(digit)
    colours = digit.convert("RGB")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    contents = {
        "truncated.png": whole[: len(whole) // 2],
        "truncated.jpg": png(colours.resize((200, 200)), "JPEG")[:900],
        "flipped.png": bytes(flipped),
        "empty.png": b"",
        "text.png": b"not an image at all",
        "bomb.png": huge_header(60_000, 60_000),
        "large.png": huge_header(9_000, 9_000),
        "float.tiff": png(digit.convert("F"), "TIFF"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    turned = [digit.rotate(angle) for angle in (0, 90, 180)]
    turned[0].save(tmp_path / "animated.gif", save_all=True, append_images=turned[1:])
    return {name: tmp_path / name for name in (*contents, "animated.gif")}
