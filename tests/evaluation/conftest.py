"""A small data set of images on disk, and tiny models wrapped for the metrics."""

import numpy as np
import pytest
from PIL import Image

SIDE, PADDED = 12, 16
COUNTS = {"train": 80, "test": 60}


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Grey 12 x 12 images of three kinds of bars, named `0001-<label>.png`."""
    folder = tmp_path_factory.mktemp("bars")
    generator = np.random.default_rng(0)
    for split, count in COUNTS.items():
        (folder / split).mkdir()
        for number in range(count):
            label = number % 3
            image = generator.integers(0, 60, (SIDE, SIDE), dtype=np.uint8)
            start = int(generator.integers(1, SIDE - 3))
            if label != 1:
                image[start : start + 2] = 220
            if label != 0:
                image[:, start : start + 2] = 255
            Image.fromarray(image).save(folder / split / f"{number:04}-{label}.png")
    return folder


@pytest.fixture
def processor():
    """The processor of the tiny models: 12 x 12, padded to 16 x 16."""
    from zoo.models import GenaeImageProcessor

    return GenaeImageProcessor(num_channels=1, size=SIDE, pad_size=PADDED)


@pytest.fixture
def make_model(tiny_config):
    """`make_model("vae", likelihood="gaussian")`: a tiny 16 x 16 model with seeded weights."""
    import torch

    from zoo import catalog

    def make(architecture, **overrides):
        torch.manual_seed(0)
        settings = {"image_size": PADDED, **overrides}
        config = tiny_config(architecture, **settings)
        return catalog.load(catalog.ARCHITECTURES[architecture].model)(config)

    return make


@pytest.fixture
def subject(image_folder, processor, make_model):
    """`subject("vae", seed=1, **config)`: a measurement to make on the images' test split."""
    from zoo.evaluation.subject import Context, Subject

    def make(model, *, seed=0, card=None, split="test", **overrides):
        if isinstance(model, str):
            model = make_model(model, **overrides)
        context = Context(model, processor, card, quiet=True)
        return Subject(context, str(image_folder), split, seed)

    return make
