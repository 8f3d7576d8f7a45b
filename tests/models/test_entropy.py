"""The nearest-neighbour entropy against closed forms, brute force and hostile codes."""

import math

import pytest
import torch

from zoo.models.images import entropy
from zoo.models.images.entropy import (
    MIN_GROUPED,
    MIN_ROWS,
    kozachenko_leonenko_entropy,
    log_unit_ball_volume,
    nearest_neighbors,
    neighbor_distances,
)


def brute_force_distances(points, k):
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(math.inf).topk(k, largest=False).values


@pytest.mark.parametrize(
    ("count", "dimension", "k"), [(20, 3, 1), (MIN_GROUPED + 7, 16, 3), (5, 1, 4)]
)
def test_distances_are_those_of_a_full_distance_matrix(count, dimension, k):
    points = torch.randn(count, dimension, dtype=torch.float64)
    expected = brute_force_distances(points.clone(), k)
    assert torch.allclose(neighbor_distances(points, k), expected, atol=1e-12)


def test_distances_in_chunks_of_rows_are_the_same(monkeypatch):
    points = torch.randn(2 * MIN_ROWS + 3, 4)
    whole = neighbor_distances(points, 2)
    monkeypatch.setattr(entropy, "CHUNK", 1)
    assert torch.equal(neighbor_distances(points, 2), whole)


def test_search_survives_codes_far_from_the_origin():
    points = torch.randn(64, 4)
    assert torch.equal(nearest_neighbors(points, 2), nearest_neighbors(points + 1000, 2))


def test_references_are_searched_including_equal_points():
    references = torch.randn(30, 5)
    assert torch.equal(nearest_neighbors(references, 1, references)[:, 0], torch.arange(30))


def test_gradient_is_that_of_the_full_distance_matrix():
    points = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(neighbor_distances(points, 3).log().sum(), points)
    mask = torch.eye(40, dtype=torch.bool)
    squared = (points[:, None] - points).square().sum(-1).masked_fill(mask, math.inf)
    expected = 0.5 * squared.topk(3, largest=False).values.log().sum()
    assert torch.allclose(found, torch.autograd.grad(expected, points)[0], atol=1e-10)


@pytest.mark.parametrize(
    ("dimension", "count", "bias"),
    [(2, 256, 0.0), (8, 256, 0.05), (16, 256, 0.68), (16, 1024, 0.42), (32, 256, 3.14)],
)
def test_normal_codes_lie_in_the_known_band(dimension, count, bias):
    exact = 0.5 * dimension * math.log(2 * math.pi * math.e)
    estimates = [
        kozachenko_leonenko_entropy(torch.randn(count, dimension)).item() for _ in range(20)
    ]
    assert sum(estimates) / 20 - exact == pytest.approx(bias, abs=0.12)


@pytest.mark.parametrize("k", [1, 3])
def test_scaling_a_code_adds_the_log_of_the_scale_per_dimension(k):
    points = torch.randn(100, 3, dtype=torch.float64)
    difference = kozachenko_leonenko_entropy(5 * points, k) - kozachenko_leonenko_entropy(
        points, k
    )
    assert difference.item() == pytest.approx(3 * math.log(5), abs=1e-5)


def test_uniform_square_has_entropy_zero():
    points = torch.rand(4000, 2)
    assert kozachenko_leonenko_entropy(points, 3).item() == pytest.approx(0, abs=0.05)


def test_coincident_codes_have_finite_entropy_and_gradient():
    points = torch.randn(10, 4).repeat(2, 1).requires_grad_()
    entropy = kozachenko_leonenko_entropy(points)
    entropy.backward()
    assert entropy.isfinite()
    assert points.grad.isfinite().all()


def test_ascent_spreads_codes_out():
    points = (0.1 * torch.randn(64, 2)).requires_grad_()
    before = kozachenko_leonenko_entropy(points)
    before.backward()
    assert kozachenko_leonenko_entropy(points + 0.001 * points.grad) > before


def test_unit_balls():
    volumes = [math.exp(log_unit_ball_volume(d)) for d in (1, 2, 3)]
    assert volumes == pytest.approx([2, math.pi, 4 / 3 * math.pi])


def test_too_few_points_are_refused_with_the_number_needed():
    with pytest.raises(ValueError, match="3 nearest neighbours need at least 4 points, got 3"):
        nearest_neighbors(torch.randn(3, 2), 3)
