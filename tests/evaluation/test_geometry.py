"""What the geometry says of codes whose shape is known."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from zoo.errors import UsageError
from zoo.evaluation.geometry import table
from zoo.evaluation.geometry.codes import Codes
from zoo.evaluation.geometry.statistics.distances import WIDTHS, mmd
from zoo.evaluation.geometry.statistics.moments import moments, radius
from zoo.evaluation.geometry.statistics.normality import kolmogorov_smirnov, normality
from zoo.evaluation.geometry.statistics.overlap import (
    balls,
    bhattacharyya,
    coverage,
    hole_threshold,
    holes,
    interpolation,
)
from zoo.evaluation.geometry.statistics.paths import drift, walks
from zoo.evaluation.geometry.survey import survey
from zoo.evaluation.geometry.table import DIAGNOSTICS, GROUPS
from zoo.evaluation.geometry.tools import Tools
from zoo.evaluation.geometry.verdict import FINDINGS, verdict

N = 500


def normal(count, size):
    return torch.randn(count, size, dtype=torch.float64)


def hole(count):
    points = normal(4 * count, 2)
    outside = (points - torch.tensor([1.0, 0.0])).norm(dim=1) > 0.85
    return points[outside][:count]


def ring(count):
    directions = torch.nn.functional.normalize(normal(count, 2))
    return directions * (1.4 + 0.1 * normal(count, 1))


def off_centre(count):
    return normal(count, 2) + torch.tensor([1.5, 0.0])


def dead(count):
    return normal(count, 3) * torch.tensor([1.0, 0.02, 1.0])


CLOUDS = {
    "nothing": (lambda count: normal(count, 2), "indistinguishable", set()),
    "nothing in 16 dimensions": (lambda count: normal(count, 16), "indistinguishable", set()),
    "holes": (hole, "close", {"holes"}),
    "ring": (ring, "far", {"ring"}),
    "line": (lambda count: normal(count, 1) + 0.05 * normal(count, 2), "far", {"line"}),
    "off-centre": (off_centre, "far", {"off-centre"}),
    "dead": (dead, "far", {"dead"}),
    "wide": (lambda count: 3 * normal(count, 2), "far", {"wide"}),
    "narrow": (lambda count: 0.3 * normal(count, 2), "far", {"narrow"}),
}
PLANTED = set(CLOUDS) - {"nothing", "nothing in 16 dimensions"}


def tools(seed=0, **networks):
    return Tools(torch.Generator().manual_seed(seed), **networks)


def codes_of(cloud, count=N):
    points = cloud(2 * count)
    return Codes.of_points(points[:count], points[count:])


@pytest.fixture
def few_replicates(monkeypatch):
    """A band of few N(0, I) samples, for speed."""
    from dataclasses import replace

    for name, group in GROUPS.items():
        monkeypatch.setitem(table.GROUPS, name, replace(group, replicates=4))


@pytest.mark.usefixtures("few_replicates")
class TestVerdicts:
    @pytest.mark.parametrize("name", CLOUDS)
    def test_a_planted_defect_is_named_and_no_other_defect_is(self, name):
        torch.manual_seed(4)
        cloud, _closeness, expected = CLOUDS[name]
        found = verdict(survey(codes_of(cloud)))
        named = set(found.findings)
        assert expected <= named, found.paragraph
        # A ring has a hole in its middle, and so on: what follows from the defect may be named.
        assert named & PLANTED <= expected | {"holes"}, found.paragraph
        assert bool(expected) == (found.closeness != "indistinguishable")
        if not expected:
            assert not named

    def test_an_ideal_encoder_with_noise_is_judged_by_samples_not_means(self):
        torch.manual_seed(5)
        mean, log_var = 0.7**0.5 * normal(N, 2), torch.full((N, 2), math.log(0.3))
        codes = Codes.of_posteriors(mean, log_var, normal(N, 2), torch.Generator())
        found = survey(codes)
        assert verdict(found).findings == ()
        assert found["law_error"].value < 0.2
        assert found["rate"].value == pytest.approx(-math.log(0.3), abs=0.15)
        assert found["marginal_kl"].value == pytest.approx(0, abs=0.1)
        points = survey(Codes.of_points(mean, 0.7**0.5 * normal(N, 2)))
        assert "narrow" in verdict(points).findings

    def test_small_effects_are_no_findings_however_small_their_p_value(self):
        torch.manual_seed(6)
        found = survey(codes_of(lambda count: normal(count, 2) + 0.15, 1200))
        assert found["ks_dims"].p_value < 0.01
        assert verdict(found).findings == ()

    def test_a_dimension_of_no_rate_is_dead(self):
        mean, log_var = normal(N, 2), torch.full((N, 2), -2.0)
        mean[:, 1], log_var[:, 1] = 0, 0
        found = survey(Codes.of_posteriors(mean, log_var, normal(N, 2), torch.Generator()))
        assert found["silent_dims"].value == 1
        assert found["active_units"].value == 1
        assert "1 of 2 dimensions say nothing about the image (1)" in verdict(found).paragraph

    def test_information_at_its_cap_is_only_a_lower_bound(self):
        mean, log_var = normal(N, 8), torch.full((N, 8), -4.0)
        found = survey(Codes.of_posteriors(mean, log_var, normal(N, 8), torch.Generator()))
        assert found["mutual_information"].value == pytest.approx(math.log(N), abs=0.05)
        assert "at least" in verdict(found).paragraph

    def test_every_statistic_has_its_n_d_seed_and_band(self):
        found = survey(codes_of(lambda count: normal(count, 3), 60), seed=9)
        assert set(found.statistics) | set(found.undefined) == set(DIAGNOSTICS)
        for statistic in found.statistics.values():
            said = statistic.as_dict()
            assert (said["d"], said["seed"], said["replicates"]) == (3, 9, 4)
            assert said["n"] > 0
            assert said["band"][0] <= said["band"][1]
            keys = list(said)
            assert keys.index("value") < keys.index("band") < keys.index("p_value")
        assert "Gaussian noise" in found.undefined["rate"]
        assert "no model" in found.undefined["drift_ratio"]

    def test_a_seed_names_the_survey(self):
        codes = codes_of(lambda count: normal(count, 2), 60)
        first, again, other = (survey(codes, seed=seed) for seed in (1, 1, 2))
        assert first.statistics == again.statistics
        assert first["mmd"].value != other["mmd"].value


def test_findings_that_explain_others_exist():
    names = {finding.name for finding in FINDINGS}
    assert {name for finding in FINDINGS for name in finding.unless} <= names
    assert names >= PLANTED


def test_the_ball_of_a_point_is_as_wide_as_the_way_to_its_fifth_neighbour():
    points = normal(80, 3)
    codes = Codes.of_points(points, normal(80, 3))
    distance = torch.cdist(points, points).sort(dim=1).values[:, 5]
    widths = (0.5 * codes.log_var).exp()
    assert torch.allclose(widths, (distance / 3**0.5)[:, None].expand_as(widths), atol=1e-5)
    assert "5th nearest other code" in codes.bandwidth


def test_coincident_points_keep_a_ball():
    codes = Codes.of_points(torch.zeros(60, 2), torch.zeros(60, 2))
    assert codes.density.log_prob(codes.held_out).isfinite().all()


@pytest.mark.parametrize(
    "points", [normal(10, 2), torch.full((60, 2), math.nan)], ids=["few", "not finite"]
)
def test_codes_that_cannot_be_judged_are_refused(points):
    with pytest.raises(UsageError):
        Codes.of_points(points, normal(60, 2))


@pytest.mark.parametrize("stochastic", [True, False])
def test_the_reference_is_a_standard_normal_sample_of_the_same_shape(stochastic):
    mean, held_out = 5 + 3 * normal(3000, 2), normal(100, 2)
    codes = Codes.of_points(mean, held_out)
    if stochastic:
        log_var = torch.full((3000, 2), -1.0)
        log_var[:, 1] = 0.5  # wider than the prior
        codes = Codes.of_posteriors(mean, log_var, held_out, torch.Generator())
    reference = codes.reference(torch.Generator().manual_seed(1))
    assert reference.samples.shape == mean.shape
    assert reference.held_out.shape == held_out.shape
    if stochastic:
        assert torch.equal(reference.log_var[:, 0], codes.log_var[:, 0])
    assert torch.allclose(torch.cov(reference.samples.T), torch.eye(2).double(), atol=0.1)
    assert reference.samples.mean(0).abs().max() < 0.1


def test_mmd_is_the_sum_over_pairs_with_widths_fixed_by_the_prior():
    first, second = 3 * normal(30, 4), normal(30, 4)

    def kernel(a, b):
        squares = torch.cdist(a, b).square()
        return sum(8 * c / (8 * c + squares) for c in WIDTHS)  # 2 d = 8, whatever the sample

    off = ~torch.eye(30, dtype=torch.bool)
    expected = (
        kernel(first, first)[off].mean()
        + kernel(second, second)[off].mean()
        - 2 * kernel(first, second).mean()
    )
    value, p_value = mmd(first, second, 99, torch.Generator())
    assert value == pytest.approx(expected.item(), abs=1e-5)
    assert p_value == pytest.approx(0.01)
    assert mmd(normal(60, 2), normal(60, 2), 99, torch.Generator())[1] > 0.02


def test_ks_is_scipys_and_whole_codes_of_the_prior_pass():
    columns = normal(300, 2).numpy()
    for column, *ours in zip(columns.T, *kolmogorov_smirnov(columns), strict=True):
        assert ours == [*stats.kstest(column, "norm", method="asymp")]
    found = normality(codes_of(lambda count: normal(count, 3)), tools())
    assert found["ks_lines"].p_value > 0.01
    assert found["sliced_wasserstein"].value < 0.15


def test_sliced_wasserstein_of_a_shift_is_its_length_over_the_root_of_d():
    found = normality(codes_of(lambda count: normal(count, 4) + 3), tools())
    assert found["sliced_wasserstein"].value == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize(("size", "mean"), [(2, 1.25), (16, 3.94), (64, 7.97)])
def test_radii_of_prior_codes_are_those_of_chi(size, mean):
    assert stats.chi(size).mean() == pytest.approx(mean, abs=0.005)
    found = radius(codes_of(lambda count: normal(count, size)), tools())
    assert found["radius"].value == pytest.approx(1, abs=0.05)
    assert found["radius_ks"].p_value > 0.001


def test_moments_follow_the_law_of_total_variance():
    mean, log_var = 0.8 * normal(4000, 2), torch.full((4000, 2), math.log(0.36))
    found = moments(Codes.of_posteriors(mean, log_var, normal(60, 2), torch.Generator()), tools())
    assert found["law_error"].value < 0.1
    assert found["variance"].value == pytest.approx(1, abs=0.1)


def test_overlap_is_bhattacharyyas_integral():
    line = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    first, second = stats.norm(0.3, 0.7), stats.norm(-1, 1.9)
    expected = np.trapezoid(np.sqrt(first.pdf(line) * second.pdf(line)), line)
    tensors = [torch.tensor([[value]]).double() for value in (0.3, 0.7, -1, 1.9)]
    found = bhattacharyya(tensors[0], 2 * tensors[1].log(), tensors[2], 2 * tensors[3].log())
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_distant_balls_do_not_overlap_and_equal_ones_do():
    apart = 100 * torch.arange(60.0)[:, None].double()
    log_var = torch.zeros(60, 1).double()
    far = Codes(apart, log_var, apart, apart, True)
    assert balls(far, tools())["overlap"].value == pytest.approx(0, abs=1e-12)
    near = Codes(0 * apart, log_var, apart, apart, True)
    assert balls(near, tools())["overlapping"].value == 1


def test_holes_are_measured_on_held_out_codes_only():
    codes = codes_of(lambda count: normal(count, 2))
    log_density = codes.density.log_prob(codes.held_out)
    assert (log_density < hole_threshold(codes)).double().mean() == pytest.approx(0.01, abs=0.002)
    # An encoding vouches for itself: on its own codes the mixture looks denser than it is.
    own = torch.arange(codes.count)
    assert (
        codes.density.log_prob(codes.mean).mean()
        > codes.density.log_prob(codes.mean, own).mean() + 0.1
    )
    assert holes(codes, tools())["holes"].value < 0.03
    assert holes(codes_of(hole), tools())["holes"].value > 0.05


def test_coverage_of_prior_codes_is_compared_with_that_of_held_out_codes():
    found = coverage(codes_of(ring), tools())
    assert found["coverage"].value < 0.7
    assert found["coverage_held_out"].value > 0.95


def test_the_straight_way_shrinks_the_norm_and_the_arc_keeps_it():
    codes = codes_of(ring)
    found = interpolation(codes, tools())
    assert found["dip_linear"].value > 3  # through the empty middle
    assert found["dip_slerp"].value < 1


def test_drift_is_none_where_encoder_and_decoder_are_inverse():
    codes = codes_of(lambda count: 2 * normal(count, 2), 60)
    found = drift(codes, tools(decode=lambda z: z, encode=lambda x: x))
    assert found["drift_prior"].value == pytest.approx(0, abs=1e-6)
    lost = drift(codes, tools(decode=lambda z: z, encode=lambda x: 0 * x))
    assert lost["drift_ratio"].value == pytest.approx(0.5, abs=0.15)


def test_a_linear_decoder_makes_the_straight_way_even_and_the_arc_longer():
    codes = codes_of(lambda count: normal(count, 4), 60)
    found = walks(codes, tools(decode=lambda z: z[:, :, None, None]))
    assert found["step_ratio_linear"].value == pytest.approx(1, abs=1e-5)
    assert found["path_slerp"].value > found["path_linear"].value
