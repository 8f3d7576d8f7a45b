"""What each operation on gradients promises, on gradients of all sizes."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.training.gradient_operations import (
    MADE,
    Network,
    batch,
    gradients,
    losses,
    with_gradients,
)
from zoo.errors import UsageError
from zoo.training import (
    AdaptiveClip,
    Apply,
    Centralize,
    Chain,
    ClipGlobalNorm,
    ClipNorm,
    ClipValue,
    Drop,
    FiniteGuard,
    Freeze,
    Noise,
    Normalize,
    Project,
    Scale,
    Sign,
    TopK,
)
from zoo.training.gradients.projection import project

sizes = st.floats(1e-6, 1e6)
seeds = st.integers(0, 1000)
orders = st.sampled_from([1, 2, math.inf])
few = settings(max_examples=12, deadline=None)


def norm(values, order=2.0):
    return torch.linalg.vector_norm(torch.cat([v.flatten() for v in values]), order).item()


def changed(*operations, seed=0, sd=1.0, dtype=torch.float64):
    """Gradients before and after."""
    model = with_gradients(dtype, seed, sd)
    before = gradients(model)
    Chain(operations).apply(model)
    return before, gradients(model)


def assert_equal(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], msg=name, **tolerance)


CLIPS = {
    "clip_value": lambda c, order: ClipValue(c),
    "clip_norm": ClipNorm,
    "clip_global_norm": ClipGlobalNorm,
    "adaptive_clip": lambda c, order: AdaptiveClip(c),
}


@pytest.mark.parametrize("name", CLIPS)
@few
@given(size=sizes, sd=sizes, order=orders, seed=seeds)
def test_a_clip_never_lengthens_and_a_second_one_changes_nothing(name, size, sd, order, seed):
    make = CLIPS[name]
    before, once = changed(make(size, order), seed=seed, sd=sd)
    _, twice = changed(make(size, order), make(size, order), seed=seed, sd=sd)
    assert_equal(twice, once, rtol=1e-12, atol=0)
    for parameter, gradient in once.items():
        assert (gradient.abs() <= before[parameter].abs()).all()
        assert (gradient.sign() == before[parameter].sign()).all()


@few
@given(limit=sizes, sd=sizes, order=orders)
def test_norms_are_at_most_what_was_asked_for(limit, sd, order):
    for gradient in changed(ClipNorm(limit, order), sd=sd)[1].values():
        assert norm([gradient], order) <= limit * (1 + 1e-12)
    found = changed(ClipGlobalNorm(limit, order), sd=sd)[1]
    assert norm(found.values(), order) <= limit * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("limit", [0.5, 1e4])
def test_global_clips_and_clips_by_value_are_those_of_torch(dtype, limit):
    for operation, peer in (
        (ClipGlobalNorm(limit), torch.nn.utils.clip_grad_norm_),
        (ClipValue(limit / 4), lambda p, c: torch.nn.utils.clip_grad_value_(p, c / 4)),
    ):
        model, other = with_gradients(dtype), with_gradients(dtype)
        Chain([operation]).apply(model)
        peer(other.parameters(), limit)
        tolerance = {torch.float32: 2e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
        assert_equal(gradients(model), gradients(other), rtol=tolerance, atol=1e-6)


def test_units_are_clipped_relative_to_their_weights():
    model = with_gradients(torch.float64, sd=100.0)
    chain = Chain([AdaptiveClip(0.01, only=["layers.0.*", "gain"])])
    before, report = gradients(model), chain.apply(model)
    rows = model.layers[0].weight
    torch.testing.assert_close(rows.grad.norm(dim=1), 0.01 * rows.norm(dim=1))
    bias = model.layers[0].bias
    torch.testing.assert_close(bias.grad.norm(), 0.01 * bias.norm())
    assert torch.equal(model.head.weight.grad, before["head.weight"])
    assert report.numbers["adaptive_clip/clipped"] == 1
    model = with_gradients(torch.float64)
    torch.nn.init.zeros_(model.gain)
    chain.apply(model)
    assert model.gain.grad.abs().item() == pytest.approx(0.01 * 1e-3)  # not nothing


@few
@given(sd=sizes)
def test_normalised_gradients_have_length_one(sd):
    before, after = changed(Normalize(), sd=sd)
    for name, gradient in after.items():
        size = norm([before[name]])
        assert norm([gradient]) == pytest.approx(size / (size + 1e-8))
        torch.testing.assert_close(gradient, before[name] / (size + 1e-8))
    size = norm(before.values())
    found = norm(changed(Normalize(joint=True, eps=1e-3), sd=sd)[1].values())
    assert found == pytest.approx(size / (size + 1e-3))


@pytest.mark.parametrize("axis", [0, 1])
def test_centred_gradients_sum_to_zero_over_the_inputs(axis):
    before, after = changed(Centralize(axis))
    for name, gradient in after.items():
        if gradient.ndim < 2 or name == "embeddings.weight":
            assert torch.equal(gradient, before[name])
        else:
            sums = gradient.sum(dim=1 - axis)
            assert torch.allclose(sums, torch.zeros_like(sums), atol=1e-12)
            assert not torch.allclose(before[name], gradient)
    table = changed(Centralize(embeddings=True))[1]["embeddings.weight"]
    assert table.sum(dim=1).abs().max() < 1e-12


def test_centring_is_over_all_axes_of_a_kernel():
    model = torch.nn.Conv2d(3, 4, 2)
    model.weight.grad, model.bias.grad = torch.randn(4, 3, 2, 2), torch.ones(4)
    Chain([Centralize()]).apply(model)
    assert model.weight.grad.sum(dim=(1, 2, 3)).abs().max() < 1e-5
    assert model.bias.grad.equal(torch.ones(4))


@few
@given(sd=sizes, seed=seeds)
def test_signs_are_signs(sd, seed):
    before, after = changed(Sign(), sd=sd, seed=seed)
    for name, gradient in after.items():
        assert torch.equal(gradient, before[name].sign())
        assert set(gradient.unique().tolist()) <= {-1.0, 0.0, 1.0}


@few
@given(k=st.integers(1, 50), seed=seeds)
def test_top_k_keeps_exactly_k_and_none_smaller_than_one_it_drops(k, seed):
    before, after = changed(TopK(k), seed=seed)
    for name, gradient in after.items():
        kept = gradient != 0
        assert kept.sum() == min(k, gradient.numel())
        assert torch.equal(gradient[kept], before[name][kept])
        if not kept.all():
            assert before[name][kept].abs().min() >= before[name][~kept].abs().max()


def test_top_k_keeps_k_of_equal_ones():
    model = torch.nn.Linear(10, 10)
    model.weight.grad, model.bias.grad = torch.ones(10, 10), torch.ones(10)
    report = Chain([TopK(share=0.07)]).apply(model)
    assert (model.weight.grad.sum(), model.bias.grad.sum()) == (7, 1)
    assert report.numbers["top_k/kept"] == pytest.approx(8 / 110)


def test_dropping_is_right_on_average_and_its_share_is_that_asked_for():
    model = torch.nn.Linear(100, 100, bias=False)
    chain = Chain([Drop(0.3)])
    total, zeros = torch.zeros(100, 100), 0.0
    for _ in range(200):
        model.weight.grad = torch.ones(100, 100)
        chain.apply(model)
        total += model.weight.grad / 200
        zeros += (model.weight.grad == 0).double().mean().item() / 200
    assert zeros == pytest.approx(0.3, abs=0.002)  # 4 deviations are 0.0013
    assert total.mean().item() == pytest.approx(1, abs=0.003)
    assert total.std().item() == pytest.approx((0.3 / 0.7 / 200) ** 0.5, rel=0.05)
    model.weight.grad = torch.ones(100, 100)
    Chain([Drop(0.3, rescale=False)]).apply(model)
    assert set(model.weight.grad.unique().tolist()) == {0.0, 1.0}


def test_noise_has_the_variance_of_the_schedule_and_no_step_repeats_another():
    model = torch.nn.Linear(300, 300, bias=False)
    chain = Chain([Noise(0.3)])
    drawn = []
    for step in range(3):
        model.weight.grad = torch.zeros(300, 300)
        report = chain.apply(model)
        expected = (0.3 / (1 + step) ** 0.55) ** 0.5
        assert report.numbers["noise/sigma"] == pytest.approx(expected)
        assert model.weight.grad.std().item() == pytest.approx(expected, rel=0.01)
        drawn.append(model.weight.grad.flatten())
    assert torch.corrcoef(torch.stack(drawn)).triu(1).abs().max() < 0.02


def test_two_noises_of_a_chain_and_two_seeds_differ():
    first, second = (changed(Noise(0.3))[1], Chain([Noise(0.3)], seed=1))
    model = with_gradients(torch.float64)
    second.apply(model)
    assert not torch.equal(first["head.weight"], gradients(model)["head.weight"])
    before, both = changed(Noise(0.3), Noise(0.3))
    one = first["head.weight"] - before["head.weight"]
    assert not torch.allclose(both["head.weight"] - before["head.weight"], 2 * one)


def test_scaling_is_scaling_and_applies_once():
    before, after = changed(Scale(-2.0, only="head*"), Scale(0.5))
    for name in before:
        factor = -1.0 if name.startswith("head") else 0.5
        assert torch.equal(after[name], factor * before[name])


def test_a_function_is_given_name_gradient_and_parameter():
    def rule(name, gradient, weight):
        if name == "gain":
            gradient.zero_()
            return None
        return gradient + weight

    model = with_gradients()
    before = gradients(model)
    Chain([Scale(2.0), Apply(rule, exclude="head*")]).apply(model)
    for name, weight in model.named_parameters():
        expected = 2 * before[name]
        if not name.startswith("head"):
            expected = expected + weight.detach() if name != "gain" else torch.zeros(1)
        assert torch.equal(weight.grad, expected), name


@pytest.mark.parametrize("made", [lambda g: g[:1], lambda g: 3])
def test_a_function_that_makes_something_else_is_named(made):
    with pytest.raises(UsageError, match=r"for layers\.0\.weight the function made"):
        changed(Apply(lambda name, gradient, weight: made(gradient), only="layers.0.weight"))


@few
@given(seed=seeds)
def test_order_matters_where_it_should(seed):
    first = changed(ClipValue(0.5), Normalize(), seed=seed)[1]
    second = changed(Normalize(), ClipValue(0.5), seed=seed)[1]
    assert any(not torch.allclose(first[name], second[name]) for name in first)
    # A factor for each tensor does not turn it: centring may come before or after.
    first = changed(Normalize(), Centralize(), seed=seed)[1]
    second = changed(Centralize(), Normalize(), seed=seed)[1]
    for name in first:
        cosine = torch.nn.functional.cosine_similarity(
            first[name].flatten(), second[name].flatten(), dim=0
        )
        assert cosine == pytest.approx(1)


@pytest.mark.parametrize("operations", [
    (Scale(3.0), ClipNorm(0.5), ClipGlobalNorm(1.0)),
    (ClipValue(0.3), Normalize(), Scale(0.1), ClipValue(0.01)),
    (Normalize(joint=True), Centralize(), ClipNorm(0.2, math.inf), ClipNorm(0.2, 1)),
    (ClipNorm(0.2, only="layers*"), Scale(7.0, only="head*"), ClipGlobalNorm(0.1)),
    (ClipNorm(0.3), Freeze(only="head*"), ClipGlobalNorm(0.2), FiniteGuard()),
])  # fmt: skip
def test_factors_that_wait_change_nothing(operations):
    """Each in a chain of its own multiplies at once; together they wait for each other."""
    model = with_gradients(torch.float64)
    for each in operations:
        Chain([each]).apply(model)
    assert_equal(changed(*operations)[1], gradients(model), rtol=1e-12, atol=0)


@given(seed=seeds)
@few
def test_two_projected_gradients_do_not_conflict(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    total = project(rows @ rows.T, random.Random(seed)) @ rows
    assert (rows @ total >= -1e-12).all()
    if rows[0] @ rows[1] >= 0:
        assert torch.equal(total, rows.sum(dim=0))


@given(seed=seeds, tasks=st.integers(1, 5))
@few
def test_products_project_as_gradients_do(seed, tasks):
    """The paper's loop on the vectors themselves, for the same order of tasks."""
    rows = torch.randn(tasks, 4, generator=torch.Generator().manual_seed(seed)).double()
    order, total = random.Random(seed), torch.zeros(4, dtype=torch.float64)
    for task in range(tasks):
        own = rows[task].clone()
        others = [other for other in range(tasks) if other != task]
        order.shuffle(others)
        for other in others:
            if (product := own @ rows[other]) < 0:
                own -= product / rows[other].square().sum() * rows[other]
        total += own
    torch.testing.assert_close(project(rows @ rows.T, random.Random(seed)) @ rows, total)


