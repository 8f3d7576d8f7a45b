"""What the losses of energies teach: minima by quadrature, gradients, constants, closed forms."""

import math

import numpy
import pytest
import torch

from zoo.models import DDEConfig, DDEModel, MDSMConfig, MDSMModel
from zoo.models.images.energies import denoising_errors

VECTORS = {"input_shape": [2], "network": "dense", "hidden_size": 8, "num_hidden_layers": 2}
GENERATING = {
    "generator": "residual", "latent_size": 2, "generator_hidden_size": 8,
    "generator_num_hidden_layers": 1, "generator_interval": 1,
}  # fmt: skip


def hermite(mean, deviation, count):
    """Nodes and weights of a Gaussian's quadrature, float64."""
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(count)
    values = torch.from_numpy(mean + deviation * nodes)
    return values, torch.from_numpy(weights / math.sqrt(2 * math.pi))


MIXTURE = ((0.3, -1.0, 0.3), (0.7, 0.8, 0.5))  # weight, mean, standard deviation


def mixture_log_density(x, sigma):
    parts = [
        math.log(weight)
        + torch.distributions.Normal(mean, math.hypot(deviation, sigma)).log_prob(x[:, 0])
        for weight, mean, deviation in MIXTURE
    ]
    return torch.stack(parts).logsumexp(0)


def expected_loss(log_density, sigma, jump, count=60):
    """The loss of a scalar over all data and all noise, by quadrature."""
    noise, noise_weights = hermite(0.0, 1.0, count)
    total = 0.0
    for weight, mean, deviation in MIXTURE:
        clean, weights = hermite(mean, deviation, count)
        pairs = torch.cartesian_prod(clean, noise)
        both = torch.outer(weights, noise_weights).flatten()
        errors = denoising_errors(log_density, pairs[:, :1], pairs[:, 1:], sigma, jump)
        total += weight * (both * errors).sum().item()
    return total


@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_a_loss_is_least_at_the_exact_density(sigma):
    def off_by(share, bump):
        return lambda x: mixture_log_density(x, sigma) + share * bump(x[:, 0])

    for bump in (torch.sin, torch.tanh, lambda x: x.square(), lambda x: (2 * x).cos()):
        least = expected_loss(off_by(0.0, bump), sigma, sigma**2)
        above = [expected_loss(off_by(s, bump), sigma, sigma**2) - least for s in (-0.1, 0.1)]
        # A square's minimum: positive, and the same on both sides, so no slope is left.
        assert min(above) > 1e-6
        assert above[0] == pytest.approx(above[1], rel=1e-6)
    # The least value is the variance of clean data given noisy data, and less than the noise's.
    assert least < sigma**2


@pytest.mark.parametrize("kind", ["dde", "mdsm"])
def test_the_models_losses_are_the_ones_above(kind):
    torch.manual_seed(0)
    x, noise = torch.randn(7, 2), torch.randn(7, 2)
    if kind == "dde":
        model = DDEModel(DDEConfig(**VECTORS, sigma=0.4)).eval()
        expected = 0.5 * denoising_errors(model.density, x, noise, 0.4, 0.16).mean()
    else:
        model = MDSMModel(MDSMConfig(**VECTORS, min_sigma=0.1, max_sigma=0.8)).eval()
        sigma = (0.1 * 8 ** (torch.arange(7) / 6)).unsqueeze(1)
        noisy = x + sigma * noise
        gradient = -model.score(noisy)  # of the energy
        # The paper's formula, times sigma0^4.
        paper = ((x - noisy) / 0.01 + gradient).square().sum(1) / sigma[:, 0].square()
        expected = 1e-4 * paper.mean()
    loss = model(x, noise=noise).loss
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_one_level_at_the_reference_noise_teaches_the_density_there():
    # With sigma = sigma0 the loss of many levels is that of one, so its minimum is the density.
    model = MDSMModel(MDSMConfig(**VECTORS, min_sigma=0.1, max_sigma=0.1))
    assert model.levels(5).eq(0.1).all()
    assert model.jump() == pytest.approx(0.01)
    assert model.jump(0.7) == model.jump()  # whatever level an image has


class OfScore(torch.autograd.Function):
    """A log-density of which only the score matters: zero, with that gradient."""

    @staticmethod
    def forward(ctx, x, score):
        ctx.save_for_backward(score(x))
        return x.new_zeros(len(x))

    @staticmethod
    def backward(ctx, gradient):
        return gradient.unsqueeze(1) * ctx.saved_tensors[0], None


