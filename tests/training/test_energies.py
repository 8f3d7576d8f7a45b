"""Energies are trained from their cards: resumed bit for bit, and the recipe of stacked digits."""

import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import zoo
from zoo.card import Card
from zoo.errors import InterruptedRunError
from zoo.training import train
from zoo.training.trainer import ImageTrainer

DDE = [
    "max_steps=12", "per_device_train_batch_size=32", "hidden_size=8", "sigma_steps=6",
    "generator_hidden_size=8", "generator_interval=2", "save_steps=5", "use_cpu=true",
]  # fmt: skip
MDSM = [
    "max_steps=12", "per_device_train_batch_size=32", "hidden_size=8", "num_hidden_layers=2",
    "network=dense", "input_shape=[2]", "image_size=28", "dataset=gaussians-2d",
    "data.sha256={}", "save_steps=5", "use_cpu=true", "start_mean=0.0", "start_scale=2.0",
    "hold_steps=1", "anneal_steps=2", "cool_steps=1",
]  # fmt: skip
STACKED = ["hidden_size=4", "generator_hidden_size=2", "latent_size=3", "use_cpu=true"]


def weights(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("dde-gaussians-2d", DDE), ("mdsm-fashion-mnist", MDSM)],
    ids=["generator", "many-levels"],
)
def test_an_interrupted_and_resumed_energy_equals_an_uninterrupted_one(
    root, tmp_path, monkeypatch, name, settings
):
    card = Card.load(root / "cards" / name)
    whole = weights(train(card, tmp_path / "whole", overrides=settings, quiet=True))
    original = ImageTrainer.training_step

    def training_step(self, *args, **kwargs):
        if self.state.global_step == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageTrainer, "training_step", training_step)
        with pytest.raises(InterruptedRunError, match="stopped at step 8 of 12"):
            train(card, tmp_path / "cut", overrides=settings, quiet=True)
    torch.manual_seed(99)  # whatever happened in between
    resumed = train(card, tmp_path / "cut", overrides=settings, resume=True, quiet=True)
    found = weights(resumed)
    assert found.keys() == whole.keys()
    assert not [key for key in whole if not torch.equal(found[key], whole[key])]


def test_the_recipe_of_stacked_digits_trains(root, tmp_path, monkeypatch):
    for number in range(12):
        folder = tmp_path / "mnist" / "train"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}-{number % 10}.png")
    monkeypatch.setenv("GENAE_DATA", str(tmp_path))
    card = Card.load(root / "cards" / "dde-stacked-mnist")
    settings = ["max_steps=11", "per_device_train_batch_size=8", "train_split='train[:80]'"]
    folder = train(card, tmp_path / "out", overrides=STACKED + settings, quiet=True)
    model = zoo.from_pretrained(folder)
    assert model.updates == 11
    assert model.sample(2, seed=0).shape == (2, 3, 28, 28)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_recipe_of_stacked_digits_starts_to_learn(root, shared_data, tmp_path, monkeypatch):
    """Its first 200 steps as written, but for smaller batches: a few minutes of a core."""
    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    logged = []
    log = ImageTrainer.log

    def keep(self, logs, *rest):
        logged.append(logs)
        log(self, logs, *rest)

    monkeypatch.setattr(ImageTrainer, "log", keep)
    card = Card.load(root / "cards" / "dde-stacked-mnist")
    settings = ["max_steps=200", "per_device_train_batch_size=32", "use_cpu=true"]
    settings += ["train_split='train[:8000]'"]
    folder = train(card, tmp_path / "out", overrides=settings, quiet=True)
    losses = [logs["density_loss"] for logs in logged if "density_loss" in logs]
    # 294 = 0.5 * 0.25 * 3 * 784 is the loss of a density that knows nothing.
    assert losses[-1] < 0.5 * 294
    model = zoo.from_pretrained(folder)
    drawn = model.sample(64, seed=0)
    assert drawn.shape == (64, 3, 28, 28)
    assert drawn.std(0).mean() > 0.01  # not one image
