"""Metrics of codes that are numbers of vectors, and what is not measured of such models."""

import math

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics.codes import bits_per_code, code_perplexity
from zoo.evaluation.metrics.table import METRICS, defaults


@pytest.fixture
def quantizing(subject):
    return subject("vq_vae", latent_size=3)


def codes_of(subject):
    return subject.model.encode(subject.pixels(None).float() / 255)


def test_the_perplexity_is_that_of_all_codes_together(quantizing):
    _, counts = codes_of(quantizing).unique(return_counts=True)
    shares = counts.double() / counts.sum()
    found = code_perplexity(quantizing)
    assert found.value == pytest.approx(math.exp(-(shares * shares.log()).sum()))
    assert found.options == {"binarization": "none", "num_images": 60}


@torch.no_grad()
def test_bits_are_those_of_the_prior_and_its_floor_those_of_the_frequencies(quantizing):
    codes = codes_of(quantizing)
    found = bits_per_code(quantizing)
    bits = -quantizing.model.prior.log_prob(codes).sum().item() / math.log(2)
    assert found.value == pytest.approx(bits / codes.numel(), rel=1e-5)
    assert found.floor == pytest.approx(math.log2(code_perplexity(quantizing).value))


def test_codes_without_a_prior_have_no_bits(subject):
    with pytest.raises(UsageError, match="no prior over its codes; train one with"):
        bits_per_code(subject("vq_vae", prior_hidden_size=0))


def test_what_compares_codes_with_normal_ones_is_not_for_numbers_of_vectors():
    assert defaults("vq_vae", "gaussian") == ["reconstruction_mse", "code_perplexity"]
    refused = METRICS["entropy_gap"].refusal("vq_vae", "gaussian")
    assert refused == "entropy_gap measures ae, vae, eae, iwae models, and this is 'vq_vae'"
    assert "and this is 'infomax'" in METRICS["entropy_gap"].refusal("infomax", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("neighbors", "IMAGES", "-o", "OUT"), "needs a model that turns images into vectors"),
        (("geometry", "--data", "IMAGES"), "has no vectors of codes that can be decoded"),
        (("density", "IMAGES"), "has codes that are numbers of vectors, over which nothing"),
        (
            ("sample", "--sampler", "mixture", "-o", "OUT"),
            "sampler must be one of prior; got 'mix",
        ),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_verbs_of_vectors_refuse_numbers_of_them(
    words, message, run, make_model, processor, image_folder, tmp_path
):
    make_model("vq_vae").save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    places = {"IMAGES": image_folder / "test", "OUT": tmp_path / "out.png"}
    verb, *rest = (places.get(word, word) for word in words)
    done = run(verb, tmp_path / "model", *rest)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out.png").exists()


def test_interpolation_needs_no_mode(run, make_model, processor, image_folder, tmp_path):
    make_model("vq_vae").save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    images = sorted((image_folder / "test").iterdir())[:2]
    done = run("interpolate", tmp_path / "model", *images, "-o", tmp_path / "walk.png", "--json")
    assert done.code == 0
    assert '"mode": "linear"' in done.out
