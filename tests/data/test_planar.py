"""The built-in distributions of the plane: densities, draws and splits that agree."""

import math

import pytest
import torch

from zoo.data.planar import PLANAR, SPLITS, draw_split
from zoo.errors import UsageError

MODES = {"gaussians-2d": 8, "checkerboard-2d": 8, "spirals-2d": 2, "grid-2d": 25}
AXIS = torch.linspace(-5, 5, 201, dtype=torch.float64)
AREA = (10 / 200) ** 2
GRID = torch.cartesian_prod(AXIS, AXIS)


@pytest.fixture(params=PLANAR)
def name(request):
    return request.param


def test_modes_are_as_many_as_named(name):
    assert PLANAR[name].num_modes == MODES[name]
    assert set(PLANAR) == set(MODES)


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_a_smoothed_density_integrates_to_one(name, sigma):
    density = PLANAR[name].log_density(GRID, sigma).exp()
    assert density.sum().item() * AREA == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_draws_are_of_the_density(name, sigma):
    planar = PLANAR[name]
    points, modes = planar.sample(10_000, seed=0, sigma=sigma)
    # Moments, and the mean log-density against its expectation on the grid.
    counts = torch.bincount(modes) / len(modes)
    assert counts.tolist() == pytest.approx([1 / len(counts)] * len(counts), abs=0.02)
    smooth = max(sigma, 0.2)  # whose density the grid resolves
    noisy, _ = planar.sample(10_000, seed=1, sigma=smooth)
    exact = planar.log_density(GRID, smooth)
    entropy = (exact.exp() * exact).sum().item() * AREA
    found = planar.log_density(noisy, smooth)
    error = found.std().item() / math.sqrt(len(found))
    assert abs(found.mean().item() - entropy) < 4 * error
    assert points.dtype == torch.float32
    assert planar.log_density(points, sigma).isfinite().all()


def test_the_density_without_noise_is_the_limit(name):
    planar = PLANAR[name]
    points, modes = planar.sample(200, seed=0)
    torch.testing.assert_close(
        planar.log_density(points), planar.log_density(points, 1e-4), rtol=0, atol=0.02
    )
    nearest, distance = planar.nearest_mode(points)
    assert (nearest == modes).float().mean() > 0.95
    assert distance.max() < 0.75


def test_a_score_is_tweedies(name):
    # The posterior mean by brute force: clean draws weighted by the noise that they need.
    planar, sigma = PLANAR[name], 0.4
    x = torch.tensor([[0.3, -0.7], [1.5, 1.2]], dtype=torch.float64)
    clean = planar.sample(50_000, seed=0)[0].double()
    weights = torch.softmax(-torch.cdist(x, clean).square() / (2 * sigma**2), dim=1)
    expected = weights @ clean
    variance = weights @ clean.square() - expected.square()
    error = (variance * weights.square().sum(1, keepdim=True)).sqrt()
    found = x + sigma**2 * planar.score(x, sigma)
    assert error.max() < 0.02
    assert ((found - expected).abs() < 4 * error).all()


def test_far_away_the_density_is_still_a_number(name):
    far = torch.tensor([[60.0, -80.0]])
    assert PLANAR[name].log_density(far, 0.1).isfinite().all()
    assert PLANAR[name].score(far, 0.1).isfinite().all()


def test_the_eight_gaussians_are_where_they_are_promised():
    planar = PLANAR["gaussians-2d"]
    assert planar.centers[1].tolist() == pytest.approx([math.sqrt(2), math.sqrt(2)])
    at_a_center = planar.log_density(planar.centers[:1], 0.2).item()
    assert at_a_center == pytest.approx(-math.log(8) - math.log(2 * math.pi * 0.05), abs=1e-4)


def test_a_split_is_the_same_points_every_time(name):
    points, modes = draw_split(name, "train")
    assert len(points) == len(modes) == SPLITS["train"][0]
    assert torch.equal(points, draw_split(name, "train")[0])
    assert torch.equal(draw_split(name, "training[10:20]")[0], points[10:20])
    assert not torch.equal(draw_split(name, "test[:100]")[0], points[:100])
    both = draw_split(name, "train[:3]+test[:10%]")[0]
    assert len(both) == 3 + SPLITS["test"][0] // 10
    assert len(draw_split(name, "train", 7)[0]) == 7


@pytest.mark.parametrize("split", ["valley", "train[", "train[:0]"])
def test_wrong_splits_are_refused(name, split):
    with pytest.raises(UsageError, match=name):
        draw_split(name, split)
