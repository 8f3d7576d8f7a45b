"""Kinds of posteriors and of priors, against quadrature, closed forms and exact expectations."""

import math

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from scipy import special, stats
from torch.distributions import Categorical, Normal, kl_divergence

from tests.tiny import BERNOULLI, DENSE, TINY
from zoo.models import VAEConfig, VAEModel
from zoo.models.images import von_mises_fisher as vmf
from zoo.models.images.annealing import annealed_log_prob
from zoo.models.images.posteriors import POSTERIORS, GumbelSoftmax, VonMisesFisher

CASES = [(2, 0.1), (2, 30.0), (3, 5.0), (4, 20.0), (16, 20.0), (40, 300.0)]


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def model_of(variant=None, **settings):
    torch.manual_seed(0)
    model = VAEModel(VAEConfig(**(TINY["vae"][variant] if variant else DENSE) | settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    return model


def grid_of_cosines(size, concentration):
    """Cosines on a grid, their weights under the uniform distribution, and under the other."""
    angles = np.linspace(0, math.pi, 200_001)
    cosines = np.cos(angles)
    logs = (size - 2) * np.log(np.maximum(np.sin(angles), 1e-300))
    uniform = np.exp(logs - logs.max())
    other = np.exp(logs + concentration * cosines - (logs + concentration * cosines).max())
    return cosines, uniform / uniform.sum(), other / other.sum()


@pytest.mark.parametrize(("order", "x"), [(0, 0.3), (0.5, 4), (1, 20), (7, 20), (31.5, 900)])
def test_the_series_is_the_bessel_function(order, x):
    assert vmf.log_bessel(order, x) == pytest.approx(np.log(special.ive(order, x)) + x, rel=1e-12)


@pytest.mark.parametrize(("size", "concentration"), CASES)
def test_the_kl_on_the_sphere_is_what_quadrature_says(size, concentration):
    _, uniform, other = grid_of_cosines(size, concentration)
    seen = other > 0
    expected = (other[seen] * np.log(other[seen] / uniform[seen])).sum()
    assert vmf.kl_to_uniform(size, concentration) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("size", "concentration"), CASES)
def test_cosines_are_distributed_as_the_density_says(size, concentration):
    drawn = vmf.draw_cosines((4000,), size, concentration, seeded()).double().numpy()
    cosines, _, other = grid_of_cosines(size, concentration)
    cumulative = np.cumsum(other[::-1])
    ranks = np.interp(drawn, cosines[::-1], cumulative)
    assert stats.kstest(ranks, "uniform").pvalue > 0.01
    assert np.array_equal(drawn, vmf.draw_cosines((4000,), size, concentration, seeded()))


def test_the_prior_of_the_sphere_is_uniform():
    codes = model_of("sphere").sample_latents(20_000, seed=0)
    assert torch.allclose(codes.norm(dim=1), torch.ones(len(codes)))
    assert codes.mean(0).abs().max() < 0.02
    assert (codes.T @ codes / len(codes) - torch.eye(4) / 4).abs().max() < 0.01


def test_samples_lie_on_the_sphere_at_the_angles_given():
    family = VonMisesFisher(VAEConfig(**TINY["vae"]["sphere"]))
    outputs = torch.randn(7, 4)
    cosines, noise = torch.rand(7, 1), torch.randn(7, 4)
    codes = family.sample(outputs, (cosines, noise))
    assert torch.allclose(codes.norm(dim=1), torch.ones(7))
    found = (codes * family.code(outputs)).sum(1, keepdim=True)
    assert torch.allclose(found, cosines, atol=1e-6)


def test_the_gradient_of_samples_on_the_sphere_is_that_of_their_mean():
    """E z is A times the direction, so the gradient of E a z is known."""
    family = VonMisesFisher(VAEConfig(**TINY["vae"]["sphere"]))
    outputs = torch.tensor([[1.0, -2.0, 0.5, 0.3]], requires_grad=True)
    a = torch.tensor([0.3, 1.0, -1.0, 2.0])
    codes = family.sample(outputs, family.noise(outputs, seeded(), (40_000,)))
    (found,) = torch.autograd.grad((codes @ a).mean(), outputs)
    shrink = math.exp(vmf.log_bessel(2, 10.0) - vmf.log_bessel(1, 10.0))
    (expected,) = torch.autograd.grad((shrink * family.code(outputs) @ a).sum(), outputs)
    assert torch.allclose(found, expected, atol=0.01)
    assert torch.allclose(codes.mean(0), shrink * family.code(outputs), atol=0.01)


def test_the_kl_of_choices_is_that_to_uniform_ones():
    family = GumbelSoftmax(VAEConfig(latent_size=12, posterior="gumbel_softmax", num_choices=4))
    outputs = 3 * torch.randn(5, 12)
    choices = Categorical(logits=outputs.unflatten(1, (3, 4)))
    expected = kl_divergence(choices, Categorical(logits=torch.zeros(5, 3, 4)))
    assert torch.allclose(family.kl(outputs), expected, atol=1e-5)
    assert torch.allclose(family.code(outputs).unflatten(1, (3, 4)), choices.probs)


def test_relaxed_choices_lie_at_the_corners_and_choose_by_their_chances():
    given = {"posterior": "gumbel_softmax", "num_choices": 4, "relaxation": 0.01}
    family = GumbelSoftmax(VAEConfig(latent_size=4, **given))
    outputs = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    codes = family.sample(outputs, family.noise(outputs, seeded(), (20_000,))).flatten(0, 1)
    assert torch.allclose(codes.sum(1), torch.ones(20_000))
    assert (codes.max(1).values > 0.99).float().mean() > 0.95
    shares = codes.argmax(1).bincount(minlength=4) / 20_000
    assert torch.allclose(shares, outputs[0].softmax(0), atol=0.01)


@pytest.mark.parametrize("variant", ["convolutional", "sphere", "choices", "class-means"])
def test_samples_of_given_noise_have_the_gradient_of_finite_differences(variant):
    config = VAEConfig(**TINY["vae"][variant])
    family = POSTERIORS[config.posterior](config)
    outputs = torch.randn(2, family.width(config), dtype=torch.double, requires_grad=True)
    noise = family.noise(outputs, seeded())
    assert torch.autograd.gradcheck(lambda given: family.sample(given, noise), outputs)


def test_the_second_half_of_the_outputs_may_be_log_standard_deviations():
    outputs = torch.randn(3, 8)
    (log_var, log_std) = (
        POSTERIORS["gaussian"](VAEConfig(**DENSE | {"posterior_scale": scale}))
        for scale in ("log_variance", "log_standard_deviation")
    )
    doubled = torch.cat([outputs[:, :4], 2 * outputs[:, 4:]], 1)
    for one, other in zip(log_std.moments(outputs), log_var.moments(doubled), strict=True):
        assert torch.equal(one, other)


def test_a_label_costs_the_kl_to_its_own_mean():
    model = model_of("class-means")
    outputs, labels = torch.randn(3, 8), torch.tensor([2, 0, 2])
    mean, log_var = model.family.moments(outputs)
    centers = model.prior.means(torch.eye(3))
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(centers[labels], 1.0))
    found = model.prior.kl(outputs, mean, labels)
    assert torch.allclose(found, expected, atol=1e-5)