def test_projection_takes_the_place_of_backward():
    model = Network(torch.float64)
    chain = Chain([Project(only=["embeddings*", "layers*"])])
    apart = []
    for index in range(2):
        model.zero_grad()
        losses(model, batch())[index].backward()
        apart.append(gradients(model))
    shared = [n for n in apart[0] if n.startswith(("embeddings", "layers"))]
    flat = [torch.cat([each[n].flatten() for n in shared]) for each in apart]
    assert flat[0] @ flat[1] < 0
    model.zero_grad()
    chain.backward(losses(model, batch()), model)
    found = gradients(model)
    for name in found.keys() - set(shared):
        torch.testing.assert_close(found[name], apart[0][name] + apart[1][name])
    total = torch.cat([found[n].flatten() for n in shared])
    a, b = flat
    expected = a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a
    torch.testing.assert_close(total, expected)
    assert chain.apply(model).numbers["project/conflicts"] == 1
    chain.backward(losses(model, batch()), model)  # adds, as backward does
    torch.testing.assert_close(gradients(model)["gain"], 2 * found["gain"])


def test_projection_needs_the_losses():
    model = with_gradients()
    with pytest.raises(UsageError, match=r"instead of loss\.backward"):
        Chain([Project()]).apply(model)
    with pytest.raises(UsageError, match="this chain has none"):
        Chain([Sign()]).backward([model.gain.sum()], model)
    for wrong in ([], [model.gain.sum(), torch.zeros(())]):
        with pytest.raises(UsageError, match="list of losses"):
            Chain([Project()]).backward(wrong, model)
    embedding = nn.Embedding(3, 2, sparse=True)
    with pytest.raises(UsageError, match="gradient of weight is sparse"):
        Chain([Project()]).backward([embedding(torch.tensor([1])).sum()], embedding)


