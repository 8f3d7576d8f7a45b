"""Samples by label, read by a classifier."""

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics import conditional, features
from zoo.evaluation.metrics.conditional import conditional_accuracy
from zoo.evaluation.metrics.table import METRICS

LABELS = {"prior": "class_means", "num_labels": 3}


@pytest.fixture
def reads_brightness(monkeypatch):
    """A reader that calls images of a dark middle 0, of a grey one 1 and of a bright one 2."""

    def read(context, reader, pixels, text):
        return (pixels[:, 0, 8, 8].float() / 86).long()  # the middle, as the padding is blank

    monkeypatch.setattr(features, "read_labels", read)
    reader = features.Reader("brightness", None, lambda pixels: pixels)
    monkeypatch.setattr(conditional, "reader_of", lambda subject, features: reader)


def test_a_model_that_draws_what_is_asked_for_is_right_and_its_floor_is_chance(
    subject, make_model, monkeypatch, reads_brightness
):
    model = make_model("vae", **LABELS)

    def sample(count, *, labels=None, seed=0, **options):
        if labels is None:
            labels = torch.randint(3, (count,), generator=torch.Generator().manual_seed(seed))
        return (labels / 2)[:, None, None, None].expand(count, 1, 16, 16)

    monkeypatch.setattr(model, "sample", sample)
    one = subject(model)
    found = conditional_accuracy(one, num_images=600)
    assert found.value == 1
    assert found.floor == pytest.approx(1 / 3, abs=0.08)
    assert 0 <= found.ceiling <= 1
    assert found.options == {
        "temperature": 1.0,
        "features": "brightness",
        "num_images": 600,
    }


def test_it_takes_models_with_labels_and_images_with_labels(subject, make_model):
    refusal = METRICS["conditional_accuracy"].refusal("ae", "gaussian")
    assert refusal is not None
    assert "vae" in refusal
    with pytest.raises(UsageError, match="num_images"):
        conditional_accuracy(subject("vae", **LABELS), num_images=0)
    assert "conditions" in make_model("vae").cannot
    assert "conditions" not in make_model("vae", **LABELS).cannot
