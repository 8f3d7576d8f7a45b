"""Modes: classes of all channels together, counted in samples as a classifier reads them."""

import math
from types import SimpleNamespace

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics.features import Reader, draw, sampling_options
from zoo.evaluation.metrics.modes import (
    class_counts,
    divergence_from_uniform,
    mode_divergence,
    num_modes,
)


class ByBrightness(torch.nn.Module):
    """Four classes: what a pixel is, in quarters."""

    config = SimpleNamespace(num_labels=4)

    def forward(self, pixel_values):
        assert pixel_values.shape[1:] == (1, 2, 2)
        classes = (pixel_values[:, 0, 0, 0] * 4).long()
        return SimpleNamespace(logits=torch.nn.functional.one_hot(classes, 4))


def test_the_classes_of_channels_are_the_digits_of_a_mode(subject):
    digits = torch.tensor([[0, 0, 0], [3, 1, 2], [3, 1, 2], [3, 3, 3], [0, 2, 1]])
    pixels = (digits * 64 + 10)[:, :, None, None].expand(-1, -1, 2, 2).to(torch.uint8)
    reader = Reader("brightness", ByBrightness(), lambda pixels: pixels)
    counts = class_counts(subject("ae").context, reader, pixels, "")
    assert counts.shape == (64,)
    expected = {0: 1, 3 * 16 + 4 + 2: 2, 63: 1, 2 * 4 + 1: 1}
    assert {int(mode): int(counts[mode]) for mode in counts.nonzero()} == expected


def test_the_divergence_of_counts_is_log_k_minus_their_entropy():
    counts = torch.tensor([7, 1, 0, 4])
    shares = counts / counts.sum()
    entropy = torch.distributions.Categorical(probs=shares).entropy().item()
    assert divergence_from_uniform(counts) == pytest.approx(math.log(4) - entropy, abs=1e-6)
    # Even draws of K classes have (K - 1) / 2N on average.
    drawn = torch.bincount(torch.randint(1000, (26_000,)), minlength=1000)
    assert divergence_from_uniform(drawn) == pytest.approx(999 / 52_000, rel=0.1)


def test_modes_are_those_of_the_samples_and_the_floor_that_of_images(
    subject, make_model, tmp_path
):
    torch.manual_seed(1)
    classifier = make_model("classifier").eval()
    # Random weights read one class everywhere; centred, they read several.
    one = subject("vae")
    options = sampling_options(one)
    pixels = draw(one, 40, options)
    with torch.no_grad():
        bias = -classifier(pixel_values=pixels.float() / 255).logits.mean(0)
        [layer] = [m for m in classifier.modules() if getattr(m, "out_features", 0) == len(bias)]
        layer.bias += bias
    classifier.save_pretrained(tmp_path / "classifier")
    folder = str(tmp_path / "classifier")
    with torch.no_grad():
        read = classifier(pixel_values=pixels.float() / 255).logits.argmax(1)
    outcome = num_modes(one, features=folder, num_images=40)
    assert outcome.value == len(read.unique()) > 1
    assert outcome.options == {**options, "features": folder, "num_images": 40}
    divergence = mode_divergence(one, features=folder, num_images=40)
    counts = torch.bincount(read, minlength=classifier.config.num_labels)
    assert divergence.value == divergence_from_uniform(counts)
    assert divergence.floor != divergence.value


def test_a_classifier_must_read_single_channels(subject, make_model, tmp_path):
    with pytest.raises(UsageError, match="no classifier of its own"):
        num_modes(subject("vae"))
    make_model("classifier", num_channels=3).save_pretrained(tmp_path / "colour")
    with pytest.raises(UsageError, match=r"3 x 16 x 16 images and is to read 1 x 16 x 16"):
        num_modes(subject("vae"), features=str(tmp_path / "colour"))
    with pytest.raises(UsageError, match="num_images"):
        num_modes(subject("vae"), features=str(tmp_path / "colour"), num_images=0)
