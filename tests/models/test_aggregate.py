"""The aggregate posterior against direct sums, and the split of the KL against exact values."""

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from zoo.models import VAEConfig, VAEModel
from zoo.models.images import aggregate
from zoo.models.images.aggregate import AggregatePosterior, rate_split


def encodings(count=50, size=3, spread=1.0):
    mean = torch.randn(count, size, dtype=torch.float64)
    return mean, spread * torch.randn(count, size, dtype=torch.float64) - 1


def mixture(mean, log_var):
    parts = Independent(Normal(mean, (0.5 * log_var).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(mean)).double()), parts)


@pytest.mark.parametrize("block", [1, 130, 2**21])
def test_density_is_torchs_mixture_in_blocks_of_any_size(monkeypatch, block):
    monkeypatch.setattr(aggregate, "BLOCK", block)
    mean, log_var = encodings()
    codes = 2 * torch.randn(17, 3, dtype=torch.float64)
    found = AggregatePosterior(mean, log_var).log_prob(codes)
    assert torch.allclose(found, mixture(mean, log_var).log_prob(codes), atol=1e-9)


def test_a_code_can_be_kept_from_vouching_for_itself():
    mean, log_var = encodings()
    posterior, own = AggregatePosterior(mean, log_var), torch.arange(50)
    found = posterior.log_prob(mean, own)
    for i in (0, 7, 49):
        others = own != i
        expected = mixture(mean[others], log_var[others]).log_prob(mean[i])
        assert found[i].item() == pytest.approx(expected.item(), abs=1e-6)
    assert (found < posterior.log_prob(mean)).all()
    assert (posterior.nearest(mean, own) > 0).all()
    assert torch.allclose(posterior.nearest(mean), torch.zeros(50, dtype=torch.float64), atol=1e-9)


def test_nearest_is_the_least_mahalanobis_distance():
    mean, log_var = encodings()
    codes = torch.randn(9, 3, dtype=torch.float64)
    squares = ((codes[:, None] - mean).square() / log_var.exp()).sum(-1)
    found = AggregatePosterior(mean, log_var).nearest(codes)
    assert torch.allclose(found, squares.amin(1), atol=1e-9)


def test_narrow_balls_far_from_the_origin_keep_their_digits():
    mean = 100 + torch.randn(20, 4, dtype=torch.float64)
    log_var = torch.full_like(mean, -10)
    codes = mean + 0.01 * torch.randn(20, 4, dtype=torch.float64)
    found = AggregatePosterior(mean.float(), log_var.float()).log_prob(codes)
    expected = mixture(mean.float().double(), log_var).log_prob(codes)
    assert torch.allclose(found, expected, atol=1e-6)


def test_density_in_one_dimension_integrates_to_one():
    line = torch.linspace(-20, 20, 4001, dtype=torch.float64)[:, None]
    density = AggregatePosterior(*encodings(30, 1)).log_prob(line).exp()
    assert torch.trapezoid(density, line[:, 0]).item() == pytest.approx(1, abs=1e-6)


def test_split_of_a_finite_data_set_against_quadrature():
    mean, log_var = encodings(40, 1)
    line = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    log_mixture = AggregatePosterior(mean, log_var).log_prob(line)
    log_prior = Normal(0.0, 1.0).log_prob(line[:, 0])
    marginal_kl = torch.trapezoid(log_mixture.exp() * (log_mixture - log_prior), line[:, 0]).item()
    split = rate_split(mean, log_var, 2000, torch.Generator().manual_seed(0))
    kl = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).mean().item()
    assert split.kl == pytest.approx(kl, abs=1e-9)
    assert split.marginal_kl == pytest.approx(marginal_kl, abs=0.01)
    assert split.mutual_information == pytest.approx(kl - marginal_kl, abs=0.01)


