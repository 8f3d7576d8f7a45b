import math

import pytest
import torch

from zoo.errors import UsageError
from zoo.evaluation.metrics import fidelity
from zoo.evaluation.metrics.fidelity import frechet, neighborhoods

N, D = 400, 5


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(1)
    mixing = torch.randn(D, D, generator=generator, dtype=torch.float64)
    return torch.randn(N, D, generator=generator, dtype=torch.float64) @ mixing


@pytest.fixture
def others():
    generator = torch.Generator().manual_seed(2)
    return 1.5 * torch.randn(N + 7, D, generator=generator, dtype=torch.float64) + 0.3


def whitened(points):
    """Points with mean 0 and covariance I exactly."""
    centered = points - points.mean(0)
    return torch.linalg.svd(centered, full_matrices=False)[0] * math.sqrt(len(points) - 1)


def test_frechet_of_equal_sets_is_zero(points):
    assert frechet(points, points) == pytest.approx(0, abs=1e-10)
    assert frechet(points, points[torch.randperm(N)]) == pytest.approx(0, abs=1e-10)


def test_frechet_of_shifted_and_scaled_gaussians_has_its_closed_form(points):
    first = whitened(points)
    scales = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.0], dtype=torch.float64)
    shift = torch.arange(D, dtype=torch.float64)
    # ||shift||^2 + sum (1 - s)^2, a singular covariance included
    expected = shift.square().sum() + (1 - scales).square().sum()
    assert frechet(first, first * scales + shift) == pytest.approx(expected.item(), rel=1e-10)


def test_frechet_equals_the_eigenvalue_form(points, others):
    covariances = [points.T.cov(), others.T.cov()]
    eigenvalues = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0)
    expected = (
        (points.mean(0) - others.mean(0)).square().sum()
        + covariances[0].trace()
        + covariances[1].trace()
        - 2 * eigenvalues.sqrt().sum()
    )
    assert frechet(points, others) == pytest.approx(expected.item(), rel=1e-9)


def test_frechet_is_symmetric_and_blind_to_rotation_and_translation(points, others):
    rotation = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64))[0]
    value = frechet(points, others)
    assert value > 0.1
    assert frechet(others, points) == pytest.approx(value, rel=1e-10)
    assert frechet(points @ rotation + 9, others @ rotation + 9) == pytest.approx(value, rel=1e-9)


def test_frechet_is_not_negative_with_fewer_points_than_dimensions():
    first, second = torch.randn(2, 4, 30, dtype=torch.float64)
    assert frechet(first, first) == pytest.approx(0, abs=1e-10)
    assert frechet(first, second) > 1


def test_frechet_grows_with_the_square_of_the_scale(points, others):
    assert frechet(3 * points, 3 * others) == pytest.approx(9 * frechet(points, others), rel=1e-9)


def test_identical_sets_are_precise_complete_and_covered(points):
    found = neighborhoods(points, points.clone())
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # each point lies in its own ball and, on average, in those of k others
    assert found.density == pytest.approx((5 + 1) / 5)