def test_an_image_without_a_label_costs_the_kl_to_the_mixture():
    model = model_of("class-means", latent_size=1)
    outputs = torch.tensor([[0.5, -0.7]])
    latents = model.family.sample(outputs, model.family.noise(outputs, seeded(), (50_000,)))
    cost = model.prior.kl(outputs, latents[0], None)
    many = model.family.log_prob(outputs, latents) - model.prior.log_prob(latents)
    z = torch.linspace(-12, 12, 20_001)[:, None, None]
    log_own = model.family.log_prob(outputs, z)
    step = 24 / 20_000
    exact = (log_own.exp() * (log_own - model.prior.log_prob(z))).sum() * step
    assert many.mean().item() == pytest.approx(exact.item(), abs=0.01)
    assert cost.item() == pytest.approx(many[0].item(), abs=1e-5)
    mass = model.prior.log_prob(z).exp().sum() * step
    assert mass.item() == pytest.approx(1, abs=1e-4)


def test_clusters_cost_least_where_the_classifier_is_right():
    """And then what the mixture of all says, up to the entropy of the code given its image."""
    model = model_of("clusters")
    outputs = torch.randn(5, 8)
    latents = model.family.sample(outputs, model.family.noise(outputs))
    _, log_var = model.family.moments(outputs)
    distances = torch.cdist(latents, model.prior.centers()).square()
    entropy = 0.5 * (1 + math.log(2 * math.pi) + log_var).sum(1)
    least = -entropy - model.prior.log_prob(latents)
    assert (model.prior.kl(outputs, latents, None).sum(1) > least).all()
    model.prior.assign = lambda codes: (-0.5 * distances).log_softmax(1)
    assert torch.allclose(model.prior.kl(outputs, latents, None).sum(1), least, atol=1e-4)


