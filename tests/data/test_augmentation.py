"""Augmentations change how an image looks, in range, and each image by itself."""

import pytest
import torch

from zoo.card.schema import AUGMENTATIONS as NAMES
from zoo.data.augmentation import AUGMENTATIONS, augment, color, crop, flip, gray, shift
from zoo.errors import UsageError


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(200, 3, 16, 16)


def test_cards_may_name_every_augmentation():
    assert tuple(AUGMENTATIONS) == NAMES
    with pytest.raises(UsageError, match=r"no augmentation 'flop'\. Did you mean 'flip'"):
        augment(torch.rand(1, 1, 8, 8), ["flop"])


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_type_and_range_stay(images, name, channels):
    changed = augment(images[:, :channels], [name])
    assert changed.shape == (200, channels, 16, 16)
    assert changed.dtype == torch.float32
    assert 0 <= changed.min()
    assert changed.max() <= 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_image_is_drawn_for_alone_and_anew(images, name):
    same = images[:1].expand(200, -1, -1, -1)
    first, second = augment(same, [name]), augment(same, [name])
    assert len(first.flatten(1).unique(dim=0)) > 1
    assert not torch.equal(first, second)
    torch.manual_seed(7)
    again = augment(same, [name])
    torch.manual_seed(7)
    assert torch.equal(again, augment(same, [name]))


@pytest.mark.parametrize("name", ["shift", "crop", "flip"])
def test_what_moves_pixels_makes_none(name):
    levels = torch.rand(50, 3, 1, 1)
    plain = levels.expand(-1, -1, 16, 16).contiguous()
    torch.testing.assert_close(augment(plain, [name]), plain)


def test_a_flip_mirrors_about_half_and_keeps_the_rest(images):
    changed = flip(images)
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    kept = (changed == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 60 < mirrored.sum() < 140  # 200 fair coins are beyond that once in 10^8


def test_a_shift_moves_whole_pixels_by_an_eighth_at_most(images):
    changed = shift(images)
    middle = changed[:, :, 2:-2, 2:-2]
    found = set()
    for image, whole in zip(middle, images, strict=True):
        moves = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if torch.allclose(image, whole[:, row : row + 12, column : column + 12], atol=1e-5)
        ]
        assert len(moves) == 1
        found.add(moves[0])
    assert len(found) == 25


def test_a_crop_of_a_slope_is_a_slope_of_30_to_100_percent_of_the_area():
    slope = torch.linspace(0, 1, 32).expand(300, 1, 32, 32).contiguous()
    changed = crop(slope)
    steps = changed[..., 4:-4].diff(dim=-1).flatten(1)  # away from the mirrored edge
    assert (steps.std(1) < 1e-5).all()
    side = steps.mean(1) * 31
    assert (side > 0.3**0.5 - 1e-4).all()
    assert (side < 1 + 1e-4).all()
    area = side.square()
    assert abs(area.mean() - 0.65) < 0.05
    assert area.min() < 0.35
    assert area.max() > 0.95


def test_gray_takes_the_colours_of_a_fifth_and_color_keeps_grey_grey(images):
    many = images.repeat(5, 1, 1, 1)
    changed = gray(many)
    grey = (changed == changed[:, :1]).flatten(1).all(1)
    assert 140 < grey.sum() < 260
    assert torch.equal(changed[~grey], many[~grey])
    one = images[:, :1].expand(-1, 3, -1, -1)
    colored = color(one)
    torch.testing.assert_close(colored, colored[:, :1].expand_as(one), atol=1e-5, rtol=0)
