"""GenaeImageProcessor: what goes in exactly, what is equivalent, what is refused."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

import zoo.models  # noqa: F401  (registers the processor)
from zoo.models.images.image_processing_genae import GenaeImageProcessor

MNIST = {"num_channels": 1, "size": 28, "pad_size": 32}


@pytest.fixture
def processor() -> GenaeImageProcessor:
    return GenaeImageProcessor(**MNIST)


def test_grey_of_the_right_size_passes_bit_for_bit(processor, digit):
    pixels = processor.to_uint8(digit)
    assert pixels.shape == (1, 32, 32)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0, 2:30, 2:30], np.asarray(digit))
    assert pixels.sum() == np.asarray(digit).sum()  # the padding is zero


def test_pixel_values_are_bytes_over_255(processor, digit):
    values = processor(digit, return_tensors="pt")["pixel_values"]
    assert values.dtype == torch.float32
    expected = torch.from_numpy(processor.to_uint8(digit))[None].float() / 255
    assert torch.equal(values, expected)


def test_post_process_is_the_inverse(processor, digit):
    (image,) = processor.post_process(processor(digit)["pixel_values"])
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(digit))


@pytest.mark.parametrize("name", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_ordinary_mode_gives_the_same_shape(name, channels):
    processor = GenaeImageProcessor(num_channels=channels, size=8)
    assert processor.to_uint8(Image.new(name, (13, 21))).shape == (channels, 8, 8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_grey_in_another_mode_is_the_same_image(processor, digit, mode):
    converted = digit.convert("RGB").convert(mode) if mode == "CMYK" else digit.convert(mode)
    np.testing.assert_array_equal(processor.to_uint8(converted), processor.to_uint8(digit))


def test_sixteen_bits_are_scaled_not_cut():
    processor = GenaeImageProcessor(size=2)
    wide = Image.fromarray(np.array([[0, 257], [32768, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(processor.to_uint8(wide)[0], [[0, 1], [128, 255]])


def with_tag(tiff: bytes, tag: int, value: int) -> Image.Image:
    """A little-endian TIFF with another value of a short tag."""
    content = bytearray(tiff)
    place = content.index(tag.to_bytes(2, "little") + b"\3\0\1\0\0\0") + 8
    content[place : place + 2] = value.to_bytes(2, "little")
    return Image.open(io.BytesIO(content))


def test_greys_of_a_tiff_have_the_range_its_tags_say(png):
    greys = np.array([[0, 128], [200, 255]], np.uint8)
    wide = png(Image.fromarray(greys.astype(np.uint16) * 257), "TIFF")
    processor = GenaeImageProcessor(size=2)
    np.testing.assert_array_equal(processor.to_uint8(with_tag(wide, 262, 1))[0], greys)
    turned = with_tag(wide, 262, 0)  # white is zero
    np.testing.assert_array_equal(processor.to_uint8(turned)[0], 255 - greys)
    packed = Image.new("I;16", (2, 2))
    packed.putdata([0, 2048, 4095, 1])
    packed.tag_v2 = {258: (12,), 262: 1}
    assert processor.to_uint8(packed).ravel().tolist() == [0, 128, 255, 0]


def test_ink_is_light_that_is_left():
    processor = GenaeImageProcessor(num_channels=3, size=1)
    ink = Image.new("CMYK", (1, 1), (255, 0, 51, 51))
    # (255 - C)(255 - K) / 255, rounded
    assert processor.to_uint8(ink).ravel().tolist() == [0, 204, 163]


def test_a_16_bit_file_may_be_of_mode_i():
    opened = Image.new("I", (1, 1), 32768)
    opened.format = "PPM"
    assert GenaeImageProcessor(size=1).to_uint8(opened).item() == 128


@pytest.mark.parametrize("mode", ["F", "I"])
def test_modes_without_a_range_are_refused(processor, mode):
    with pytest.raises(ValueError, match=f"mode {mode} have no known range"):
        processor.to_uint8(Image.new(mode, (28, 28)))


def test_transparency_lies_on_black():
    processor = GenaeImageProcessor(num_channels=3, size=1)
    glass = Image.new("RGBA", (1, 1), (200, 100, 50, 0))
    half = Image.new("RGBA", (1, 1), (200, 100, 50, 51))
    assert processor.to_uint8(glass).ravel().tolist() == [0, 0, 0]
    assert processor.to_uint8(half).ravel().tolist() == [40, 20, 10]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([200, 100, 50] * 256)
    palette.info["transparency"] = 0
    assert processor.to_uint8(palette).ravel().tolist() == [0, 0, 0]


def test_exif_rotation_is_honoured(processor, digit, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # hold the camera a quarter turn clockwise
    digit.save(tmp_path / "turned.png", exif=exif)
    upright = Image.open(tmp_path / "turned.png")
    expected = digit.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(processor.to_uint8(upright), processor.to_uint8(expected))


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        lambda a: a[..., None],
        lambda a: a[None],
        lambda a: a.astype(np.float32) / 255,
        lambda a: a.astype(np.float64)[..., None] / 255,
        lambda a: np.repeat(a[..., None], 3, axis=2),
        lambda a: np.repeat(a[None], 3, axis=0),
        lambda a: a.astype(np.uint16) * 257,
        lambda a: torch.from_numpy(a.copy()),
        lambda a: torch.from_numpy(a.copy())[None].float() / 255,
    ],
)
def test_arrays_and_tensors_of_any_layout_are_the_same_image(processor, digit, form):
    given = form(np.asarray(digit))
    np.testing.assert_array_equal(processor.to_uint8(given), processor.to_uint8(digit))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.full((28, 28), 1.5), "must lie in"),
        (np.full((28, 28), np.nan), "must lie in"),
        (np.zeros((28, 28), np.int64), "int64"),
        (np.zeros((5, 28, 28), np.uint8), r"\(5, 28, 28\)"),
        (np.zeros((0, 28), np.uint8), r"\(0, 28, 1\)"),
        (np.zeros(28, np.uint8), r"\(28,\)"),
    ],
)
def test_arrays_of_unknown_meaning_are_refused(processor, given, reason):
    with pytest.raises(ValueError, match=reason):
        processor.to_uint8(given)


def test_text_is_not_an_image(processor):
    with pytest.raises(TypeError, match=r"PIL\.Image\.open"):
        processor("https://example.invalid/digit.png")


def test_damaged_exif_does_not_matter(processor, digit):
    expected = processor.to_uint8(digit)
    for exif in (b"", b"Exif", b"II*\x00\xff\xff\xff\xff", b"Exif\x00\x00MM\x00*" + b"\xff" * 30):
        digit.info["exif"] = exif
        np.testing.assert_array_equal(processor.to_uint8(digit.copy()), expected)


def test_a_list_a_batch_and_single_images_agree(processor, digit):
    one = processor(digit)["pixel_values"]
    both = processor([digit, np.asarray(digit)])["pixel_values"]
    batch = processor(np.stack([np.asarray(digit)] * 2)[..., None])["pixel_values"]
    assert torch.equal(both, batch)
    assert torch.equal(both, torch.cat([one, one]))
    with pytest.raises(ValueError, match="no images"):
        processor([])


def test_the_centre_square_is_cut():
    processor = GenaeImageProcessor(size=4)
    wide = np.zeros((4, 10), np.uint8)
    wide[:, 3:7] = 255
    assert (processor.to_uint8(wide) == 255).all()
    assert (processor.to_uint8(wide.T) == 255).all()


def test_crop_size_is_cut_before_resizing_and_small_images_pass():
    processor = GenaeImageProcessor(size=4, crop_size=4)
    large = np.zeros((20, 20), np.uint8)
    large[8:12, 8:12] = 255
    assert (processor.to_uint8(large) == 255).all()
    assert processor.to_uint8(np.zeros((2, 3), np.uint8)).shape == (1, 4, 4)


def test_shrinking_averages():
    board = (np.indices((56, 56)).sum(0) % 2 * 255).astype(np.uint8)
    inner = GenaeImageProcessor(size=28).to_uint8(board)[0, 2:-2, 2:-2]
    assert abs(inner.astype(int) - 128).max() <= 2


@pytest.mark.parametrize("settings", [MNIST, {"num_channels": 3, "size": 64, "crop_size": 140}])
def test_saved_and_loaded_is_the_same(settings, tmp_path):
    processor = GenaeImageProcessor(**settings, resample=1)
    processor.save_pretrained(tmp_path)
    for loader in (GenaeImageProcessor, AutoImageProcessor):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is GenaeImageProcessor
        assert loaded.to_dict() == processor.to_dict()
    assert GenaeImageProcessor.from_pretrained(tmp_path, size=7, pad_size=None).size == 7
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["image_processor_type"] == "GenaeImageProcessor"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"num_channels": 2}, "num_channels"),
        ({"size": 0}, "size"),
        ({"size": 2.5}, "size"),
        ({"size": None}, "size"),
        ({"crop_size": -1}, "crop_size"),
        ({"size": 32, "pad_size": 28}, "pad_size"),
        ({"resample": 99}, "99"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, name):
    with pytest.raises(ValueError, match=name):
        GenaeImageProcessor(**settings)


def test_post_process_refuses_other_shapes(processor):
    with pytest.raises(ValueError, match=r"\(32, 32\)"):
        processor.post_process(torch.zeros(1, 1, 28, 28))
    with pytest.raises(ValueError, match=r"\(B, 1, S, S\)"):
        processor.post_process(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="finite"):
        processor.post_process(torch.full((1, 1, 32, 32), torch.nan))
