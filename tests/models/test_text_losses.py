"""Losses of heads of fine-tuning: recorded values, sums over all paths, closed forms."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import binary_cross_entropy, cross_entropy, kl_div

from zoo.models.text.crf import crf_loss, memm_loss, memm_losses
from zoo.models.text.heads_half_pointer import power_loss
from zoo.models.text.losses_multilabel import (
    multilabel_cross_entropy,
    pointer_loss,
    sparse_multilabel_cross_entropy,
    sparse_pointer_loss,
)
from zoo.models.text.losses_similarity import (
    cosent_loss,
    focal_loss,
    pair_similarities,
    symmetric_kl,
)

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "layers"


def recorded(name):
    """Arrays that bert4keras made."""
    with np.load(RECORDED / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(value) for key, value in arrays.items()}


def near(found, wanted):
    torch.testing.assert_close(found, wanted.to(found), rtol=2e-5, atol=2e-5)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Chains of labels.


@pytest.mark.parametrize("name", ["crf_lr1", "crf_lr100"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_crf_gives_the_recorded_losses(name, dtype):
    given = recorded(name)
    emissions, trans = given["emission"].to(dtype), given["trans"].to(dtype)
    labels, mask = given["labels"], given["mask"]
    near(crf_loss(emissions, trans, labels, mask), given["sparse_loss"])
    near(crf_loss(given["masked_emission"].to(dtype), trans, labels, mask), given["sparse_loss"])
    near(crf_loss(emissions, trans, labels), given["loss_no_mask"])
    assert crf_loss(emissions, trans, labels).dtype == dtype


@pytest.mark.parametrize("name", ["memm_hiddenNone", "memm_hidden3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_memm_gives_the_recorded_losses(name, dtype):
    given = recorded(name)
    left, *right = (given[key].to(dtype) for key in ("w0", "w1") if key in given)
    trans = left @ right[0].T if right else left
    told = given["emission"].to(dtype), trans, given["labels"]
    both = memm_losses(*told, given["mask"])
    near(torch.stack(both), torch.stack([given["forward_loss"], given["backward_loss"]]))
    near(memm_loss(*told, given["mask"]), given["sparse_loss"])
    near(memm_loss(*told), given["loss_no_mask"])


def test_the_probabilities_of_all_paths_sum_to_one():
    emissions, trans = drawn(1, 4, 3), drawn(3, 3, seed=1)
    paths = torch.tensor([*itertools.product(range(3), repeat=4)])
    losses = crf_loss(emissions.expand(len(paths), -1, -1), trans, paths)
    near((-losses).exp().sum(), torch.tensor(1.0))


@pytest.mark.parametrize("loss", [crf_loss, memm_loss])
def test_what_is_hidden_or_not_asked_about_is_stepped_over(loss):
    emissions, trans = drawn(1, 7, 3), drawn(3, 3, seed=1)
    labels = torch.tensor([[2, 0, 1, 1, 0, 2, 1]])
    mask = torch.tensor([[0, 1, 1, 0, 1, 1, 0]])
    kept = mask[0].bool()
    short = loss(emissions[:, kept], trans, labels[:, kept])
    infinite = emissions.masked_fill(~mask[..., None].bool(), -math.inf)
    near(loss(infinite, trans, labels, mask), short)
    near(loss(emissions, trans, labels.masked_fill(~kept, -100)), short)
    nothing = loss(emissions, trans, labels, torch.zeros_like(mask))
    assert not nothing.any()


@pytest.mark.parametrize("loss", [crf_loss, memm_loss])
def test_gradients_of_chains_are_right_with_hidden_positions(loss):
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 0, 0]])
    labels = torch.tensor([[0, 2, 1, 1], [2, 0, -100, 0]])
    # The infinities that a head puts where a token is hidden must not reach gradients.
    hidden = ~mask[..., None].bool()
    assert gradcheck(
        lambda e, t: loss(e.masked_fill(hidden, -math.inf), t, labels, mask).sum(),
        (drawn(2, 4, 3).requires_grad_(), drawn(3, 3, seed=1).requires_grad_()),
    )


def test_long_and_extreme_chains_stay_finite():
    emissions = (1e4 * torch.randn(2, 600, 5)).requires_grad_()
    trans = (1e3 * torch.randn(5, 5)).requires_grad_()
    mask = torch.ones(2, 600).long()
    mask[1, 3:] = 0
    labels = torch.randint(0, 5, (2, 600))
    for loss in (crf_loss, memm_loss):
        found = loss(emissions, trans, labels, mask).sum()
        found.backward()
        assert found.isfinite()
        assert emissions.grad.isfinite().all()
        assert trans.grad.isfinite().all()


def test_half_precision_is_summed_in_single():
    emissions, trans = drawn(1, 300, 4).half(), drawn(4, 4).half()
    labels = torch.randint(0, 4, (1, 300))
    found = crf_loss(emissions, trans, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, crf_loss(emissions.float(), trans.float(), labels))


# Several labels at once, and pointers.


def test_several_labels_give_the_recorded_losses():
    given = recorded("multilabel")
    scores = given["y_pred"]
    for labels, wanted in (("y_true", "loss"), ("soft_true", "soft_loss")):
        near(multilabel_cross_entropy(scores, given[labels]), given[wanted])
    near(multilabel_cross_entropy(given["y_pred_inf"], given["y_true"]), given["loss_inf"])
    near(sparse_multilabel_cross_entropy(scores, given["sparse_true"]), given["sparse_loss"])
    zero = sparse_multilabel_cross_entropy(scores, given["mask_zero_true"], mask_zero=True)
    near(zero, given["mask_zero_loss"])


def test_labels_as_places_are_the_same_labels():
    scores = drawn(4, 9)
    places = torch.tensor([[1, 3], [8, 2], [5, 7], [4, 6]])
    labels = torch.zeros(4, 9).scatter(1, places, 1)
    near(sparse_multilabel_cross_entropy(scores, places), multilabel_cross_entropy(scores, labels))
    # Class 0 left out: the same as if it had no score.
    padded = torch.cat([places, torch.zeros(4, 3).long()], 1)
    without = scores.clone()
    without[:, 0] = -math.inf
    found = sparse_multilabel_cross_entropy(scores, padded, mask_zero=True)
    near(found, multilabel_cross_entropy(without, labels))
    # A label given twice is one negative less, not two.
    twice = torch.cat([places, places[:, :1]], 1)
    extra = sparse_multilabel_cross_entropy(scores, twice) - sparse_multilabel_cross_entropy(
        scores, places
    )
    assert (extra < (1 + (-scores.gather(1, places[:, :1])[:, 0]).exp()).log()).all()


def test_positives_that_outweigh_all_else_lose_no_digit():
    scores = torch.tensor([[0.0, 30.0, -1.0]])
    found = sparse_multilabel_cross_entropy(scores, torch.tensor([[1]]), mask_zero=True)
    near(found, torch.tensor([math.log1p(math.exp(-1)) + math.log1p(math.exp(-30))]))


def test_pointers_take_the_sparse_and_the_dense_form():
    scores = drawn(2, 3, 5, 5)
    scores[..., 0, 0] = -math.inf
    scores[1, :, 3:] = scores[1, :, :, 3:] = -math.inf
    spans = torch.zeros(2, 3, 2, 2).long()
    spans[0, 1] = torch.tensor([[1, 3], [2, 2]])
    spans[1, 2, 0] = torch.tensor([0, 2])
    cells = torch.zeros(2, 3, 5, 5)
    cells[0, 1, 1, 3] = cells[0, 1, 2, 2] = cells[1, 2, 0, 2] = 1
    near(sparse_pointer_loss(scores, spans), 3 * pointer_loss(scores, cells))


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_gradients_of_pointers_are_right_with_hidden_cells(form):
    hidden = torch.rand(2, 2, 4, 4) < 0.3
    spans = torch.tensor([[[[1, 2]], [[0, 0]]], [[[0, 3]], [[3, 3]]]])
    cells = (torch.rand(2, 2, 4, 4) < 0.3).double()

    def loss(scores):
        scores = scores.masked_fill(hidden, -math.inf)
        if form == "sparse":
            return sparse_pointer_loss(scores, spans)
        return pointer_loss(scores, cells)

    scores = drawn(2, 2, 4, 4).requires_grad_()
    assert gradcheck(loss, (scores,))
    loss(1e4 * scores).backward()
    assert scores.grad.isfinite().all()


def test_nothing_visible_costs_nothing():
    scores = torch.full((1, 2, 3, 3), -math.inf)
    assert pointer_loss(scores, torch.zeros(1, 2, 3, 3)) == 0
    assert sparse_pointer_loss(scores, torch.zeros(1, 2, 1, 2)) == 0


# Powers of a sigmoid, focal, divergence, ranks.


@pytest.mark.parametrize("power", [1, 2, 4])
def test_a_power_of_a_sigmoid_is_a_binary_cross_entropy(power):
    logits, labels = drawn(50), (torch.rand(50) < 0.5).double()
    wanted = binary_cross_entropy(logits.sigmoid() ** power, labels, reduction="none")
    near(power_loss(logits, labels, power), wanted)
    assert gradcheck(lambda x: power_loss(x, labels, power), (logits.requires_grad_(),))
    far = torch.tensor([-90.0, 90.0, -30.0, 30.0], requires_grad=True)
    found = power_loss(far, torch.tensor([0.0, 1.0, 1.0, 0.0]), power)
    # 1 - sigmoid(30)^k is k e^-30.
    near(found, torch.tensor([0, 0, 30.0 * power, 30 - math.log(power)]))
    found.sum().backward()
    assert far.grad.isfinite().all()


def test_a_focal_loss_without_focus_is_the_cross_entropy():
    logits, labels = drawn(6, 4), torch.tensor([0, 3, -100, 1, 2, 2])
    asked = labels >= 0
    near(focal_loss(logits, labels, gamma=0.0), cross_entropy(logits[asked], labels[asked]))
    p = logits.softmax(-1)[asked].gather(1, labels[asked, None])[:, 0]
    near(focal_loss(logits, labels), (-((1 - p) ** 2) * p.log()).mean())
    weight = torch.tensor([1.0, 0, 0, 0])
    near(focal_loss(logits, labels, 0.0, weight), cross_entropy(logits[:1], labels[:1]) / 5)
    sure = torch.tensor([[200.0, 0.0]], requires_grad=True)
    focal_loss(sure, torch.tensor([0])).backward()
    assert not sure.grad.any()
    assert gradcheck(lambda x: focal_loss(x, labels), (logits.requires_grad_(),))


def test_the_divergence_is_that_of_both_sides():
    one, other = drawn(5, 3), drawn(5, 3, seed=1)
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    both = [kl_div(a, b, reduction="batchmean", log_target=True) for a, b in ((p, q), (q, p))]
    near(symmetric_kl(one, other), sum(both) / 2)
    near(symmetric_kl(one, other), symmetric_kl(other, one))
    mask = torch.tensor([1, 0, 0, 1, 1])
    near(symmetric_kl(one, other, mask), symmetric_kl(one[mask == 1], other[mask == 1]))


def test_pairs_are_ranked_as_their_labels_are():
    cosines, labels = drawn(6).tanh(), torch.tensor([3, 1, 0, 1, 5, 3])
    total = sum(
        math.exp(20 * (cosines[k] - cosines[i]))
        for i, k in itertools.product(range(6), repeat=2)
        if labels[i] > labels[k]
    )
    near(cosent_loss(cosines, labels), torch.tensor(math.log1p(total)))
    assert cosent_loss(cosines, torch.ones(6)) == 0
    assert cosent_loss(torch.tensor([0.9, -0.9]), torch.tensor([1, 0])) < 1e-12
    vectors = drawn(4, 3)
    near(pair_similarities(vectors)[1], vectors[2] @ vectors[3] / vectors[2:].norm(dim=1).prod())
    assert gradcheck(lambda x: cosent_loss(x, labels, 2.0), (cosines.requires_grad_(),))
