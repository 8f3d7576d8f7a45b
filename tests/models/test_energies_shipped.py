"""What ships is as good as its card says, against the exact density."""

import math

import pytest
import torch

import zoo
from zoo.data import PLANAR

SIGMA = 0.2


@pytest.fixture(scope="module")
def model():
    return zoo.from_pretrained("genae/dde-gaussians-2d")


@pytest.fixture(scope="module")
def on_grid(model):
    """Points of a grid, their log-densities, exact and unnormalised, and a cell's area."""
    axis = torch.linspace(-4, 4, 241, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        found = model.log_density(points.float()).double()
    return points, PLANAR["gaussians-2d"].log_density(points, SIGMA), found, (8 / 240) ** 2


def test_the_density_is_the_exact_one(model, on_grid):
    points, exact, _, area = on_grid
    with torch.no_grad():
        found = model.log_density(points.float(), normalized=True).double()
    divergence = (exact.exp() * (exact - found)).sum().item() * area
    assert abs(divergence) <= 0.01


def test_its_partition_function_is_that_of_the_grid(model, on_grid):
    _, _, found, area = on_grid
    on_the_grid = found.logsumexp(0).item() + math.log(area)
    assert model.constant_error < 0.01
    assert abs(-model.constant.item() - on_the_grid) <= 3 * model.constant_error.item()


def test_the_generator_has_every_mode_and_little_between(model):
    samples = model.sample(10_000, seed=0)
    modes, distance = PLANAR["gaussians-2d"].nearest_mode(samples)
    shares = torch.bincount(modes, minlength=8) / len(samples)
    assert (shares - 1 / 8).abs().max() <= 0.03
    assert (distance > 0.8).float().mean() <= 0.02
