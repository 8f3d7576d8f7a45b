"""A model of vectors is trained from its card like one of images."""

import pytest
import torch
from transformers import training_args

import zoo
from zoo.card import Card
from zoo.data import PLANAR
from zoo.errors import UsageError
from zoo.header import safetensors_header
from zoo.models import DDEModel
from zoo.registry import manifest
from zoo.training import recipe, train
from zoo.training.recipes import build_recipe
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


def test_what_only_training_needs_is_left_out_of_the_folder(card, tmp_path):
    out = train(card, tmp_path / "out", overrides=[*SHORT, "stored_as=float16"], quiet=True)
    names = safetensors_header(out / "model.safetensors").keys()
    assert not [name for name in names if name.startswith("generator_density")]
    model, report = DDEModel.from_pretrained(out, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert manifest.read(out)["parameters"] == model.num_parameters()
    points = torch.randn(8, 2)
    found = model(points)  # in eval mode the density's loss alone
    assert found.loss == found.density_loss
    assert found.generator_density_loss is None
    model.train()
    with pytest.raises(ValueError, match="return_to_training"):
        model(points)
    drawn = model.sample(5, seed=0)
    model.return_to_training()
    again = model.train()(points)
    again.loss.backward()
    assert again.generator_density_loss is not None
    assert all(p.grad is not None for p in model.generator_density.parameters())
    assert torch.equal(model.eval().sample(5, seed=0), drawn)
    for own, copied in zip(
        model.density.parameters(), model.generator_density.parameters(), strict=True
    ):
        assert own is not copied
        assert torch.equal(own, copied)
    model.leave_training()
    assert model.state_dict().keys() == names - {"__metadata__"}


def test_a_model_that_shipped_with_everything_still_has_it():
    model = zoo.from_pretrained("genae/dde-gaussians-2d")
    assert model.generator_density is not None
    assert model.num_parameters() == 100_738


@pytest.mark.parametrize(("name", "allowed"), [("mdsm-cifar10", False), ("vae-mnist", True)])
def test_scores_are_not_rounded_to_ten_bits_on_a_gpu(root, name, allowed, monkeypatch):
    monkeypatch.setattr(recipe, "is_torch_tf32_available", lambda: True)
    monkeypatch.setattr(training_args, "is_torch_tf32_available", lambda: True)
    asked = []
    monkeypatch.setattr(training_args, "enable_tf32", asked.append)
    card = Card.load(root / "cards" / name)
    assert build_recipe(card).arguments.tf32 is allowed
    assert asked[-1] is allowed
    overruled = with_settings(card, [f"tf32={str(not allowed).lower()}"])
    assert build_recipe(overruled).arguments.tf32 is not allowed


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