def test_identical_sets_of_coincident_points_are_precise_too():
    points = torch.randn(3, D, dtype=torch.float64).repeat_interleave(20, 0) * 50 + 1000
    found = neighborhoods(points, points.clone())
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_far_samples_are_neither_precise_nor_cover(points, others):
    found = neighborhoods(points, others + 1000)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_dropping_a_mode_costs_recall_and_coverage_but_not_precision():
    generator = torch.Generator().manual_seed(0)
    centers = 30 * torch.eye(4, D, dtype=torch.float64)

    def draw(modes, count):
        noise = torch.randn(count, D, generator=generator, dtype=torch.float64)
        return centers[:modes].repeat(count // modes, 1) + noise

    real = draw(4, 400)
    every, dropped = neighborhoods(real, draw(4, 400)), neighborhoods(real, draw(2, 400))
    assert dropped.precision == pytest.approx(every.precision, abs=0.05)
    assert dropped.recall == pytest.approx(every.recall / 2, abs=0.1)
    assert dropped.coverage == pytest.approx(every.coverage / 2, abs=0.1)


def test_exchanging_the_sets_exchanges_precision_and_recall(points, others):
    there, back = neighborhoods(points, others), neighborhoods(others, points)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_an_outlier_does_not_buy_coverage(points):
    sample = torch.full((50, D), 30.0, dtype=torch.float64) + torch.randn(50, D).double()
    real = torch.cat([points, torch.full((1, D), 30.0, dtype=torch.float64)])
    found = neighborhoods(real, sample)
    assert found.precision == 1
    assert found.coverage < 0.02


def test_neighborhoods_equal_the_definition(points, others):
    found = neighborhoods(points, others, num_neighbors=3)
    distances = torch.cdist(others, points, compute_mode="donot_use_mm_for_euclid_dist")

    def radii(x):
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort(1)[0][:, 3]

    in_real, in_other = distances <= radii(points), distances <= radii(others)[:, None]
    assert found.precision == pytest.approx(in_real.any(1).double().mean().item())
    assert found.recall == pytest.approx(in_other.any(0).double().mean().item())
    assert found.density == pytest.approx(in_real.sum().item() / (3 * len(others)))
    assert found.coverage == pytest.approx(in_real.any(0).double().mean().item())


def test_too_few_points_for_the_neighbours_are_refused():
    with pytest.raises(UsageError, match="num_neighbors is 5"):
        neighborhoods(torch.randn(5, D), torch.randn(9, D))


@pytest.fixture
def with_classifier(make_model, monkeypatch, tmp_path):
    """A saved tiny classifier; gives its folder and counts how often it runs."""
    classifier = make_model("classifier")
    folder = tmp_path / "classifier"
    classifier.save_pretrained(folder)
    calls = []
    original = type(classifier).features

    def features(self, pixel_values):
        calls.append(len(pixel_values))
        return original(self, pixel_values)

    monkeypatch.setattr(type(classifier), "features", features)
    return str(folder), calls


METRIC_NAMES = ["frechet_distance", "precision", "recall", "density", "coverage"]


def test_five_metrics_share_one_pass_over_the_features(subject, with_classifier):
    folder, calls = with_classifier
    one = subject("eae")
    outcomes = [getattr(fidelity, n)(one, features=folder, num_images=40) for n in METRIC_NAMES]
    assert sum(calls) == 3 * 40  # images, samples, train images
    assert all(outcome.floor is not None for outcome in outcomes)
    assert all(outcome.options["num_images"] == 40 for outcome in outcomes)
    assert outcomes[0].floor < outcomes[0].value


def test_fidelity_is_deterministic_and_depends_on_the_seed(subject, with_classifier):
    folder, _ = with_classifier

    def measure(seed):
        return fidelity.frechet_distance(subject("vae", seed=seed), features=folder, num_images=40)

    assert measure(3) == measure(3)
    assert measure(3).value != measure(4).value


def test_counts_are_cut_to_what_the_splits_hold(subject, with_classifier):
    folder, _ = with_classifier
    outcome = fidelity.coverage(subject("ae"), features=folder)
    assert outcome.options["num_images"] == 60


def test_the_floor_on_the_train_split_compares_two_halves(subject, with_classifier):
    folder, _ = with_classifier
    outcome = fidelity.frechet_distance(subject("ae", split="train"), features=folder)
    assert outcome.options["num_images"] == 40
    assert outcome.floor > 0


def test_samples_are_8_bit_with_blank_padding(subject):
    from zoo.evaluation.metrics.features import draw

    one = subject("vae")
    pixels = draw(one, 5, {"sampler": "prior", "temperature": 1.0})
    assert pixels.dtype == torch.uint8
    assert one.context.processor.crop_padding(pixels).any()
    assert not pixels[..., :2, :].any()
    assert not pixels[..., -2:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "mixture"}, "mixture sampler"),
        ({"sampler": "prio"}, "sampler must be"),
        ({"num_images": 1}, "num_images"),
    ],
)
def test_impossible_requests_are_refused(subject, with_classifier, options, message):
    with pytest.raises(UsageError, match=message):
        fidelity.frechet_distance(subject("ae"), features=with_classifier[0], **options)


def test_a_data_set_without_features_asks_for_them(subject):
    with pytest.raises(UsageError, match="features"):
        fidelity.recall(subject("ae"))


def test_features_of_another_size_and_models_that_are_no_classifier_are_refused(
    subject, make_model, tmp_path
):
    make_model("classifier", image_size=32).save_pretrained(tmp_path / "large")
    make_model("ae").save_pretrained(tmp_path / "ae")
    with pytest.raises(UsageError, match="32"):
        fidelity.recall(subject("ae"), features=str(tmp_path / "large"))
    with pytest.raises(UsageError, match="not a classifier"):
        fidelity.recall(subject("ae"), features=str(tmp_path / "ae"))


