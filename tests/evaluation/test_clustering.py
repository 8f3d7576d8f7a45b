"""Clusters against labels, which name them afterwards."""

import itertools

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics.clustering import clustering_accuracy, matched, of_pixels
from zoo.evaluation.metrics.table import METRICS
from zoo.evaluation.planning import Request, check

CLUSTERS = {"prior": "clusters", "num_clusters": 3, "cluster_hidden_size": 4}


def test_the_matching_is_the_best_of_all():
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 4):
        clusters = torch.randint(count, (40,), generator=generator)
        labels = torch.randint(count, (40,), generator=generator)
        shares = [
            (torch.tensor(names)[clusters] == labels).double().mean().item()
            for names in itertools.permutations(range(count))
        ]
        assert matched(clusters, labels) == pytest.approx(max(shares))
        assert matched(labels, labels) == 1


def test_names_of_clusters_do_not_matter_and_more_of_them_than_labels_are_wrong():
    labels = torch.arange(3).repeat(10)
    assert matched(torch.tensor([7, 0, 4])[labels], labels) == 1
    assert matched(torch.arange(30), labels) == pytest.approx(3 / 30)


def test_a_model_that_knows_the_kinds_is_right_and_its_floor_is_that_of_the_pixels(
    subject, make_model, monkeypatch
):
    model = make_model("vae", **CLUSTERS)
    one = subject(model)
    images = one.images
    known = {
        pixels.numpy().tobytes(): (label + 1) % 3
        for pixels, label in zip(images.pixels, images.labels, strict=True)
    }

    def predict(self, values):
        keys = [pixels.numpy().tobytes() for pixels in (values * 255).round().to(torch.uint8)]
        return torch.tensor([known[key] for key in keys])

    monkeypatch.setattr(type(model), "predict", predict)
    found = clustering_accuracy(one)
    assert (found.value, found.options) == (1, {"num_images": 60})
    order = one.order(60, "images")
    clusters = of_pixels(images.pixels[order], 3, 0)
    assert found.floor == matched(clusters, images.labels[order])
    assert 1 / 3 < found.floor < 1


def test_the_pixels_tell_black_images_from_white_ones():
    pixels = torch.tensor([0, 255, 250, 3, 1]).to(torch.uint8)[:, None, None, None]
    clusters = of_pixels(pixels.expand(5, 1, 4, 4), 2, 0)
    assert matched(clusters, torch.tensor([1, 0, 0, 1, 1])) == 1
    assert of_pixels(pixels[:1].expand(4, 1, 4, 4), 3, 0).unique().numel() == 1


def test_a_real_model_repeats_under_a_seed(subject):
    first, again = (
        clustering_accuracy(subject("vae", **CLUSTERS), num_images=30) for _ in range(2)
    )
    assert first == again
    assert 1 / 3 <= first.value <= 1


def test_without_labels_or_clusters_it_is_refused_in_words(subject):
    one = subject("vae")
    with pytest.raises(UsageError, match="the prior of this model is standard, not clusters"):
        check(one.context, Request("clustering_accuracy", one.dataset, "test"))
    assert METRICS["clustering_accuracy"].refusal("ae", "gaussian")
    unlabelled = subject("vae", **CLUSTERS)
    check(unlabelled.context, Request("clustering_accuracy", one.dataset, "test"))
    object.__setattr__(unlabelled.images, "labels", None)
    with pytest.raises(UsageError, match="has no labels that clusters could agree with"):
        clustering_accuracy(unlabelled)
