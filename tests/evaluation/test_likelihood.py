import math

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics import likelihood

BINARY = {"binarization": "stochastic"}


def widen_posterior(model):
    """Untrained posteriors are all alike; give them a spread so that bounds differ."""
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(2)
    return model


def test_the_elbo_of_blank_logits_is_the_closed_form(subject, make_model):
    model = make_model("vae")
    with torch.no_grad():  # decoder: logits 0; posterior: the prior
        for parameter in model.parameters():
            parameter.zero_()
    outcome = likelihood.elbo(subject(model), **BINARY)
    assert outcome.value == pytest.approx(-16 * 16 * math.log(2), rel=1e-5)
    assert likelihood.iwae(subject(model), **BINARY, num_samples=3).value == pytest.approx(
        -16 * 16 * math.log(2), rel=1e-5
    )


def test_bounds_rise_with_the_number_of_importance_samples(subject, make_model):
    model = widen_posterior(make_model("vae"))
    values = [likelihood.elbo(subject(model), **BINARY, num_samples=50).value]
    for num_samples in (2, 10, 200):
        outcome = likelihood.iwae(subject(model), **BINARY, num_samples=num_samples)
        values.append(outcome.value)
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.1


@pytest.mark.parametrize("metric", [likelihood.elbo, likelihood.iwae])
def test_grey_images_under_a_bernoulli_are_refused(subject, metric):
    with pytest.raises(UsageError, match=r"cross-entropy.*binarization"):
        metric(subject("vae"))


def test_the_cards_binarisation_is_the_default(subject):
    from types import SimpleNamespace

    card = SimpleNamespace(data=SimpleNamespace(dataset="bars", binarization="threshold"))
    outcome = likelihood.elbo(subject("vae", card=card))
    assert outcome.options["binarization"] == "threshold"
    assert outcome == likelihood.elbo(subject("vae"), binarization="threshold")


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"likelihood": "gaussian"}, BINARY, "Bernoulli likelihood only"),
        ({"likelihood": "gaussian"}, {"dequantization": "none"}, "unbounded"),
        ({"likelihood": "discretized_logistic"}, {"dequantization": "uniform"}, "Gaussian"),
        ({}, {**BINARY, "dequantization": "uniform"}, "Gaussian"),
        ({}, {"binarization": "fixed"}, "fixed"),
        ({}, {**BINARY, "dequantization": "x"}, "dequantization must be"),
        ({}, {**BINARY, "num_samples": 0}, "num_samples"),
        ({}, {**BINARY, "num_images": 0}, "num_images"),
    ],
)
def test_images_that_do_not_fit_the_likelihood_are_refused(subject, config, options, message):
    with pytest.raises(UsageError, match=message):
        likelihood.elbo(subject("vae", **config), **options)


def test_bounds_repeat_with_the_seed_whatever_the_global_one(subject):
    def measure(seed):
        torch.rand(seed + 1)
        return likelihood.iwae(subject("vae", seed=seed), **BINARY, num_samples=4, num_images=20)

    assert measure(1) == measure(1)
    assert measure(1).value != measure(2).value
    assert measure(1).options["num_images"] == 20


def test_dequantised_images_stay_in_range_and_keep_their_value(subject):
    prepare, options = likelihood.preparation(subject("vae", likelihood="gaussian"), None, None)
    assert options == {"dequantization": "uniform"}
    levels = torch.arange(256).float() / 255
    continuous = prepare(levels)
    assert torch.equal((continuous * 256).floor().clamp(max=255), torch.arange(256).float())
    assert continuous.min() >= 0
    assert continuous.max() <= 1


def test_bits_per_dim_counts_the_pixels_without_padding(subject):
    one = subject("vae", likelihood="discretized_logistic")
    bits = likelihood.bits_per_dim(one, num_samples=5, num_images=None)
    nats = likelihood.iwae(one, num_samples=5, num_images=None)
    assert bits.value == pytest.approx(-nats.value / (12 * 12 * math.log(2)))
    assert bits.value > 0


def test_the_models_mode_and_gradients_do_not_matter(subject, make_model):
    model = make_model("vae").train()
    first = likelihood.elbo(subject(model), **BINARY)
    assert not model.training
    assert first == likelihood.elbo(subject("vae"), **BINARY)