def test_an_energy_is_measured_by_its_own_sampler_and_chains_are_walked_once(
    subject, with_classifier, monkeypatch
):
    folder, _ = with_classifier
    one = subject("mdsm", seed=3)
    kind, walks = type(one.model), []
    original = kind.undenoised

    def undenoised(self, count, **options):
        walks.append(count)
        return original(self, count, **options)

    monkeypatch.setattr(kind, "undenoised", undenoised)
    found = [
        fidelity.frechet_distance(one, features=folder, num_images=20, jump=jump)
        for jump in (None, False, True)
    ]
    assert walks == [20]
    schedule = {"sampler": "langevin", "steps": 4, "jump": True}
    assert found[0].options == schedule | {"features": folder, "num_images": 20}
    assert [outcome.options["jump"] for outcome in found] == [True, False, True]
    assert found[0].value == found[2].value != found[1].value
    assert fidelity.recall(one, features=folder, num_images=20).options["steps"] == 4
    assert walks == [20]


def test_chains_are_fewer_unless_a_number_is_given(subject, with_classifier, monkeypatch):
    monkeypatch.setattr(fidelity, "CHAINED", 9)
    folder, _ = with_classifier
    for sampler, count in (("langevin", 9), ("generator", 60)):
        outcome = fidelity.coverage(subject("dde"), features=folder, sampler=sampler)
        assert outcome.options["num_images"] == count


@pytest.mark.parametrize("sampler", ["generator", "langevin"])
def test_samples_of_an_energy_are_those_of_its_seed(subject, sampler, monkeypatch):
    from zoo.evaluation.metrics import features
    from zoo.plots import to_uint8

    one = subject("dde", seed=2)
    for jump in (False, True):
        options = one.model.sampling_options(sampler=sampler, jump=jump)
        expected = one.model.sample(7, sampler=sampler, jump=jump, seed=2)
        drawn = features.draw(one, 7, options)
        inside = one.context.processor.crop_padding
        assert torch.equal(inside(drawn), inside(to_uint8(expected)))


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("ae", {"steps": 3}, "steps: this model draws from codes"),
        ("ae", {"jump": True}, "jump: this model draws from codes"),
        ("dde", {"steps": 3}, "steps: a generator has none"),
        ("dde", {"sampler": "prior"}, "sampler must be"),
        ("mdsm", {"sampler": "generator"}, "sampler must be"),
        ("mdsm", {"jump": "yes"}, "jump must be true or false"),
        ("mdsm", {"steps": 0}, "steps must be"),
    ],
)
def test_options_of_another_kind_of_model_are_refused(
    subject, with_classifier, architecture, options, message
):
    with pytest.raises(UsageError, match=message):
        fidelity.coverage(subject(architecture), features=with_classifier[0], **options)


def test_a_model_without_padding_is_read_by_a_classifier_with_it(
    image_folder, make_model, with_classifier, processor
):
    from zoo.evaluation.metrics.features import reader_of
    from zoo.evaluation.subject import Context, Subject
    from zoo.models import GenaeImageProcessor

    folder, _ = with_classifier
    padded = Subject(Context(make_model("dde"), processor, quiet=True), str(image_folder), "test")
    bare = GenaeImageProcessor(num_channels=1, size=processor.size)
    model = make_model("dde", image_size=processor.size)
    plain = Subject(Context(model, bare, quiet=True), str(image_folder), "test")
    with pytest.raises(UsageError, match="12 x 12"):  # nobody says what frame the classifier knows
        reader_of(plain, folder)
    processor.save_pretrained(folder)
    framed = reader_of(plain, folder).frame(plain.images.pixels)
    assert torch.equal(framed, padded.images.pixels)
    outcome = fidelity.frechet_distance(plain, features=folder, num_images=30)
    expected = fidelity.frechet_distance(padded, features=folder, num_images=30)
    assert outcome.floor == expected.floor
    other = GenaeImageProcessor(num_channels=1, size=10, pad_size=16)
    other.save_pretrained(folder)
    plain = Subject(Context(model, bare, quiet=True), str(image_folder), "test")
    with pytest.raises(UsageError, match="same size"):
        reader_of(plain, folder)
