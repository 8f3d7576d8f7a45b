"""Likelihoods against closed forms and torch.distributions."""

import math

import pytest
import torch
from torch.distributions import Normal

from zoo.models import AEConfig
from zoo.models.images.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    BetaBinomial,
    DiscretizedLogistic,
    Gaussian,
)

SHAPE = (3, 1, 4, 4)
ALL = [
    (name, scale) for name in LIKELIHOODS for scale in ("fixed", "shared", "learned")
]  # fmt: skip


def params_for(likelihood, shape=SHAPE):
    batch, channels, *size = shape
    return torch.randn(batch, likelihood.parameters_per_channel * channels, *size)


def test_a_bernoulli_with_zero_logits_costs_one_bit_a_pixel():
    zeros = torch.zeros(2, 1, 28, 28)
    nats = -Bernoulli(AEConfig()).log_prob(zeros, torch.rand(2, 1, 28, 28).round())
    assert nats.tolist() == pytest.approx([784 * math.log(2)] * 2)
    assert nats[0].item() == pytest.approx(543.43, abs=0.01)


@pytest.mark.parametrize("scale", ["fixed", "shared", "learned"])
def test_gaussian_is_torchs_normal(scale):
    likelihood = Gaussian(AEConfig(scale=scale, scale_value=0.3))
    params, images = params_for(likelihood), torch.rand(SHAPE)
    location, log_scale = likelihood.location_and_log_scale(params)
    expected = Normal(location.sigmoid(), log_scale.exp()).log_prob(images).sum((1, 2, 3))
    assert torch.allclose(likelihood.log_prob(params, images), expected, atol=1e-4)


def test_default_gaussian_is_the_squared_error_plus_a_constant():
    likelihood = Gaussian(AEConfig())
    params, images = params_for(likelihood), torch.rand(SHAPE)
    squares = (likelihood.mean(params) - images).square().sum((1, 2, 3))
    constant = 16 * 0.5 * math.log(math.pi)
    assert torch.allclose(-likelihood.log_prob(params, images), squares + constant, atol=1e-5)


@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 3.0])
@pytest.mark.parametrize("location", [-1.2, -0.3, 0.0, 0.77])
def test_discretised_logistic_sums_to_one_over_the_bins(location, log_scale):
    config = AEConfig(likelihood="discretized_logistic", scale_value=math.exp(log_scale))
    bins = torch.arange(256, dtype=torch.float64).view(256, 1, 1, 1) / 255
    params = torch.full((256, 1, 1, 1), location, dtype=torch.float64)
    probabilities = DiscretizedLogistic(config).log_prob(params, bins).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-9)


def test_the_narrowest_logistic_still_sums_to_one_in_single_precision():
    config = AEConfig(likelihood="discretized_logistic", scale_value=math.exp(-7))
    bins = torch.arange(256).view(256, 1, 1, 1) / 255
    probabilities = DiscretizedLogistic(config).log_prob(torch.full((256, 1, 1, 1), 0.3), bins)
    assert probabilities.exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_discretised_logistic_is_the_difference_of_cumulative_probabilities():
    config = AEConfig(likelihood="discretized_logistic", scale_value=0.2)
    location, value = torch.tensor(0.1, dtype=torch.float64), 100
    upper, lower = ((2 * value + sign - 255) / 255 for sign in (1, -1))
    expected = torch.sigmoid((upper - location) / 0.2) - torch.sigmoid((lower - location) / 0.2)
    shape = (1, 1, 1, 1)
    found = DiscretizedLogistic(config).log_prob(
        location.expand(shape), torch.full(shape, value / 255, dtype=torch.float64)
    )
    assert found.exp().item() == pytest.approx(expected.item(), rel=1e-9)


def beta_binomial_bins(log_alpha, log_beta, dtype):
    bins = torch.arange(256, dtype=dtype).view(256, 1, 1, 1) / 255
    params = torch.tensor([log_alpha, log_beta], dtype=dtype).view(1, 2, 1, 1)
    return BetaBinomial(AEConfig()).log_prob(params.expand(256, -1, -1, -1), bins)


