"""Small models of both likelihoods, untrained, and images that fit them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

SIDE = 6
CARD = """
schema = 1
id = "me/tiny-{likelihood}"
version = "1.2.3"
architecture = "vae"
task = "unconditional-image-generation"
status = "experimental"
license = "apache-2.0"
summary = "Untrained."
intended_use = "Tests."
limits = "All."

[config]
network = "dense"
likelihood = "{likelihood}"
image_size = {side}

[data]
dataset = "mnist"
train_split = "train"
license = "cc-by-sa-3.0"

[train]
"""


def make_model(folder: Path, likelihood: str, seed: int = 0, **settings) -> Path:
    from zoo.models import VAEConfig, VAEModel

    torch.manual_seed(seed)
    config = {"image_size": SIDE, "network": "dense", "latent_size": 4, "hidden_sizes": [16, 12]}
    model = VAEModel(VAEConfig(**(config | {"likelihood": likelihood} | settings)))
    model.save_pretrained(folder)
    card = CARD.format(likelihood=likelihood.replace("_", "-"), side=SIDE)
    card = card.replace(
        f'likelihood = "{likelihood.replace("_", "-")}"', f'likelihood = "{likelihood}"'
    )
    (folder / "card.toml").write_text(card)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make_model(root / name, name) for name in ("bernoulli", "beta_binomial")}


@pytest.fixture(scope="session")
def colour(tmp_path_factory) -> Path:
    """A model of 9 x 9 colours."""
    folder = tmp_path_factory.mktemp("models") / "colour"
    return make_model(folder, "beta_binomial", image_size=9, num_channels=3)


@pytest.fixture(scope="session", params=["bernoulli", "beta_binomial"])
def model(request, models) -> Path:
    return models[request.param]


@pytest.fixture
def values():
    """Pixels `(n, C H W)` for a codec: smooth-ish random ones."""

    def make(codec, count, seed=0):
        rng = np.random.default_rng(seed)
        drawn = rng.beta(0.3, 0.3, (count, SIDE * SIDE)) * codec.pixels.levels
        return np.rint(drawn).astype(np.uint8)

    return make


def write_images(
    folder: Path, count: int, levels: int, seed: int = 0, mode: str = "L", side: int = SIDE
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shape = (side, side, 3) if mode == "RGB" else (side, side)
    for number in range(count):
        drawn = rng.integers(0, levels + 1, shape) * (255 // levels)
        image = Image.fromarray(drawn.astype(np.uint8))
        image.convert(mode).save(folder / f"{number:04}.png")
    return folder
