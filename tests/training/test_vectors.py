"""A model of vectors is trained from its card like one of images."""

import pytest
import torch

import zoo
from zoo.card import Card
from zoo.data import PLANAR
from zoo.errors import UsageError
from zoo.training import train
from zoo.training.recipe import build_recipe
from zoo.training.settings import with_settings

SHORT = ["max_steps=12", "per_device_train_batch_size=32", "hidden_size=8", "sigma_steps=6"]


@pytest.fixture
def card(root):
    return Card.load(root / "cards" / "dde-gaussians-2d")


def test_a_folder_of_points_is_whole(card, tmp_path):
    out = train(card, tmp_path / "out", overrides=SHORT, quiet=True)
    assert {file.name for file in out.iterdir()} >= {"samples.png", "manifest.json", "README.md"}
    assert not (out / "preprocessor_config.json").exists()
    assert "log_density" in (out / "README.md").read_text("utf-8")
    assert not zoo.verify(out).problems
    model = zoo.from_pretrained(out)
    assert model.updates == 12
    assert model.training_sigma() == 0.2
    assert model.constant_samples > 0  # log Z of the weights that were saved
    points, _ = PLANAR["gaussians-2d"].sample(5, seed=0)
    normalized = model.log_density(points, normalized=True)
    torch.testing.assert_close(normalized, model.log_density(points) + model.constant)
    assert model.sample(7, seed=0).shape == (7, 2)


def test_points_and_images_do_not_mix(card, root):
    of_images = Card.load(root / "cards" / "vae-mnist")
    wrong = with_settings(of_images, ["data.dataset=gaussians-2d"])
    with pytest.raises(UsageError, match=r"gaussians-2d has points.*set it to \[2\]"):
        build_recipe(wrong)
    wrong = with_settings(card, ["data.dataset=mnist"])
    with pytest.raises(UsageError, match=r"mnist has images.*leave it out"):
        build_recipe(wrong)


def test_verbs_of_images_refuse_points_in_words(run):
    done = run("reconstruct", "genae/vae-mnist", "gaussians-2d", "-o", "out.png")
    assert done.code
    assert "Traceback" not in done.err
