"""What is measured of energies: own against other images, and what a classifier reads."""

import pytest
import torch

from zoo.data.masks import MASKS, hidden_part
from zoo.errors import UsageError
from zoo.evaluation.metrics.auroc import area_under_curve, energy_auroc
from zoo.evaluation.metrics.inpainting import inpainting_accuracy


@pytest.fixture
def by_brightness(subject, monkeypatch):
    """A subject whose model finds dark images likelier: its energy is the mean pixel."""
    one = subject("mdsm")
    monkeypatch.setattr(type(one.model), "energy", lambda self, x: x.flatten(1).mean(1))
    return one


def test_the_area_is_that_of_energies(by_brightness, image_folder):
    outcome = energy_auroc(by_brightness, other=str(image_folder), other_split="train")
    images = by_brightness.context.images
    own, other = (images(str(image_folder), s).pixels.float() / 255 for s in ("test", "train"))
    brightness = [-pixels.flatten(1).mean(1) for pixels in (own, other)]
    assert outcome.value == pytest.approx(area_under_curve(*brightness))
    assert outcome.options == {
        "other": str(image_folder), "other_split": "train", "sigma": 0.0, "num_images": 60,
    }  # fmt: skip
    back = energy_auroc(by_brightness, other=str(image_folder), other_split="train", num_images=30)
    assert back.options["num_images"] == 30


def test_other_images_are_read_by_the_models_own_processor(by_brightness, tmp_path):
    from PIL import Image

    for number in range(5):  # larger, in colour, and brighter than any of the model's own
        (tmp_path / "test").mkdir(exist_ok=True)
        Image.new("RGB", (40, 50), (250, 250, 240)).save(tmp_path / "test" / f"{number}.png")
    assert energy_auroc(by_brightness, other=str(tmp_path)).value == 1.0


def test_noise_on_both_sets_is_named_by_the_seed(subject, image_folder):
    def measure(seed, sigma):
        given = {"other": str(image_folder), "other_split": "train", "sigma": sigma}
        return energy_auroc(subject("mdsm", seed=seed), **given).value

    assert measure(0, 0.5) == measure(0, 0.5)
    assert len({measure(0, 0.0), measure(0, 0.5), measure(1, 0.5)}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "other"), ({"sigma": -1.0}, "sigma"), ({"sigma": "much"}, "sigma")],
)
def test_wrong_options_of_the_area_are_refused(by_brightness, options, message):
    with pytest.raises(UsageError, match=message):
        energy_auroc(by_brightness, **options)


@pytest.fixture
def classifier(make_model, processor, tmp_path):
    """The folder of a classifier that reads the vertical bar off an image, label 0 without one."""
    model = make_model("classifier")
    folder = tmp_path / "classifier"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("mask", MASKS)
def test_what_is_completed_is_read_between_floor_and_ceiling(
    subject, classifier, mask, monkeypatch
):
    one = subject("mdsm")
    kind, given = type(one.model), []

    def perfect(self, images, mask, **options):
        given.append((images, mask))
        return images

    plain = inpainting_accuracy(one, features=classifier, mask=mask, num_images=20)
    monkeypatch.setattr(kind, "inpaint", perfect)
    outcome = inpainting_accuracy(one, features=classifier, mask=mask, num_images=20)
    assert outcome.value == outcome.ceiling == plain.ceiling
    assert outcome.floor == plain.floor
    monkeypatch.setattr(kind, "inpaint", lambda self, x, mask, **_: x.masked_fill(mask, 0))
    black = inpainting_accuracy(one, features=classifier, mask=mask, num_images=20)
    assert black.value == black.floor == plain.floor
    (images, hidden) = given[0]
    assert images.shape == (20, 1, 16, 16)
    assert torch.equal(hidden, hidden_part(mask, one.context.processor))
    assert plain.options == {
        "mask": mask, "steps": 4, "jump": True, "features": classifier, "num_images": 20,
    }  # fmt: skip


def test_labels_are_those_of_the_images_chosen(subject, classifier, monkeypatch):
    from zoo.evaluation.metrics import inpainting
    from zoo.evaluation.metrics.features import Reader

    class Oracle:
        """Reads the label that its images are known by."""

        def __init__(self, images):
            self.images = images

        def __call__(self, values):
            same = (values[:, None] - self.images.pixels.float() / 255).abs().sum((2, 3, 4)) < 1e-3
            found = self.images.labels[same.int().argmax(1)]
            logits = torch.nn.functional.one_hot(found, 3).float()
            return type("Output", (), {"logits": logits})

    one = subject("mdsm", seed=4)
    reader = Reader("oracle", Oracle(one.images), lambda pixels: pixels)
    monkeypatch.setattr(inpainting, "reader_of", lambda subject, features: reader)
    outcome = inpainting_accuracy(one, num_images=30)
    assert outcome.ceiling == 1.0
    assert outcome.floor < 0.9
    assert outcome == inpainting_accuracy(one, num_images=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "upper"}, "no mask 'upper'"),
        ({"steps": 0}, "steps"),
        ({"jump": 1}, "jump"),
        ({"num_images": 0}, "num_images"),
        ({"temperature": -1.0}, "temperature"),
    ],
)
def test_wrong_options_of_inpainting_are_refused(subject, classifier, options, message):
    with pytest.raises(UsageError, match=message):
        inpainting_accuracy(subject("mdsm"), features=classifier, **options)


def test_inpainting_without_labels_is_refused(subject, classifier, tmp_path):
    from PIL import Image

    from zoo.evaluation.subject import Subject

    (tmp_path / "test").mkdir()
    for number in range(3):
        Image.new("L", (12, 12), 40 * number).save(tmp_path / "test" / f"{number}.png")
    one = Subject(subject("mdsm").context, str(tmp_path), "test")
    with pytest.raises(UsageError, match="no labels"):
        inpainting_accuracy(one, features=classifier)