def test_numbers_without_an_axis_are_projected_too():
    model = nn.ParameterDict({"number": torch.tensor(3.0), "empty": torch.ones(0)})
    chain = Chain([Project()])
    chain.backward([2 * model["number"] + model["empty"].sum(), -model["number"]], model)
    assert model["number"].grad == 0  # each goes against the other altogether


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [
    (), (ClipValue(1.0),), (Sign(),), (ClipNorm(1.0),), (ClipGlobalNorm(1.0),), (Normalize(),),
    (Centralize(),), (Drop(0.5),), (AdaptiveClip(),), (TopK(2),), (ClipNorm(1.0, math.inf),),
], ids=str)  # fmt: skip
def test_one_entry_that_is_not_finite_skips_the_step(bad, before):
    model = with_gradients()
    model.layers[0].weight.grad[1, 2] = bad
    chain = Chain([*before, FiniteGuard()])
    report = chain.apply(model)
    assert report.skip
    assert report.reason == "not finite"
    assert not gradients(model)
    assert (chain.skipped, chain.operations[-1].skipped) == (1, 1)
    assert not Chain([*before, FiniteGuard()]).apply(with_gradients()).skip


@pytest.mark.parametrize("before", [(), (ClipNorm(1.0),), (ClipValue(1.0),)], ids=str)
def test_large_is_not_infinite(before):
    """The sum of squares overflows, the entries do not."""
    assert not Chain([*before, FiniteGuard()]).apply(with_gradients(sd=1e25)).skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_zero_gradients_stay_zero(dtype):
    for name in MADE.keys() - {"noise", "apply", "project", "accumulate", "freeze"}:
        model = Network(dtype)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        Chain([MADE[name]()]).apply(model)
        assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients(model).values()), name


def test_nothing_happens_to_parameters_without_gradients():
    for name, make in MADE.items():
        if name != "project":
            model = Network()
            model.head(torch.ones(3)).sum().backward()
            Chain([make()]).apply(model)
            assert set(gradients(model)) <= {"head.weight", "head.bias"}
