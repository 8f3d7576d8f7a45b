"""Stacked MNIST: which digits, which labels, the same every time."""

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import load_images
from zoo.data.stacked import SPLITS, draw_rows
from zoo.errors import UsageError
from zoo.models import GenaeImageProcessor

COLOUR = GenaeImageProcessor(num_channels=3, size=4)


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A data set in the place of MNIST: of each split twenty images, all pixels their number."""
    for split, start in (("train", 0), ("test", 100)):
        folder = tmp_path / "mnist" / split
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.full((4, 4), start + number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02}-{number % 10}.png")
    monkeypatch.setenv("GENAE_DATA", str(tmp_path))


@pytest.mark.usefixtures("digits")
def test_three_images_are_the_channels_of_one():
    images = load_images("stacked-mnist", "train[:500]", COLOUR)
    assert images.pixels.shape == (500, 3, 4, 4)
    rows = draw_rows("train", 20)[:500]
    assert torch.equal(images.pixels[:, :, 2, 1].long(), rows)
    red, green, blue = (rows % 10).unbind(1)
    assert torch.equal(images.labels, 100 * red + 10 * green + blue)
    assert len({*images.labels.tolist()}) > 350  # of 1,000 classes, in 500 draws


@pytest.mark.usefixtures("digits")
def test_a_split_is_the_same_draw_however_much_of_it_is_asked_for():
    whole = load_images("stacked-mnist", "test", COLOUR)
    assert len(whole) == SPLITS["test"][0] == 26_000
    assert int(whole.pixels.min()) == 100  # of the test split alone
    part = load_images("stacked-mnist", "test[100:300]", COLOUR, max_images=50)
    assert torch.equal(part.pixels, whole.pixels[100:150])
    both = load_images("stacked-mnist", "test[:10]+train[:10]", COLOUR)
    assert torch.equal(both.pixels[:10], whole.pixels[:10])
    assert int(both.pixels[10:].max()) < 100
    counts = torch.bincount(whole.labels, minlength=1000)
    assert (counts > 0).all()
    # Every class is as likely: 26 expected, and a standard deviation of 5.1.
    assert counts.double().std() == pytest.approx(26**0.5, rel=0.1)


@pytest.mark.usefixtures("digits")
def test_what_cannot_be_stacked_is_refused():
    with pytest.raises(UsageError, match="set num_channels to 3"):
        load_images("stacked-mnist", "train", GenaeImageProcessor(num_channels=1, size=4))
    with pytest.raises(UsageError, match="split 'validation'"):
        load_images("stacked-mnist", "validation", COLOUR)
    with pytest.raises(UsageError, match="empty"):
        load_images("stacked-mnist", "train[:0]", COLOUR)


@pytest.mark.slow
def test_stacked_digits_are_mnists(shared_data, monkeypatch):
    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    colour = GenaeImageProcessor(num_channels=3, size=28)
    stacked = load_images("stacked-mnist", "test[:8]", colour, quiet=True)
    plain = load_images("mnist", "test", GenaeImageProcessor(size=28), quiet=True)
    rows = draw_rows("test", 10_000)[:8]
    assert torch.equal(stacked.pixels, plain.pixels[rows, 0])
    assert stacked.labels.tolist() == [
        int("".join(str(int(plain.labels[row])) for row in each)) for each in rows
    ]
