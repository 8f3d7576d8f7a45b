"""The VAE's bounds against exact values, and its options."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from zoo.models import VAEConfig, VAEModel
from zoo.models.images.bounds import ImportanceWeightedBound, gaussian_kl, gaussian_log_prob


def linear_gaussian(noise=1.0, latent_size=2):
    """A dense VAE whose decoder is linear and whose exact log-likelihood is therefore known."""
    config = VAEConfig(
        image_size=3, network="dense", hidden_sizes=[], latent_size=latent_size, scale_value=noise
    )
    model = VAEModel(config).eval()
    model.likelihood.mean = lambda params: params
    model.likelihood.log_prob = lambda params, images: gaussian_log_prob(
        images.flatten(-3), params.flatten(-3), torch.full((9,), 2 * math.log(noise))
    )
    torch.nn.init.normal_(model.encoder.layers[0].weight, 0, 0.1)
    layer = model.decoder.layers[0]
    torch.nn.init.normal_(layer.bias, 0.5, 0.1)
    covariance = layer.weight @ layer.weight.T + noise**2 * torch.eye(9)
    marginal = MultivariateNormal(layer.bias.detach(), covariance.detach())
    return model, marginal


def test_kl_is_torchs_and_summed_over_dimensions():
    mean, log_var = torch.randn(5, 4), torch.randn(5, 4)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    assert torch.allclose(gaussian_kl(mean, log_var), expected, atol=1e-6)


def test_bound_rises_with_the_number_of_samples_to_the_exact_log_likelihood():
    model, marginal = linear_gaussian()
    images = marginal.sample((400,)).clamp(0, 1).view(-1, 1, 3, 3)
    exact = marginal.log_prob(images.flatten(1)).mean().item()
    bounds = [model.log_prob(images, k, seed=0).mean().item() for k in (1, 5, 50, 2000)]
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3]
    assert bounds[3] == pytest.approx(exact, abs=0.02)
    elbo = model.elbo(images, 20, seed=0).mean().item()
    assert elbo < bounds[1]
    assert elbo == pytest.approx(bounds[0], abs=0.3)


def test_bound_is_the_same_in_one_piece_and_streamed():
    log_weights = 50 * torch.randn(64, 7, dtype=torch.float64) - 1000
    streamed = ImportanceWeightedBound()
    for chunk in log_weights.split(10):
        streamed.update(chunk)
    expected = torch.logsumexp(log_weights, 0) - math.log(64)
    assert torch.allclose(streamed.value(), expected, atol=1e-9)


def test_likelihoods_keep_no_graph_and_leave_the_model_as_it_was():
    model = VAEModel(VAEConfig(image_size=8, width_multiplier=0.02)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not model.log_prob(torch.rand(4, 1, 8, 8), 3).requires_grad
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_seed_names_the_estimate():
    model = VAEModel(VAEConfig(image_size=8, width_multiplier=0.02)).eval()
    images = torch.rand(4, 1, 8, 8)
    first, again, other = (model.log_prob(images, 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def loss_of(**settings):
    torch.manual_seed(0)
    model = VAEModel(VAEConfig(image_size=8, width_multiplier=0.02, **settings)).train()
    images = torch.rand(16, 1, 8, 8)
    torch.manual_seed(1)
    return model, model(images), images


def test_loss_is_reconstruction_plus_beta_times_kl():
    for beta in (0.0, 1.0, 4.0):
        _, output, _ = loss_of(beta=beta)
        expected = output.reconstruction_loss + beta * output.kl
        assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_free_bits_are_a_floor_per_dimension_on_the_batch_mean():
    model, output, _ = loss_of(free_bits=1000.0)
    penalty = (output.loss - output.reconstruction_loss).item()
    assert penalty == pytest.approx(1000.0 * model.config.latent_size, rel=1e-5)
    assert output.kl < 1000


def test_warm_up_raises_the_weight_step_by_step_in_training_only():
    model, output, images = loss_of(kl_warmup_steps=4)
    weights = [((output.loss - output.reconstruction_loss) / output.kl).item()]
    for _ in range(5):
        output = model(images)
        weights.append(((output.loss - output.reconstruction_loss) / output.kl).item())
    assert weights == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0], rel=1e-3)
    assert model.updates == 6
    model.eval()(images)
    assert model.updates == 6


def test_extreme_encodings_stay_finite():
    model = VAEModel(VAEConfig(image_size=8, width_multiplier=0.02))
    torch.nn.init.constant_(model.encoder.output.bias, 1e4)
    output = model(torch.rand(4, 1, 8, 8))
    assert output.kl.isfinite()


@pytest.mark.slow
def test_a_model_in_eval_mode_is_one_graph_compiled_and_exported():
    model = VAEModel(VAEConfig(image_size=8, width_multiplier=0.02, likelihood="bernoulli")).eval()
    images = torch.rand(4, 1, 8, 8).round()

    def outputs(call):
        torch.manual_seed(0)
        found = call(images)
        return found["loss"], found["latents"]

    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(outputs(compiled), outputs(model))
    codes = torch.compile(model.encode, backend="eager", fullgraph=True)
    torch.testing.assert_close(codes(images), model.encode(images))
    exported = torch.export.export(model, (images,), {"return_loss": False})
    found = exported.module()(images, return_loss=False)
    assert found["reconstruction"].shape == images.shape
