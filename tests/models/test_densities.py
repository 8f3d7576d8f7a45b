"""Densities against exact marginals: importance sampling, annealing, and their gradients."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from zoo.models import IWAEConfig, IWAEModel, VAEConfig, VAEModel
from zoo.models.images.annealing import annealed_log_prob, bidirectional_gap, temperatures
from zoo.models.images.bounds import ImportanceWeightedBound, gaussian_log_prob

SIDE, LATENTS, NOISE = 6, 32, 0.1
PIXELS = SIDE**2


class LinearLikelihood(torch.nn.Module):
    """N(params, NOISE^2) of images: with a linear decoder the marginal is Gaussian."""

    parameters_per_channel, scale = 1, None

    def check_values(self, images):
        """A normal distribution has a density of any."""

    def log_prob(self, params, images):
        log_var = torch.full((PIXELS,), 2 * math.log(NOISE), dtype=params.dtype)
        return gaussian_log_prob(images.flatten(-3), params.flatten(-3), log_var)

    def mean(self, params):
        return params

    def simulate(self, params, generator=None):
        return params + NOISE * torch.randn(params.shape, generator=generator)


def linear_model(variance_factor=1.0, slope=0.05):
    """A VAE with the exact posterior but for a factor on its variance, and the exact marginal."""
    config = VAEConfig(image_size=SIDE, network="dense", hidden_sizes=[], latent_size=LATENTS)
    model = VAEModel(config).eval()
    model.likelihood = LinearLikelihood()
    slopes = slope * (1 + torch.arange(LATENTS) / LATENTS)
    loadings = torch.zeros(PIXELS, LATENTS)
    loadings[:LATENTS] = torch.diag(slopes)
    precision = 1 + (slopes / NOISE) ** 2
    with torch.no_grad():
        decoder, encoder = model.decoder.layers[0], model.encoder.layers[0]
        decoder.weight.copy_(loadings)
        decoder.bias.fill_(0.5)
        encoder.weight.zero_()
        encoder.bias.zero_()
        # The encoder reads 2 x - 1, which is twice the image's distance from the bias.
        encoder.weight[:LATENTS, :LATENTS] = torch.diag(slopes / NOISE**2 / precision / 2)
        encoder.bias[LATENTS:] = (variance_factor / precision).log()
    covariance = loadings @ loadings.T + NOISE**2 * torch.eye(PIXELS)
    return model, MultivariateNormal(torch.full((PIXELS,), 0.5), covariance)


def images_of(marginal, count):
    drawn = marginal.sample((count,)).view(-1, 1, SIDE, SIDE)
    inside = ((drawn >= 0) & (drawn <= 1)).flatten(1).all(1)
    return drawn[inside]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.7, {1: -0.94, 5: -0.34, 50: -0.10, 500: -0.01}),
        pytest.param(1.3, {1: -0.60, 5: -0.13, 50: -0.01, 500: -0.005}, marks=pytest.mark.slow),
    ],
)
def test_the_bias_of_the_bound_is_the_one_computed_beside_it(factor, expected):
    model, marginal = linear_model(factor)
    images = images_of(marginal, 2000)
    exact = marginal.log_prob(images.flatten(1))
    found = []
    for count in expected:
        bias = model.log_prob(images, count, seed=0) - exact
        error = bias.std() / len(bias) ** 0.5
        assert bias.mean().item() == pytest.approx(expected[count], abs=3 * error.item() + 0.04)
        found.append(bias.mean().item())
    assert found == sorted(found)  # L_K rises with K
    closed_form = -0.5 * LATENTS * (factor - 1 - math.log(factor))  # K = 1: minus the KL
    assert found[0] == pytest.approx(closed_form, abs=0.05)


def test_an_exact_proposal_has_equal_weights():
    model, marginal = linear_model()
    images = images_of(marginal, 20)
    estimate = model.estimate(images, 50, seed=0)
    exact = marginal.log_prob(images.flatten(1))
    torch.testing.assert_close(estimate.log_prob, exact, atol=1e-3, rtol=0)
    torch.testing.assert_close(estimate.elbo, exact, atol=1e-3, rtol=0)
    assert estimate.effective_sample_size.min() > 49.9
    assert estimate.standard_error.max() < 1e-3


def test_the_standard_error_is_the_spread_of_repetitions():
    model, marginal = linear_model(1.3)
    image = images_of(marginal, 5)[:1].expand(400, -1, -1, -1)
    estimate = model.estimate(image, 200, seed=0)
    spread = estimate.log_prob.std()
    assert estimate.standard_error.mean().item() == pytest.approx(spread.item(), rel=0.15)
    assert (estimate.effective_sample_size >= 1).all()
    assert (estimate.effective_sample_size <= 200).all()
    assert (estimate.elbo <= estimate.log_prob).all()


def test_statistics_of_weights_do_not_depend_on_the_chunks():
    log_weights = 5 * torch.randn(60, 3) - 1e4
    whole, parts = ImportanceWeightedBound(), ImportanceWeightedBound()
    whole.update(log_weights)
    for chunk in log_weights.split(7):
        parts.update(chunk)
    for one, other in zip(whole.estimate(), parts.estimate(), strict=True):
        torch.testing.assert_close(one, other)
    weights = (log_weights.double() - log_weights.max()).exp()
    ess = weights.sum(0).square() / weights.square().sum(0)
    torch.testing.assert_close(whole.estimate().effective_sample_size.double(), ess, rtol=1e-4,
                               atol=0)  # fmt: skip


def test_one_sample_has_no_standard_error():
    bound = ImportanceWeightedBound()
    bound.update(torch.zeros(1, 2))
    assert bound.estimate().standard_error.isnan().all()


def test_annealing_finds_the_exact_marginal():
    model, marginal = linear_model(0.3)  # a poor encoder, which annealing does not ask
    images = images_of(marginal, 8)
    found = annealed_log_prob(model, images, num_temperatures=100, num_chains=16, seed=0)
    exact = marginal.log_prob(images.flatten(1))
    error = (found.log_prob - exact).abs()
    assert error.mean() < 0.6
    assert (error < 5 * found.standard_error + 0.6).all()
    assert 0.45 < found.acceptance.mean() <= 1
    crude = annealed_log_prob(model, images, num_temperatures=4, num_chains=4, seed=0)
    assert crude.log_prob.mean() < found.log_prob.mean()


def test_the_two_directions_enclose_the_exact_marginal_and_meet():
    model, _ = linear_model(slope=0.1)
    wide = bidirectional_gap(model, 12, num_temperatures=10, num_chains=4, seed=0)
    near = bidirectional_gap(model, 12, num_temperatures=80, num_chains=4, seed=0)
    assert -0.2 < near.gap.mean() < wide.gap.mean() / 3
    assert (near.acceptance > 0.4).all()
    assert near.lower.shape == near.upper.shape == (12,)


def test_the_gap_lies_around_the_truth():
    model, marginal = linear_model(slope=0.1)
    seen = []
    simulate = model.likelihood.simulate
    model.likelihood.simulate = lambda *args: seen.append(simulate(*args)) or seen[-1]
    bounds = bidirectional_gap(model, 40, num_temperatures=30, num_chains=8, seed=1)
    exact = marginal.log_prob(torch.cat(seen).flatten(1)).mean()
    slack = 0.1
    assert bounds.lower.mean() < exact + slack
    assert exact < bounds.upper.mean() + slack


@pytest.mark.parametrize("architecture", ["vae", "iwae", "eae", "ae"])
def test_every_autoencoder_can_be_annealed(architecture, tiny_config):
    from tests.tiny import TINY
    from zoo import catalog

    for variant in TINY[architecture]:
        config = tiny_config(architecture, variant)
        model = catalog.load(catalog.ARCHITECTURES[architecture].model)(config)
        shape = (2, config.num_channels, config.image_size, config.image_size)
        images = torch.rand(shape).round()
        if not model.standard_prior:
            with pytest.raises(ValueError, match="not the prior of this model"):
                annealed_log_prob(model, images)
            continue
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        found = annealed_log_prob(model, images, num_temperatures=3, num_chains=2, seed=0)
        again = annealed_log_prob(model, images, num_temperatures=3, num_chains=2, seed=0)
        assert torch.equal(found.log_prob, again.log_prob)
        assert found.log_prob.isfinite().all()
        bounds = bidirectional_gap(model, 3, num_temperatures=2, num_chains=2, seed=0)
        assert bounds.gap.isfinite().all()
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_temperatures_rise_from_nought_to_one():
    betas = temperatures(50)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()
    with pytest.raises(ValueError, match="at least 1"):
        temperatures(0)


@pytest.mark.parametrize("call", [annealed_log_prob, bidirectional_gap])
def test_numbers_below_one_are_refused(call):
    model, _ = linear_model()
    given = torch.zeros(1, 1, SIDE, SIDE) if call is annealed_log_prob else 1
    for name in ("num_chains", "num_temperatures"):
        with pytest.raises(ValueError, match="at least 1"):
            call(model, given, **{name: 0})


def iwae(**settings):
    torch.manual_seed(0)
    config = IWAEConfig(
        image_size=3, hidden_sizes=[5], latent_size=4, upper_hidden_sizes=[3], **settings
    )
    model = IWAEModel(config).double()
    with torch.no_grad():  # posteriors near the prior: weights of some, but no great spread
        for parameter in model.parameters():
            parameter.mul_(0.4)
    return model


def mean_gradient(model, images, repetitions):
    """Gradient of the loss averaged over draws, and its standard error, as flat vectors."""
    total = squares = 0.0
    for _ in range(repetitions):
        gradients = torch.autograd.grad(model(images).loss, list(model.parameters()))
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        total, squares = total + flat, squares + flat.square()
    mean = total / repetitions
    return mean, ((squares / repetitions - mean.square()) / repetitions).clamp(min=1e-30).sqrt()


@pytest.mark.parametrize("lower", [[2], pytest.param([], marks=pytest.mark.slow)])
def test_both_gradients_are_equal_in_expectation(lower):
    images = torch.rand(1, 1, 3, 3).round().double().expand(64, -1, -1, -1)
    means, errors = [], []
    for gradient in ("plain", "doubly-reparameterized"):
        model = iwae(lower_latent_sizes=lower, importance_samples=4, gradient=gradient)
        mean, error = mean_gradient(model, images, 150)
        means.append(mean)
        errors.append(error)
    z = (means[0] - means[1]) / (errors[0].square() + errors[1].square()).sqrt()
    live = errors[0] > 1e-12
    assert z[live].abs().max() < 4.5
    assert z[live].square().mean() < 1.6  # 1 for a correct estimator
    assert means[0].norm() > 0.05


def test_both_gradients_are_the_known_one_of_a_linear_gaussian_toy():
    # K = 1, q(x|z) = N(z, 1), p(z|x) = N(a x + b, 1): the bound is the ELBO, and
    # d/db of -ELBO = b-ward pull of both terms: (a x + b) + (a x + b - x).
    class Unit(LinearLikelihood):
        def log_prob(self, params, images):
            params, images = params.flatten(-3)[..., :1], images.flatten(-3)[..., :1]
            return gaussian_log_prob(images, params, torch.zeros(1, dtype=params.dtype))

    for gradient in ("plain", "doubly-reparameterized"):
        config = IWAEConfig(image_size=2, hidden_sizes=[], latent_size=1, importance_samples=1,
                            gradient=gradient)  # fmt: skip
        model = IWAEModel(config).double().train()
        model.likelihood = Unit()
        encoder, decoder = model.encoder.layers[0], model.decoder.pixels.layers[0]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            decoder.weight[0] = 1
            encoder.bias[0] = 0.7
        images = torch.full((20000, 1, 2, 2), 0.25).double()
        torch.manual_seed(1)
        model(images).loss.backward()
        assert encoder.bias.grad[0].item() == pytest.approx(0.7 + (0.7 - 0.25), abs=0.03)
        # log-variance v at 0 pays (e^v - 1) / 2 to the prior and e^v / 2 to the likelihood.
        assert encoder.bias.grad[1].item() == pytest.approx(0.5, abs=0.03)


def test_the_doubly_reparameterised_gradient_is_quieter_for_the_encoder():
    images = torch.rand(1, 1, 3, 3).round().double().expand(16, -1, -1, -1)
    noise = {}
    for gradient in ("plain", "doubly-reparameterized"):
        model = iwae(importance_samples=50, gradient=gradient)
        _, error = mean_gradient(model, images, 100)
        count = sum(parameter.numel() for parameter in model.encoder.parameters())
        noise[gradient] = error[:count].norm()
    assert noise["doubly-reparameterized"] < 0.8 * noise["plain"]


def test_code_and_layers_are_two_names_of_one_thing():
    model = iwae(lower_latent_sizes=[2]).eval()
    codes = torch.randn(6, 4).double()
    top, noise = codes.split([2, 2], dim=1)
    mean, log_var = model.decoder.conditionals[0](top).chunk(2, dim=1)
    lowest = mean + (0.5 * log_var).exp() * noise
    torch.testing.assert_close(model.decoder.code([lowest, top]), codes)
    torch.testing.assert_close(model.decoder(codes), model.decoder.pixels(lowest))
    # The prior of the layers is that of the code times the volume that the noise is scaled by.
    density = gaussian_log_prob(codes, torch.zeros_like(codes), torch.zeros_like(codes))
    torch.testing.assert_close(
        model.decoder.log_prior([lowest, top]) + 0.5 * log_var.sum(1), density
    )


def test_two_layers_estimate_what_annealing_estimates():
    model = iwae(lower_latent_sizes=[2]).eval().float()
    images = torch.rand(5, 1, 3, 3).round()
    bound = model.estimate(images, 4000, seed=0)
    annealed = annealed_log_prob(model, images, num_temperatures=60, num_chains=32, seed=0)
    torch.testing.assert_close(bound.log_prob, annealed.log_prob, atol=0.05, rtol=0)
    assert (bound.elbo < bound.log_prob).all()


def test_the_output_starts_at_the_mean_image():
    model = iwae().float()
    mean = torch.rand(1, 3, 3)
    mean[0, 0, 0] = 0
    model.begin_training(mean)
    with torch.no_grad():
        for layer in model.decoder.pixels.layers[:-1]:
            if hasattr(layer, "weight"):
                layer.weight.zero_()
        model.decoder.pixels.layers[-1].weight.zero_()
    torch.testing.assert_close(model.decode(torch.zeros(1, 4))[0], mean.clamp(0.001, 0.999))


@pytest.mark.parametrize("sizes", [[], [2]])
def test_the_encoder_sees_images_minus_the_mean_one_which_is_stored(tmp_path, sizes):
    model = iwae(lower_latent_sizes=sizes).float()
    values, mean = torch.rand(2, 1, 3, 3), torch.rand(1, 3, 3)
    seen = []
    model.encoder.layers[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    model.begin_training(mean)
    model.encode(values)
    torch.testing.assert_close(seen[0], (values - mean).flatten(1))
    model.save_pretrained(tmp_path)
    again = IWAEModel.from_pretrained(tmp_path)
    assert torch.equal(again.mean_image, mean)
    torch.testing.assert_close(again.encode(values), model.encode(values))
    assert torch.equal(iwae().mean_image, torch.full_like(iwae().mean_image, 0.5))


def test_layers_that_leave_no_top_are_refused():
    with pytest.raises(Exception, match="leave none for the top"):
        IWAEConfig(latent_size=3, lower_latent_sizes=[3])
    with pytest.raises(ValueError, match="no diagonal Gaussian"):
        iwae(lower_latent_sizes=[2]).posterior(torch.zeros(1, 1, 3, 3).double())
