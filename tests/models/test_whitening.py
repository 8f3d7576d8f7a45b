"""`zoo.Whitening`: its closed form, what it must do to vectors, and what it refuses."""

import numpy as np
import pytest
import safetensors.torch
import torch

import zoo
from zoo.errors import UsageError


def vectors(number=200, size=6, seed=0):
    """Random ones, correlated, away from 0, with variances far apart."""
    draws = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-2, 1, size)
    turn = torch.linalg.qr(torch.randn(size, size, generator=draws)).Q
    return torch.randn(number, size, generator=draws) * scales @ turn + 3


@pytest.mark.parametrize("dimensions", [None, 1, 4])
def test_whitened_vectors_have_mean_0_and_covariance_1(dimensions):
    given = vectors()
    found = zoo.Whitening.fit(given, dimensions)(given)
    size = dimensions or 6
    assert found.shape == (200, size)
    assert found.mean(0).abs().max() < 1e-3
    assert (found.T.cov().reshape(size, size) - torch.eye(size)).abs().max() < 1e-3


def test_it_is_what_the_authors_compute():
    """Their published code: `compute_kernel_bias`, up to the sign of each direction."""
    given = vectors().double()
    array = given.numpy()
    u, s, _ = np.linalg.svd(np.cov(array.T))
    kernel = np.linalg.inv(np.dot(u, np.diag(s**0.5)).T)[:, :3]
    wanted = torch.from_numpy((array - array.mean(0)) @ kernel)
    found = zoo.Whitening.fit(array, 3)(given).double()
    signs = (found * wanted).sum(0).sign()
    assert (found * signs - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_the_directions_kept_are_those_of_most_variance():
    given = torch.diag(torch.tensor([1.0, 3.0, 2.0]))
    given = torch.cat([given, -given])
    matrix = zoo.Whitening.fit(given).matrix
    assert matrix.abs().argmax(0).tolist() == [1, 2, 0]
    less = zoo.Whitening.fit(given, 2).matrix
    assert torch.equal(less, matrix[:, :2])


def test_turning_and_scaling_vectors_leaves_cosines_as_they_are():
    given, other = vectors(), vectors(seed=1)
    turned = 5 * given @ torch.linalg.qr(other[:6]).Q + 2
    first, second = (zoo.Whitening.fit(one)(one, normalized=True) for one in (given, turned))
    assert (first.norm(dim=-1) - 1).abs().max() < 1e-5
    assert (first @ first.T - second @ second.T).abs().max() < 1e-3


def test_safetensors_keeps_it(tmp_path):
    whitening = zoo.Whitening.fit(vectors(), 2)
    file = tmp_path / "whitening.safetensors"
    safetensors.torch.save_file(vars(whitening), file)
    again = zoo.Whitening(**safetensors.torch.load_file(file))
    assert torch.equal(again(vectors(seed=3)), whitening(vectors(seed=3)))


def test_vectors_of_texts_are_whitened():
    texts = [f"{a} {b}" for a in "天气好我你他" for b in "abc的一是"]
    found = zoo.embed("genae/tiny-simbert", texts)
    white = zoo.Whitening.fit(found, 8)(found)
    assert (white.T.cov() - torch.eye(8)).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("given", "dimensions", "message"),
    [
        (torch.zeros(3), None, r"\(number, size\); got torch.float32 of shape \(3,\)"),
        (torch.zeros(3, 2, dtype=torch.long), None, "floating-point numbers"),
        (torch.zeros(1, 2), None, "two vectors or more"),
        (torch.full((3, 2), torch.nan), None, "infinite numbers or NaN"),
        (vectors(), 0, "dimensions must be 1 to 6, got 0"),
        (vectors(), 7, "dimensions must be 1 to 6, got 7"),
        (vectors(4), None, "the 4 vectors vary in 3 directions.*keep 3 or fewer"),
        (torch.ones(4, 2), 1, "vary in 0 directions.*they are equal"),
    ],
)
def test_what_it_cannot_be_fitted_on(given, dimensions, message):
    with pytest.raises(UsageError, match=message):
        zoo.Whitening.fit(given, dimensions)


def test_vectors_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"vectors of 3 numbers.*those of 6"):
        zoo.Whitening.fit(vectors())(torch.zeros(2, 3))