def test_clusters_are_those_of_the_mean_codes():
    model, images = model_of("clusters"), torch.rand(6, 1, 16, 16)
    found = model.predict(images)
    assert found.shape == (6,)
    expected = model.prior.classifier(model.encode(images)).argmax(1)
    assert torch.equal(found, expected)
    shares = model.prior.assign(model.encode(images)).exp()
    assert torch.allclose(shares.sum(1), torch.ones(6))


def exact_log_likelihood(model, images, codes, log_prior):
    params = model.decode_draws(codes)
    log_likelihood = torch.stack([model.likelihood.log_prob(params, image) for image in images])
    return (log_likelihood + log_prior).logsumexp(1)


@torch.no_grad()
def test_the_bounds_of_codes_on_a_circle_rise_to_the_exact_log_likelihood():
    model = model_of("sphere", latent_size=2, concentration=0.5)
    images = torch.rand(4, 1, 5, 5).round()
    angles = 2 * math.pi * torch.arange(4000) / 4000
    codes = torch.stack([angles.cos(), angles.sin()], 1)
    exact = exact_log_likelihood(model, images, codes, -math.log(4000))
    bounds = [model.log_prob(images, k, seed=0) for k in (1, 30, 4000)]
    assert bounds[0].mean() < bounds[1].mean() < exact.mean() + 0.02
    assert torch.allclose(bounds[2], exact, atol=0.05)
    elbo = model.elbo(images, 500, seed=0)
    assert torch.allclose(elbo, model.estimate(images, 500, seed=0).elbo, atol=0.2)
    assert (elbo < exact).all()


@torch.no_grad()
@pytest.mark.parametrize("variant", ["class-means", "clusters"])
def test_the_bounds_of_mixed_priors_rise_to_the_exact_log_likelihood(variant):
    settings = {key: TINY["vae"][variant][key] for key in ("prior",)} | {"num_labels": 3}
    model = model_of(latent_size=1, num_clusters=3, **BERNOULLI, **settings)
    model.encoder.layers[-1].weight *= 0.1  # posteriors about as wide as the prior
    images = torch.rand(4, 1, 5, 5).round()
    z = torch.linspace(-9, 9, 3001)[:, None]
    log_prior = model.prior.log_prob(z) + math.log(18 / 3000)
    exact = exact_log_likelihood(model, images, z, log_prior)
    assert torch.allclose(model.log_prob(images, 4000, seed=0), exact, atol=0.05)
    assert (model.elbo(images, 500, seed=0) < exact).all()


