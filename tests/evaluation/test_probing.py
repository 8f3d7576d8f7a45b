"""Probes: what they must and must not be able to read, and what stands beside them."""

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics.probe import PROBES, Representation, probe_accuracy, standardize
from zoo.evaluation.neighbors import nearest
from zoo.evaluation.representations import check_tap, represent, untrained
from zoo.evaluation.subject import Context

INFOMAX = {"feature_size": 6, "latent_size": 4}


@pytest.fixture
def context(make_model, processor):
    return Context(make_model("infomax"), processor, quiet=True)


def labelled_points(shift, count=120, size=5):
    """Two classes whose features differ by `shift` in the first dimension, standardised."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2 * count) % 2
    features = torch.randn(2 * count, size, generator=generator)
    features[:, 0] += shift * labels
    fit, report = features[:count].clone(), features[count:].clone()
    standardize(fit, report)
    return Representation(fit, labels[:count], report, labels[count:], "planted")


@pytest.mark.parametrize("probe", PROBES)
def test_probes_read_what_is_there_and_nothing_else(context, probe, monkeypatch):
    def accuracy(seen):
        predicted = PROBES[probe](context, seen, torch.Generator().manual_seed(0))
        return (predicted == seen.report_labels).double().mean().item()

    monkeypatch.setattr("zoo.evaluation.metrics.probe.BATCH", 8)
    monkeypatch.setattr("zoo.evaluation.metrics.probe.LEARNING_RATE", 1e-2)
    assert accuracy(labelled_points(shift=8.0)) > 0.95
    assert 0.3 < accuracy(labelled_points(shift=0.0)) < 0.7


def test_only_the_network_and_the_neighbours_read_what_is_not_linear(context, monkeypatch):
    monkeypatch.setattr("zoo.evaluation.metrics.probe.BATCH", 16)
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(1200, 2, generator=generator) - 1
    labels = (points[:, 0] * points[:, 1] > 0).long()  # opposite quarters
    seen = Representation(points[:900], labels[:900], points[900:], labels[900:], "planted")
    found = {
        name: (fitted(context, seen, torch.Generator().manual_seed(0)) == seen.report_labels)
        .double().mean().item()
        for name, fitted in PROBES.items()
    }  # fmt: skip
    assert found["linear"] < 0.7 < 0.85 < min(found["mlp"], found["knn"])


def test_fitting_images_alone_set_the_scale():
    fit, report = 3 + 2 * torch.randn(500, 3), torch.full((4, 3), 3.0)
    standardize(fit, report)
    assert torch.allclose(fit.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(fit.std(0), torch.ones(3), atol=1e-5)
    assert report.abs().max() < 0.3
    constant = torch.ones(5, 2)
    standardize(constant, constant.clone())
    assert constant.isfinite().all()


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("tap", ["conv", "code"])
def test_an_untrained_encoder_stands_beside_and_it_repeats(subject, probe, tap):
    def once():
        return probe_accuracy(subject("infomax"), probe=probe, tap=tap)

    first, second = once(), once()
    assert (first.value, first.floor) == (second.value, second.floor)
    assert 0 <= first.floor <= 1
    assert first.options == {"probe": probe, "tap": tap, "fit_split": "train", "num_images": 60}


def test_an_autoencoder_is_probed_at_its_code(subject):
    found = probe_accuracy(subject("vae"), probe="knn", num_images=20)
    assert found.options["tap"] == "code"
    assert found.options["num_images"] == 20
    with pytest.raises(UsageError, match="no tap 'conv'"):
        probe_accuracy(subject("vae"), tap="conv")


def test_the_untrained_encoder_has_the_shape_and_not_the_weights(context):
    pixels = torch.randint(0, 256, (30, 1, 16, 16), dtype=torch.uint8)
    before = torch.get_rng_state()
    model = untrained(context, pixels, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.config is context.model.config
    again, other = untrained(context, pixels, 0), untrained(context, pixels, 1)
    assert torch.equal(model.encoder.output.weight, again.encoder.output.weight)
    assert not torch.equal(model.encoder.output.weight, other.encoder.output.weight)
    conv = represent(context, pixels, "conv", model)
    assert conv.shape == (30, model.encoder.conv_size)
    assert 0.05 < conv.mean() < 1  # statistics of these images: ReLU of about a normal number


@pytest.mark.parametrize(
    ("split", "fit_split"), [("train", "train"), ("train[:20]", "train"), ("test", "test")]
)
def test_a_probe_that_has_seen_the_answers_is_refused(subject, split, fit_split):
    with pytest.raises(UsageError, match="has seen the answers"):
        probe_accuracy(subject("infomax", split=split), fit_split=fit_split)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"probe": "svm"}, "linear, mlp, knn"),
        ({"tap": "fc"}, "conv, features, code"),
        ({"num_images": 0}, "num_images"),
        ({"fit_split": "train[:3]"}, "too few for a probe"),
    ],
)
def test_wrong_options_are_refused_by_name(subject, options, word):
    with pytest.raises(UsageError, match=word):
        probe_accuracy(subject("infomax"), **options)


def test_a_latest_thing_replaces_the_one_before(context):
    made = []
    for key in ("a", "a", "b", "a"):
        context.latest("slot", (key,), lambda key=key: made.append(key))
    assert made == ["a", "b", "a"]


def test_the_first_tap_is_the_default(context):
    assert check_tap(context.model, None) == "conv"


def test_distances_are_those_of_their_names():
    queries = torch.tensor([[1.0, 0.0]])
    references = torch.tensor([[5.0, 0.1], [0.0, 1.0], [1.0, 0.5], [-1.0, 0.0]])
    indices, far = nearest(queries, 4, references, by="l2")
    assert torch.allclose(far[0], (references[indices[0]] - queries).norm(dim=1), atol=1e-6)
    assert indices[0, 0] == 2
    indices, far = nearest(queries, 4, references, by="cosine")
    assert indices[0].tolist() == [0, 2, 1, 3]
    assert far[0, 2:].tolist() == pytest.approx([1.0, 2.0], abs=1e-6)


def test_an_image_is_not_its_own_neighbour():
    points = torch.randn(6, 3)
    for by in ("l2", "cosine"):
        indices, far = nearest(points, 5, by=by)
        assert not (indices == torch.arange(6)[:, None]).any()
        assert (far.diff() >= -1e-6).all()
    with pytest.raises(UsageError, match="there are 5"):
        nearest(points, 6)
    with pytest.raises(UsageError, match="no distance 'dot'"):
        nearest(points, 2, by="dot")
