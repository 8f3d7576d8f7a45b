import pytest
import torch
from torch import nn

from zoo.errors import UsageError
from zoo.evaluation.metrics.entropy_gap import entropy_gap

D = 8


class Codes(nn.Module):
    """Stands in for a model whose code of image i is row i of a table, in any order."""

    def __init__(self, codes):
        super().__init__()
        self.codes = codes

    def encode(self, pixel_values):
        return self.codes[(pixel_values[:, 0, 0, 0] * 255).round().long() +
                          256 * (pixel_values[:, 0, 0, 1] * 255).round().long()]  # fmt: skip


def subject_of(codes):
    """A subject whose images are numbered in their first two pixels."""
    from types import SimpleNamespace

    from zoo.evaluation.subject import Context, Subject

    numbers = torch.arange(len(codes))
    pixels = torch.zeros(len(codes), 1, 2, 2, dtype=torch.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = numbers % 256, numbers // 256
    context = Context(Codes(codes), None, quiet=True)
    context.images = lambda *_: SimpleNamespace(pixels=pixels)
    return Subject(context, "numbers", "test", seed=5)


def test_the_gap_of_normal_codes_is_about_zero():
    outcome = entropy_gap(subject_of(torch.randn(4000, D)))
    assert outcome.value == pytest.approx(0, abs=0.15)
    assert outcome.options["num_batches"] == 4


def test_the_gap_of_correlated_codes_is_strongly_negative():
    base = torch.randn(2000, D)
    codes = 0.95**0.5 * base[:, :1] + 0.05**0.5 * base
    assert entropy_gap(subject_of(codes)).value < -5


def test_scaling_the_codes_adds_d_log_scale():
    codes = torch.randn(2000, D)
    gap = entropy_gap(subject_of(codes)).value
    scaled = entropy_gap(subject_of(2 * codes)).value
    assert scaled - gap == pytest.approx(D * torch.tensor(2.0).log().item(), abs=1e-4)


def test_coincident_codes_give_a_finite_gap():
    assert -1000 < entropy_gap(subject_of(torch.zeros(300, D))).value < -50


def test_batches_are_cut_to_the_images_and_repeat_with_the_seed(subject):
    first = entropy_gap(subject("eae"))
    assert (first.options["batch_size"], first.options["num_batches"]) == (60, 1)
    assert first == entropy_gap(subject("eae"))
    assert first.value != entropy_gap(subject("eae", seed=1)).value


def test_posterior_samples_have_more_entropy_than_means(subject):
    means, samples = (entropy_gap(subject("vae"), codes=c).value for c in ("mean", "sample"))
    assert samples > means


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("ae", {"codes": "sample"}, "posterior"),
        ("ae", {"codes": "median"}, "codes must be"),
        ("ae", {"batch_size": 1}, "batch_size"),
        ("ae", {"num_neighbors": 60, "batch_size": 100}, "60"),
        ("ae", {"num_batches": 0}, "num_batches"),
    ],
)
def test_impossible_requests_are_refused(subject, architecture, options, message):
    with pytest.raises(UsageError, match=message):
        entropy_gap(subject(architecture), **options)
