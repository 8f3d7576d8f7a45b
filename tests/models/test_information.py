"""Estimators of mutual information and score networks: closed forms, bounds, invariances."""

import math

import pytest
import torch
from torch.nn import functional

from zoo.models.images.information import (
    ESTIMATES,
    NO_PAIR,
    PAIRINGS,
    SCORE_NETWORKS,
    ConcatenatedScore,
    DotProductScore,
    donsker_varadhan,
    infonce,
    information_cap,
    jsd,
)

estimates = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
networks = pytest.mark.parametrize("network", SCORE_NETWORKS.values(), ids=SCORE_NETWORKS)
pairings = pytest.mark.parametrize("pairing", PAIRINGS.values(), ids=PAIRINGS)


def off_diagonal(scores):
    """A square of scores as positives and masked negatives."""
    own = torch.eye(len(scores), dtype=torch.bool)
    return scores.diagonal(), scores.masked_fill(own, NO_PAIR)


@estimates
@pytest.mark.parametrize("score", [0.0, -40.0, 40.0])
def test_scores_that_tell_nothing_apart_give_no_information(estimate, score):
    found = estimate(*off_diagonal(torch.full((6, 6), score, dtype=torch.float64)))
    # The Jensen-Shannon score alone takes the scores as log-odds: only 0 is undecided.
    expected = 0.0 if estimate is not jsd or score == 0 else 2 * math.log(2) - abs(score)
    assert found.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [2, 7, 64])
def test_infonce_reaches_its_cap_and_never_passes_it(count):
    sure = 1e4 * torch.eye(count)
    assert infonce(*off_diagonal(sure)).item() == pytest.approx(math.log(count), abs=1e-6)
    for seed in range(20):
        scores = 9 * torch.randn(count, count, generator=torch.Generator().manual_seed(seed))
        assert infonce(*off_diagonal(scores + 9 * torch.eye(count))) <= math.log(count) + 1e-6


def test_infonce_is_the_cross_entropy_of_picking_the_own_image():
    scores = torch.randn(9, 9)
    expected = math.log(9) - functional.cross_entropy(scores, torch.arange(9))
    assert infonce(*off_diagonal(scores)).item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_jensen_shannon_score_stays_between_nothing_and_its_maximum():
    assert jsd(*off_diagonal(200 * torch.eye(5) - 100)).item() == pytest.approx(2 * math.log(2))
    assert jsd(torch.zeros(5), torch.zeros(5, 3)).item() == pytest.approx(0, abs=1e-6)