def score_of_many_levels(x, levels, jump):
    r"""The score that many levels teach: :math:`\nabla P / (j W)`.

    P is the sum of the smoothed densities, W the same weighted by :math:`1 / \sigma^2`: at each
    noisy point the loss is the sum over levels of :math:`p_\sigma / \sigma^2` times the squared
    distance to the clean data behind it, so its minimum is the mean of the posterior means
    :math:`\tilde x + \sigma^2 \nabla \log p_\sigma` with these weights.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logs = torch.stack([mixture_log_density(x, sigma) for sigma in levels])
        densities = (logs - logs.detach().max(0).values).exp()  # far away all are 0 else
        (slope,) = torch.autograd.grad(densities.sum(), x)
    weights = (densities.detach().T / torch.tensor(levels).double().square()).sum(1)
    return slope / (jump * weights.unsqueeze(1))


def test_many_levels_teach_the_mean_of_the_posterior_means():
    levels, jump = [0.2, 0.4, 0.8, 1.6], 0.04

    def loss_of(score):
        return sum(
            expected_loss(lambda x: OfScore.apply(x, score), sigma, jump, 160) / sigma**2
            for sigma in levels
        ) / len(levels)

    least = loss_of(lambda x: score_of_many_levels(x, levels, jump))
    for bump in (torch.sin, torch.tanh, lambda x: x, lambda x: (3 * x).cos()):
        above = [
            loss_of(lambda x, s=s, b=bump: score_of_many_levels(x, levels, jump) + s * b(x))
            - least
            for s in (-0.1, 0.1)
        ]
        assert min(above) > 1e-6
        # The mean is steep between levels, which quadrature resolves to a few digits.
        assert above[0] == pytest.approx(above[1], rel=1e-4)
    # It is no level's own density, and with one level it is that level's.
    for sigma in levels:
        of_level = score_of_many_levels(torch.zeros(1, 1, dtype=torch.float64), [sigma], sigma**2)
        x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        (exact,) = torch.autograd.grad(mixture_log_density(x, sigma).sum(), x)
        torch.testing.assert_close(of_level, exact)
        own = loss_of(lambda x, s=sigma: score_of_many_levels(x, [s], jump))
        assert own > least + 1e-3


@pytest.mark.parametrize("kind", ["dde", "mdsm"])
def test_a_losss_gradient_is_the_derivative_through_the_score(kind):
    torch.manual_seed(0)
    model = {
        "dde": lambda: DDEModel(DDEConfig(**VECTORS, sigma=0.4)),
        "mdsm": lambda: MDSMModel(MDSMConfig(**VECTORS, min_sigma=0.1, max_sigma=0.8)),
    }[kind]().double().train()  # fmt: skip
    x, noise = torch.randn(2, 6, 2, dtype=torch.float64)
    model(x, noise=noise).loss.backward()
    step = 1e-5
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            ends = []
            for sign in (1, -2):
                parameter += sign * step * direction
                ends.append(model(x, noise=noise).loss)
            parameter += step * direction
        slope = (ends[0] - ends[1]) / (2 * step)
        exact = (parameter.grad * direction).sum()
        torch.testing.assert_close(exact, slope, rtol=1e-5, atol=1e-7, msg=name)


def test_additive_constants_of_the_densities_change_nothing_that_is_reported():
    model = DDEModel(DDEConfig(**VECTORS, **GENERATING, sigma=0.4)).eval()
    x, noise = torch.randn(2, 64, 2)

    def outputs():
        torch.manual_seed(3)
        return model(x, noise=noise)

    before = outputs()
    for density, constant in ((model.density, 5.0), (model.generator_density, -7.0)):
        plain = density.forward
        density.forward = lambda *a, f=plain, c=constant, **k: f(*a, **k) + c
    after = outputs()
    for name in ("loss", "density_loss", "generator_density_loss", "divergence"):
        torch.testing.assert_close(after[name], before[name], rtol=1e-4, atol=1e-4)


def test_a_loss_is_a_mean_over_the_batch():
    model = DDEModel(DDEConfig(**VECTORS, sigma=0.4)).train()
    x, noise = torch.randn(2, 8, 2)
    once = model(x, noise=noise).loss
    twice = model(torch.cat([x, x]), noise=torch.cat([noise, noise])).loss
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize("kind", ["dde", pytest.param("mdsm", marks=pytest.mark.slow)])
def test_normal_data_teach_the_score_of_wider_normal_data(kind):
    """-x / (1 + sigma^2), by DDE and by MDSM of one level, within 5 % inside radius 2."""
    torch.manual_seed(0)
    sigma, small = 0.5, VECTORS | {"hidden_size": 16}
    model = {
        "dde": lambda: DDEModel(DDEConfig(**small, sigma=sigma)),
        "mdsm": lambda: MDSMModel(
            MDSMConfig(**small, reference_sigma=sigma, min_sigma=sigma, max_sigma=sigma)
        ),
    }[kind]().train()  # fmt: skip
    steps = 500
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(512, 2)).loss.backward()
        optimizer.step()
        rate.step()
    axis = torch.linspace(-2, 2, 41)
    x = torch.cartesian_prod(axis, axis)
    x = x[x.norm(dim=1) <= 2]
    exact = -x / (1 + sigma**2)
    error = (model.eval().score(x) - exact).norm(dim=1).mean() / exact.norm(dim=1).mean()
    assert error < 0.05