def test_noise_that_is_given_makes_the_sample():
    images = torch.rand(3, 1, 5, 5)
    gaussian, noise = model_of(), torch.randn(3, 4)
    mean, log_var = gaussian.posterior(images)
    found = gaussian(images, noise=noise)
    assert torch.allclose(found.latents, mean + (0.5 * log_var).exp() * noise)
    sphere = model_of("sphere")
    straight = sphere(images, noise=(torch.ones(3, 1), noise)).latents
    assert torch.allclose(straight, sphere.encode(images), atol=1e-6)


def test_labels_choose_the_mean_of_the_codes():
    model = model_of("class-means")
    labels = torch.arange(3).repeat(5000)
    codes = model.sample_latents(15_000, seed=0, labels=labels)
    centers = model.prior.centers()
    for label in range(3):
        assert torch.allclose(codes[labels == label].mean(0), centers[label], atol=0.06)
    still = model.sample_latents(4, seed=0, labels=2, temperature=0.0)
    assert torch.allclose(still, centers[2].expand(4, 4))
    mixed = model.sample_latents(15_000, seed=1)
    assert torch.allclose(mixed.mean(0), centers.mean(0), atol=0.06)
    images = model.sample(3, seed=0, labels=[0, 2, 1])
    assert images.shape == (3, 1, 5, 5)


@pytest.mark.parametrize(
    ("variant", "given", "said"),
    [
        ("class-means", {"labels": 3}, "this model knows 0 to 2, got 3"),
        ("class-means", {"labels": [0, 1]}, "4 whole numbers or one"),
        ("class-means", {"labels": torch.zeros(4)}, "4 whole numbers or one"),
        ("class-means", {"labels": 1, "sampler": "gaussian"}, "not been fitted"),
        ("dense", {"labels": 1}, "the prior sampler of this model knows none"),
        ("sphere", {"temperature": 0.5}, "has no spread, got 0.5"),
        ("choices", {"temperature": 0.5}, "has no spread, got 0.5"),
        ("sphere", {"sampler": "gaussian"}, "sampler must be one of prior"),
    ],
)
def test_what_a_prior_cannot_draw_is_refused(variant, given, said):
    with pytest.raises(ValueError, match=said):
        model_of(variant).sample(4, seed=0, **given)


@pytest.mark.parametrize(
    ("variant", "cannot", "calls"),
    [
        (
            "sphere",
            {"conditions", "compresses", "clusters"},
            ("posterior", "rate_split", "predict"),
        ),
        (
            "choices",
            {"conditions", "compresses", "clusters", "bounds"},
            ("posterior", "rate_split", "predict", "log_prob", "elbo"),
        ),
        ("class-means", {"compresses", "clusters"}, ("rate_split", "predict")),
        ("clusters", {"conditions", "compresses"}, ("rate_split",)),
        ("dense", {"conditions", "clusters"}, ("predict",)),
    ],
)
def test_what_a_model_cannot_do_is_told_and_refused(variant, cannot, calls):
    model = model_of(variant)
    images = torch.rand(2, *model.config.data_shape)
    assert set(model.cannot) == cannot
    for call in calls:
        with pytest.raises(ValueError, match="this model"):
            getattr(model, call)(images)
    if variant != "dense":
        with pytest.raises(ValueError, match=r"N\(0, I\)"):
            annealed_log_prob(model, images)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"posterior": "laplace"}, "posterior must be one of"),
        ({"prior": "vamp"}, "prior must be one of"),
        ({"posterior": "von_mises_fisher", "prior": "clusters"}, "is of Gaussians"),
        ({"posterior": "von_mises_fisher", "latent_size": 1}, "at least 2"),
        ({"posterior": "von_mises_fisher", "concentration": 0}, "positive"),
        ({"posterior": "gumbel_softmax", "num_choices": 3}, "must divide latent_size, got 4"),
        ({"posterior": "gumbel_softmax", "num_choices": 2, "relaxation": 0.0}, "relaxation"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given, said):
    with pytest.raises(StrictDataclassClassValidationError, match=said):
        VAEConfig(**DENSE | given)
