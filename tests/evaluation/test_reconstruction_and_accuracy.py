import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics.accuracy import accuracy
from zoo.evaluation.metrics.reconstruction import reconstruction_mse


def test_the_error_is_per_pixel_of_the_image_without_padding(subject, make_model, monkeypatch):
    model = make_model("ae")
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x: torch.zeros_like(x))
    one = subject(model)
    inside = one.context.processor.crop_padding(one.images.pixels).double() / 255
    outcome = reconstruction_mse(one)
    assert outcome.value == pytest.approx(inside.square().mean().item(), rel=1e-6)
    assert outcome.options == {"binarization": "none", "num_images": 60}


def test_a_perfect_reconstruction_has_no_error(subject, make_model, monkeypatch):
    model = make_model("eae")
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x: x)
    assert reconstruction_mse(subject(model)).value == 0


@pytest.mark.parametrize("architecture", ["ae", "vae", "eae"])
def test_the_error_repeats_and_does_not_depend_on_the_batch(subject, monkeypatch, architecture):
    first = reconstruction_mse(subject(architecture))
    assert first == reconstruction_mse(subject(architecture))
    monkeypatch.setattr("zoo.evaluation.subject.BATCH", 7)
    assert reconstruction_mse(subject(architecture)).value == pytest.approx(first.value, rel=1e-6)


def test_binarisation_is_seeded(subject):
    values = [
        reconstruction_mse(subject("vae", seed=seed), binarization="stochastic").value
        for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]


def test_accuracy_counts_the_right_answers(subject, make_model, monkeypatch):
    from types import SimpleNamespace

    model = make_model("classifier")
    one = subject(model)
    images = one.images

    def forward(self, pixel_values):
        # knows labels 0 and 1 by heart and calls every 2 a 0
        pairs = zip(images.pixels, images.labels, strict=True)
        known = {p.numpy().tobytes(): label for p, label in pairs}
        keys = [p.numpy().tobytes() for p in (pixel_values * 255).round().to(torch.uint8)]
        answers = torch.stack([known[key] for key in keys]) % 2
        return SimpleNamespace(logits=torch.nn.functional.one_hot(answers, 3))

    monkeypatch.setattr(type(model), "forward", forward)
    assert accuracy(one).value == pytest.approx(2 / 3)


def test_accuracy_without_labels_is_refused(subject, tmp_path):
    from PIL import Image

    from zoo.evaluation.subject import Subject

    (tmp_path / "test").mkdir()
    Image.new("L", (12, 12)).save(tmp_path / "test" / "plain.png")
    one = subject("classifier")
    with pytest.raises(UsageError, match="no labels"):
        accuracy(Subject(one.context, str(tmp_path), "test"))