def correlated(count, rho):
    """The optimal score log p(y|x)/p(y) of all pairs of a Gaussian of correlation rho."""
    x, noise = torch.randn(2, count, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    left = (y[:, None] - rho * x) ** 2 / (1 - rho**2)
    return -0.5 * (left - y[:, None] ** 2 + math.log(1 - rho**2))


def test_the_bounds_in_nats_come_to_the_information_of_a_gaussian():
    rho, count = 0.7, 3000
    exact = -0.5 * math.log(1 - rho**2)  # 0.337
    scores = off_diagonal(correlated(count, rho))
    assert donsker_varadhan(*scores).item() == pytest.approx(exact, abs=0.05)
    assert infonce(*scores).item() == pytest.approx(exact, abs=0.05)
    few = infonce(*off_diagonal(correlated(count, 0.999)[:8, :8]))
    assert few < math.log(8) < -0.5 * math.log(1 - 0.999**2)  # saturated, as told


def test_the_jensen_shannon_score_is_twice_the_divergence():
    # X = Y, one of two symbols: the mean of both distributions gives 3/8 and 1/8.
    exact = 0.5 * math.log(0.5 / 0.375) + 0.5 * (0.5 * math.log(0.25 / 0.375)
                                                 + 0.5 * math.log(0.25 / 0.125))  # fmt: skip
    agree, differ = math.log(0.5 / 0.25), -1e4  # the optimal log-odds of a pair
    positive, negative = torch.tensor([agree, agree]), torch.tensor([[agree, differ]] * 2)
    assert jsd(positive, negative).item() == pytest.approx(2 * exact, abs=1e-6)
    assert 2 * exact < 2 * math.log(2)


def test_what_may_be_added_to_scores_unnoticed():
    scores = torch.randn(6, 6, dtype=torch.float64)
    per_code = torch.randn(6, 1, dtype=torch.float64)
    same = infonce(*off_diagonal(scores + per_code))
    assert torch.allclose(same, infonce(*off_diagonal(scores)))
    same = donsker_varadhan(*off_diagonal(scores + 5))
    assert torch.allclose(same, donsker_varadhan(*off_diagonal(scores)))
    assert not torch.allclose(jsd(*off_diagonal(scores + 5)), jsd(*off_diagonal(scores)))


@estimates
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_scores_keep_finite_values_and_gradients(estimate, size):
    scores = (size * torch.eye(4)).requires_grad_()
    found = estimate(*off_diagonal(scores))
    found.backward()
    assert found.isfinite()
    assert scores.grad.isfinite().all()


@estimates
def test_a_badly_wrong_score_still_has_a_gradient(estimate):
    # log(sigmoid + 1e-6) stops pulling at 13.8; here every estimator must go on.
    scores = (-60 * torch.eye(4)).requires_grad_()
    estimate(*off_diagonal(scores)).backward()
    assert (scores.grad.diagonal() > 0.01).all()


@estimates
def test_an_example_is_no_negative_of_itself_however_low_the_others_are(estimate):
    scores = torch.full((4, 4), -50.0)
    own = torch.randn(4)
    positive, negative = own, off_diagonal(scores)[1].requires_grad_()
    estimate(positive, negative).backward()
    # A mask of -10 in place of -inf would win over scores of -50.
    assert (negative.grad.diagonal() == 0).all()
    assert negative.grad[0, 1] != 0


@networks
@pairings
def test_every_score_is_of_the_pair_it_says(network, pairing):
    torch.manual_seed(0)
    score = network(3, 2, 8).double()
    features, codes = torch.randn(4, 5, 3).double(), torch.randn(5, 2).double()
    positive, negative = pairing(score, features, codes)

    def of(place, feature, code):
        found = score.paired(*score.embed(features[place, feature, None], codes[code, None]))
        return found.squeeze()

    assert positive.shape == (4, 5)
    everywhere = pairing is PAIRINGS["all_locations"]
    negative = negative.expand(4, *negative.shape[-2:])
    for code in range(5):
        assert torch.allclose(positive[2, code], of(2, code, code))
        others = {round(value, 9) for value in negative[2, code].tolist() if value != NO_PAIR}
        true = {
            round(of(place, other, code).item(), 9)
            for place in (range(4) if everywhere else [2])
            for other in range(5)
            if other != code
        }
        assert others <= true
        assert (
            len(others)
            == {"all_pairs": 4, "all_locations": 16, "derangement": 1}[pairing.__name__]
        )
        assert information_cap(negative)[2, code] == pytest.approx(math.log(1 + len(others)))


@networks
@estimates
def test_all_locations_of_one_location_are_all_pairs(network, estimate):
    torch.manual_seed(0)
    score = network(3, 2, 8).double()
    codes = torch.randn(5, 2).double()
    for shape in ((5, 3), (1, 5, 3)):
        features = torch.randn(shape).double()
        found = [
            estimate(*PAIRINGS[name](score, features, codes))
            for name in ("all_pairs", "all_locations")
        ]
        assert torch.allclose(*found)
        assert found[0].shape == found[1].shape == shape[:-2]


@networks
@estimates
def test_with_two_examples_all_kinds_of_negatives_agree(network, estimate):
    torch.manual_seed(0)
    score = network(3, 2, 8)
    features, codes = torch.randn(2, 3), torch.randn(2, 2)
    found = [estimate(*pairing(score, features, codes)) for pairing in PAIRINGS.values()]
    assert torch.allclose(torch.stack(found), found[0], atol=1e-6)


def test_the_concatenated_network_sees_the_code_then_the_features():
    score = ConcatenatedScore(3, 2, 8)
    features, codes = torch.randn(5, 3), torch.randn(5, 2)
    plain = score.rest(score.input(torch.cat([codes, features], 1))).squeeze(1)
    assert torch.allclose(score.paired(*score.embed(features, codes)), plain, atol=1e-6)


@networks
def test_scores_do_not_depend_on_who_else_is_in_the_batch(network):
    score = network(3, 2, 8).train()  # a batch norm would tell positives by their batch
    features, codes = torch.randn(6, 3), torch.randn(6, 2)
    whole = score.matrix(*score.embed(features, codes))
    part = score.matrix(*score.embed(features[:3], codes[:3]))
    assert torch.allclose(whole[:3, :3], part, atol=1e-6)


def test_dot_products_start_at_the_scale_of_one():
    torch.manual_seed(0)
    score = DotProductScore(64, 32, 512)
    scores = score.matrix(*score.embed(torch.randn(50, 64), torch.randn(50, 32)))
    assert scores.abs().max() < 8