@pytest.mark.parametrize("log_alpha", [-20.0, -9.0, -1.0, 2.0, 7.0])
@pytest.mark.parametrize("log_beta", [-8.0, 0.0, 3.0, 7.0, 20.0])
def test_beta_binomial_sums_to_one_over_the_values(log_alpha, log_beta):
    double = beta_binomial_bins(log_alpha, log_beta, torch.float64).exp()
    single = beta_binomial_bins(log_alpha, log_beta, torch.float32).exp()
    assert double.sum().item() == pytest.approx(1, abs=1e-9)
    assert single.sum().item() == pytest.approx(1, abs=5e-3)


def test_beta_binomial_of_zeros_is_uniform():
    assert torch.allclose(
        beta_binomial_bins(0.0, 0.0, torch.float64),
        torch.tensor(-math.log(256), dtype=torch.float64),
    )


def test_beta_binomial_is_the_mean_of_binomials():
    chances = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:-1]
    alpha, beta, k = 2.5, 4.0, 77
    density = torch.distributions.Beta(alpha, beta).log_prob(chances)
    binomial = torch.distributions.Binomial(255, chances).log_prob(torch.tensor(float(k)))
    expected = torch.log((density + binomial).exp().mean())
    found = beta_binomial_bins(math.log(alpha), math.log(beta), torch.float64)[k]
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_beta_binomial_counts_in_single_precision_where_the_network_has_half(dtype):
    params = torch.tensor([1.5, 2.25]).view(1, 2, 1, 1)
    images = torch.full((1, 1, 1, 1), 254 / 255)
    likelihood = BetaBinomial(AEConfig())
    wanted = likelihood.log_prob(params, images)
    assert torch.equal(likelihood.log_prob(params.to(dtype), images), wanted)
    assert likelihood.mean(params.to(dtype)).dtype == dtype


@pytest.mark.parametrize(("log_alpha", "log_beta"), [(-9.0, 6.0), (5.0, 1.0), (-3.0, -3.0)])
def test_beta_binomial_samples_have_its_mean_and_variance(log_alpha, log_beta):
    likelihood = BetaBinomial(AEConfig())
    params = torch.tensor([log_alpha, log_beta]).view(1, 2, 1, 1).expand(20_000, -1, -1, -1)
    samples = likelihood.sample(params, torch.Generator().manual_seed(3)) * 255
    alpha, beta = math.exp(log_alpha), math.exp(log_beta)
    total = alpha + beta
    variance = 255 * alpha * beta * (total + 255) / (total**2 * (total + 1))
    assert torch.equal(samples, samples.round())
    expected = 255 * likelihood.mean(params)[0].item()
    assert samples.mean().item() == pytest.approx(expected, abs=4 * math.sqrt(variance / 20_000))
    assert samples.var().item() == pytest.approx(variance, rel=0.1, abs=0.01)


@pytest.mark.parametrize("name", ["gaussian", "discretized_logistic"])
def test_a_learned_scale_has_a_floor(name):
    likelihood = LIKELIHOODS[name](AEConfig(likelihood=name, scale="learned"))
    params = torch.zeros(1, 2, 2, 2)
    params[:, 1] = -100
    params.requires_grad_()
    log_prob = likelihood.log_prob(params, torch.full((1, 1, 2, 2), 128 / 255))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert params.grad.isfinite().all()


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_means_and_samples_are_images_and_samples_average_to_the_mean(name, scale):
    likelihood = LIKELIHOODS[name](AEConfig(likelihood=name, scale=scale, scale_value=0.02))
    params = 0.3 * params_for(likelihood, (1, 1, 2, 2))
    generator = torch.Generator().manual_seed(1)
    mean = likelihood.mean(params)
    samples = likelihood.sample(params.expand(4000, -1, -1, -1), generator)
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert torch.allclose(samples.mean(0), mean[0], atol=0.04)


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_log_prob_is_summed_per_image(name, scale):
    likelihood = LIKELIHOODS[name](AEConfig(likelihood=name, scale=scale))
    params, images = params_for(likelihood), torch.rand(SHAPE).round()
    whole = likelihood.log_prob(params, images)
    assert whole.shape == (3,)
    halves = [
        likelihood.log_prob(params[..., part, :], images[..., part, :])
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert torch.allclose(whole, halves[0] + halves[1], atol=1e-4)
