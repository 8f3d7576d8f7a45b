"""Grids: every image is found again where it belongs, and files appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo import plots
from zoo.errors import ConflictError, IntegrityError, NotAllowedError, UsageError


def opened(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_image_is_found_again(channels, scale):
    images = torch.randint(0, 256, (7, channels, 4, 5), dtype=torch.uint8)
    grid = np.asarray(plots.grid(images, columns=3, padding=2, scale=scale))
    grid = grid.reshape(*grid.shape[:2], channels)
    assert grid.shape[:2] == (3 * (4 * scale + 2) + 2, 3 * (5 * scale + 2) + 2)
    for place, image in enumerate(images.numpy()):
        top = 2 + place // 3 * (4 * scale + 2)
        left = 2 + place % 3 * (5 * scale + 2)
        cut = grid[top : top + 4 * scale : scale, left : left + 5 * scale : scale]
        np.testing.assert_array_equal(cut.transpose(2, 0, 1), image)
    assert (grid[:2] == 255).all()


def test_floats_and_bytes_give_one_grid(tmp_path):
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    plots.save_grid(pixels, tmp_path / "bytes.png")
    plots.save_grid(pixels.float() / 255, tmp_path / "floats.png")
    assert (tmp_path / "bytes.png").read_bytes() == (tmp_path / "floats.png").read_bytes()


def test_small_images_are_enlarged_and_large_ones_not():
    assert plots.grid(torch.zeros(1, 1, 32, 32), padding=0).size == (64, 64)
    assert plots.grid(torch.zeros(1, 1, 200, 200), padding=0).size == (200, 200)


def test_reconstructions_stand_under_their_originals(tmp_path):
    above, below = torch.zeros(3, 1, 64, 64), torch.full((3, 1, 64, 64), 0.6)
    path = plots.save_reconstructions(above, below, tmp_path / "pairs.png", columns=3)
    grid = opened(path)
    assert grid.shape == (2 + 128 + 2, 3 * 66 + 2)
    assert (grid[2:66, 2:66] == 0).all()
    assert (grid[66:130, 2:66] == 153).all()
    with pytest.raises(ValueError, match="shapes differ"):
        plots.save_reconstructions(above, below[:2], tmp_path / "pairs.png")


def test_interpolations_are_one_row_each(tmp_path):
    steps = torch.linspace(0, 1, 5)[None, :, None, None, None].expand(2, 5, 1, 64, 64)
    grid = opened(plots.save_interpolations(steps, tmp_path / "walk.png"))
    assert grid.shape == (2 * 66 + 2, 5 * 66 + 2)
    assert grid[10, 10::66].tolist() == [0, 64, 128, 191, 255]
    with pytest.raises(ValueError, match="expected"):
        plots.save_interpolations(steps[0], tmp_path / "walk.png")


@pytest.mark.parametrize("ending", sorted(plots.ENDINGS))
@pytest.mark.parametrize("channels", [1, 3])
def test_every_ending_that_is_offered_can_be_written(tmp_path, ending, channels):
    path = plots.save_grid(torch.rand(4, channels, 8, 8), tmp_path / "deep" / f"grid{ending}")
    with Image.open(path) as image:
        assert image.format == plots.ENDINGS[ending]
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no temporary file


@pytest.mark.parametrize("name", ["grid.svg", "grid", "grid.exe", ".png"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png"):
        plots.prepare_output(tmp_path / name)


def test_impossible_places_are_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        plots.prepare_output(tmp_path / "folder.png")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        plots.prepare_output(tmp_path / "file" / "grid.png")


def test_a_place_is_looked_at_and_not_changed(tmp_path, monkeypatch):
    assert plots.prepare_output(tmp_path / "new" / "deep" / "grid.png")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(plots.os, "access", lambda place, mode: place != tmp_path)
    with pytest.raises(NotAllowedError, match="cannot be written"):
        plots.prepare_output(tmp_path / "new" / "grid.png")


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".gif"])
def test_a_grid_too_tall_for_its_format_names_one_that_holds_it(tmp_path, ending):
    tall = Image.new("L", (1, 70_000))
    with pytest.raises(UsageError, match=r"70000 pixels .*use \.png"):
        plots.save_image(tall, tmp_path / "new" / f"tall{ending}")
    assert not list(tmp_path.iterdir())
    assert plots.save_image(tall, tmp_path / "tall.png").is_file()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = plots.save_grid(torch.zeros(1, 1, 4, 4), tmp_path / "grid.png")
    before = path.read_bytes()

    def fail(self, content):
        with self.open("wb") as file:
            file.write(content[:9])
        raise OSError(28, "no space left")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no space"):
        plots.save_grid(torch.ones(1, 1, 4, 4), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]


def test_grids_too_large_to_open_are_refused_before_they_are_made():
    with pytest.raises(UsageError, match="at most"):
        plots.check_grid(100_000, 64, 64)
    with pytest.raises(UsageError, match="at least one"):
        plots.check_grid(0, 64, 64)
    with pytest.raises(UsageError, match="columns"):
        plots.check_grid(1, 64, 64, columns=0)


def test_values_that_are_no_images_are_refused():
    with pytest.raises(IntegrityError, match="finite"):
        plots.grid(torch.full((1, 1, 4, 4), torch.nan))
    with pytest.raises(ValueError, match="expected"):
        plots.grid(torch.zeros(1, 2, 4, 4))


def test_what_is_not_a_number_is_no_image(tmp_path):
    images = torch.full((1, 1, 4, 4), torch.nan)
    with pytest.raises(IntegrityError, match="not finite numbers"):
        plots.save_grid(images, tmp_path / "out.png")
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_read_is_not_overwritten(tmp_path):
    with pytest.raises(ConflictError, match="one of the images to read"):
        plots.prepare_output(tmp_path / "a.png", [tmp_path / "b.png", tmp_path / "x/../a.png"])
