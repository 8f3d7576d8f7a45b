"""Batch, data set and model are checked before the first step, and the advice trains."""

import re
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

from zoo import catalog
from zoo.card import Card
from zoo.errors import UsageError
from zoo.training import train
from zoo.training.batches import takes_one

ALONE = ["train.samplers=[]"]


def settings_in(message):
    """What a shell makes of every --set of a message."""
    return [shlex.split(word)[0] for word in re.findall(r"--set (\S+)", message)]


@pytest.fixture
def images(tmp_path):
    """`images(count, labels)`: a folder of noise, of class folders where labels are given."""

    def make(count, labels=()):
        numbers = np.random.default_rng(0)
        for index in range(count):
            inner = f"{labels[index % len(labels)]}" if labels else "."
            file = tmp_path / "images" / inner / f"{index:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(numbers.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
        return tmp_path / "images"

    return make


@pytest.fixture
def of(card, images, image_folder):
    """`of(architecture, count)`: a card on so many images."""

    def make(architecture, count):
        text = card(architecture, "none").text.replace(str(image_folder), str(images(count)))
        if architecture == "infomax":
            text = text.replace("unconditional-image-generation", "image-feature-extraction")
            text = text.replace("num_mixture_components = 2", "feature_size = 4\nscore_size = 4")
            text = text.replace('samplers = ["gaussian", "mixture"]\n', "")
        return Card.parse(text)

    return make


def batch(size, *more):
    return [f"per_device_train_batch_size={size}", *more]


NOT_DROPPED = "dataloader_drop_last=false"
REFUSED = {
    # architecture, images, settings, what is said of it
    "batches of one": ("eae", 8, batch(1), "an entropic autoencoder needs at least 2 images per"),
    "a batch norm on single values": ("vae", 8, batch(1), "autoencoder needs at least 2 images"),
    "no negatives": ("infomax", 8, batch(1), "encoder needs at least 2 images per batch"),
    "no neighbours": ("eae", 12, batch(5, "num_neighbors=5"), "in batches of 5: .* at least 6"),
    "k of k": ("eae", 8, batch(8, "num_neighbors=8"), "9 images per batch with num_neighbors 8"),
    "k of fewer": ("eae", 4, batch(2, "num_neighbors=9"), "10 images per batch with num_neig"),
    "a last batch of one": ("eae", 9, batch(4, NOT_DROPPED), "in batches of 4 with 1 left"),
    "a last batch of one value": ("ae", 9, batch(4, NOT_DROPPED), "in batches of 4 with 1 left"),
    "all but one in one": ("eae", 9, batch(1, NOT_DROPPED), "in batches of 1"),
    "more than there are": ("ae", 5, batch(8), "5 images, fewer than one batch of 8"),
    "more than few": ("eae", 3, batch(8, "num_neighbors=4"), "fewer than one batch of 8"),
    "components": ("ae", 3, batch(3, "num_mixture_components=4"), "fewer than the mixture's 4"),
    "everything": (
        "eae", 3, batch(8, "num_neighbors=4", "num_mixture_components=4"), "fewer than .*; fewer"
    ),
    "accumulated": ("eae", 8, batch(1, "gradient_accumulation_steps=4"), "in batches of 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused_and_the_advice_trains(of, tmp_path, name):
    architecture, count, settings, reason = REFUSED[name]
    made = of(architecture, count)
    settings = [*settings, "num_train_epochs=1"]
    with pytest.raises(UsageError, match=reason) as caught:
        train(made, tmp_path / "out", overrides=settings, quiet=True)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    advised = settings_in(str(caught.value))
    assert advised
    folder = train(made, tmp_path / "out", overrides=[*settings, *advised], quiet=True)
    assert (folder / "model.safetensors").is_file()


TRAINED = {
    "k below the batch": ("eae", 8, batch(4, "num_neighbors=3")),
    "a smaller last batch": ("eae", 7, batch(4, NOT_DROPPED, "num_neighbors=2")),
    "all in one": ("ae", 5, batch(8, NOT_DROPPED)),
    "two": ("eae", 2, batch(2)),
    "dense": ("vae", 4, batch(1, "network=dense", "hidden_sizes=[4]")),
    "one dense": ("vae", 1, batch(1, "network=dense", "hidden_sizes=[4]", *ALONE)),
    "one": ("ae", 1, batch(1, "image_size=32", "processor.size=32", *ALONE)),
}


@pytest.mark.parametrize("name", TRAINED)
def test_what_can_be_trained_is(of, tmp_path, name):
    architecture, count, settings = TRAINED[name]
    settings = [*settings, "num_train_epochs=1"]
    folder = train(of(architecture, count), tmp_path / "out", overrides=settings, quiet=True)
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize("architecture", ["ae", "eae", "infomax"])
def test_one_image_is_too_few(of, tmp_path, architecture):
    with pytest.raises(UsageError, match=r"1 image, too few: .*at least 2 images per batch; add"):
        train(of(architecture, 1), tmp_path / "out", overrides=batch(1), quiet=True)


def test_one_image_is_too_few_for_samplers(of, tmp_path):
    made = of("vae", 1)
    dense = ["network=dense", "hidden_sizes=[4]", "num_train_epochs=1"]
    with pytest.raises(UsageError, match="too few for the samplers") as caught:
        train(made, tmp_path / "out", overrides=dense, quiet=True)
    advised = settings_in(str(caught.value))
    assert train(made, tmp_path / "out", overrides=[*dense, *advised], quiet=True).is_dir()


def classifier(card, image_folder, folder, extra=""):
    text = card("classifier", "none").text.replace(str(image_folder), str(folder))
    text = text.replace("unconditional-image-generation", "image-classification")
    text = text.replace("latent_size = 2\n", f"feature_size = 4\n{extra}")
    text = text.replace("num_mixture_components = 2\n", "")
    return Card.parse(text.replace('samplers = ["gaussian", "mixture"]\n', ""))


@pytest.mark.parametrize("extra", ["", "num_labels = 2\n"])
def test_labels_fit_the_classifier(card, images, image_folder, tmp_path, extra):
    made = classifier(card, image_folder, images(9, ["a", "b", "c"]), extra)
    with pytest.raises(UsageError, match=r"labels up to 2, the model's num_labels is 2") as caught:
        train(made, tmp_path / "out", quiet=True)
    advised = settings_in(str(caught.value))
    assert train(made, tmp_path / "out", overrides=advised, quiet=True).is_dir()


def test_a_classifier_needs_labels(card, images, image_folder, tmp_path):
    made = classifier(card, image_folder, images(9))
    with pytest.raises(UsageError, match="no labels, which this model learns; sort the images"):
        train(made, tmp_path / "out", quiet=True)


def test_trying_one_image_changes_nothing(tiny_config):
    class Found:
        pixels = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)

    model = catalog.load(catalog.find("vae").model)(tiny_config("vae")).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    assert not takes_one(model, Found())
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