def linear_gaussian_encoder():
    """A VAE whose encoder is linear with constant noise, and images that are Gaussian.

    Everything is then known: the codes of all images together are one Gaussian.
    """
    config = VAEConfig(image_size=3, network="dense", hidden_sizes=[], latent_size=2)
    model = VAEModel(config).double().eval()
    layer = model.encoder.layers[0]
    with torch.no_grad():
        layer.weight[:2] = torch.randn(2, 9)
        layer.weight[2:] = 0
        layer.bias[:] = torch.tensor([0.3, -0.2, -0.5, 0.1])
    images = 0.5 + 0.1 * torch.randn(3000, 1, 3, 3, dtype=torch.float64)
    weight = 0.2 * layer.weight[:2].detach()  # images are taken to [-1, 1]
    noise = torch.diag(layer.bias[2:].detach().exp())
    everything = MultivariateNormal(layer.bias[:2].detach(), weight @ weight.T + noise)
    information = 0.5 * (torch.logdet(weight @ weight.T + noise) - torch.logdet(noise))
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    return model, images.clamp(0, 1), information.item(), kl_divergence(everything, prior).item()


def test_split_of_a_linear_gaussian_model_against_its_exact_values():
    model, images, information, marginal_kl = linear_gaussian_encoder()
    split = model.rate_split(images, 4, seed=0)
    assert information > 0.2
    assert marginal_kl > 0.05
    assert split.mutual_information == pytest.approx(information, abs=0.03)
    assert split.marginal_kl == pytest.approx(marginal_kl, abs=0.03)
    assert split.standard_error < 0.02


def test_the_parts_sum_to_the_kl_and_the_codes_drawn_bear_it_out():
    model, images, *_ = linear_gaussian_encoder()
    split = model.rate_split(images, seed=1)
    assert split.mutual_information + split.marginal_kl == pytest.approx(split.kl, abs=1e-12)
    assert split.kl_per_dim.sum().item() == pytest.approx(split.kl, abs=1e-9)
    mean, log_var = model.posterior(images)
    exact = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(1).mean()
    assert split.kl == pytest.approx(exact.item(), abs=1e-9)
    # Not by construction: the mean over samples of log p(z|x) - log q(z), before the regression.
    assert split.drawn_error > 0
    assert abs(split.drawn_sum - split.kl) < 4 * split.drawn_error


def test_the_noise_that_is_regressed_out_sharpens_both_parts():
    mean, log_var = encodings(300, 4)
    found = [
        rate_split(mean, log_var, 1, torch.Generator().manual_seed(seed)) for seed in range(9, 39)
    ]
    spread = torch.tensor([split.mutual_information for split in found]).std()
    assert spread < torch.tensor([split.drawn_sum for split in found]).std()
    assert spread < 1.3 * max(split.standard_error for split in found)


def test_information_is_capped_at_the_log_of_the_number_of_images():
    mean = 100 * torch.arange(64.0)[:, None]
    split = rate_split(mean, torch.zeros_like(mean), 50)
    assert split.cap == math.log(64)
    assert split.mutual_information == pytest.approx(split.cap, abs=1e-6)


def test_collapsed_and_single_encodings_hold_no_information():
    nothing = rate_split(torch.zeros(10, 3), torch.zeros(10, 3))
    assert nothing.kl == 0
    assert nothing.mutual_information == pytest.approx(0, abs=1e-12)
    assert nothing.marginal_kl == pytest.approx(0, abs=1e-12)
    one = rate_split(torch.ones(1, 3), torch.zeros(1, 3))
    assert one.mutual_information == pytest.approx(0, abs=1e-12)
    assert one.marginal_kl == pytest.approx(1.5)


def test_a_seed_names_the_split_and_the_model_is_left_as_it_was():
    model, images, *_ = linear_gaussian_encoder()
    model.train()
    first, again, other = (model.rate_split(images[:100], seed=seed) for seed in (1, 1, 2))
    assert first.mutual_information == again.mutual_information != other.mutual_information
    assert model.training


@pytest.mark.parametrize(("count", "samples"), [(0, 1), (3, 0)])
def test_a_rate_needs_encodings_and_samples(count, samples):
    with pytest.raises(ValueError, match="needs encodings and samples"):
        rate_split(torch.zeros(count, 2), torch.zeros(count, 2), samples)
