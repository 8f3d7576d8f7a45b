"""A one-second card on images made here."""

import gc
import importlib

import numpy as np
import pytest
from PIL import Image

from zoo.card import Card

CARD = """
schema = 1
id = "genae/{name}"
version = "1.0.0"
architecture = "{architecture}"
task = "unconditional-image-generation"
status = "recipe"
license = "apache-2.0"
summary = "A card for tests."
intended_use = "Tests."
limits = "Tests."

[config]
image_size = 8
num_channels = 1
latent_size = 2
width_multiplier = 0.02
num_mixture_components = 2

[processor]
size = 8
num_channels = 1

[data]
dataset = "{folder}"
train_split = "train"
license = "cc0-1.0"
binarization = "{binarization}"

[train]
num_train_epochs = 3
per_device_train_batch_size = 8
learning_rate = 1e-2
seed = 3
use_cpu = true
samplers = ["gaussian", "mixture"]
"""


@pytest.fixture(scope="session", autouse=True)
def _modules_are_not_garbage():
    """Each training collects garbage, two thirds of its time, among all that was imported."""
    for name in ("sklearn.mixture", "matplotlib.pyplot", "zoo.training.run", "accelerate"):
        importlib.import_module(name)
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_plots(request, monkeypatch):
    """A plot takes a fifth of a short training; `test_curve.py` has them drawn."""
    if request.path.name != "test_curve.py":
        monkeypatch.setattr("zoo.training.curve.Curve.plot", lambda self: b"")


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """40 images of noise: 5 batches of 8."""
    folder = tmp_path_factory.mktemp("images")
    numbers = np.random.default_rng(0)
    for index in range(40):
        noise = numbers.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def card(image_folder):
    """`card(architecture, binarization)`: a card on those images."""

    def make(architecture="vae", binarization="stochastic", extra=""):
        text = CARD.format(
            name=f"tiny-{architecture}",
            architecture=architecture,
            folder=image_folder,
            binarization=binarization,
        )
        return Card.parse(text + extra)

    return make
