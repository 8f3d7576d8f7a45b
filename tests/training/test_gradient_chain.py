"""A chain between backward and step: hooks, names, order, scaled gradients, resuming."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn

from tests.training.gradient_operations import (
    MADE,
    Network,
    batch,
    gradients,
    losses,
    with_gradients,
)
from zoo.errors import DivergedError, UsageError
from zoo.training import (
    EMA,
    OPERATIONS,
    Accumulate,
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
    Lookahead,
    Noise,
    Normalize,
    Project,
    Scale,
    Sign,
    TopK,
    build_operations,
)

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
}


def loss_of(model, rows=slice(None)):
    return sum(losses(model, batch(rows)))


def steps(model, optimizer, count=1, rows=(slice(None),)):
    """Train without a chain, or with one that is attached."""
    for _ in range(count):
        for each in rows:
            optimizer.zero_grad()
            loss_of(model, each).backward()
            optimizer.step()


def assert_same(model, other):
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two), name


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_empty_chain_changes_no_bit(kind):
    plain, chained = Network(), Network()
    steps(plain, OPTIMIZERS[kind](plain.parameters()), 3)
    optimizer = OPTIMIZERS[kind](chained.parameters())
    Chain([]).attach(optimizer)
    steps(chained, optimizer, 3)
    assert_same(plain, chained)
    model = with_gradients()
    assert not Chain().apply(model).skip
    assert gradients(model).keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_hook_and_a_loop_of_ones_own_do_the_same(kind):
    operations = (Centralize, lambda: ClipNorm(0.1, only="*layers*"), lambda: Noise(0.1),
                  lambda: ClipGlobalNorm(0.3), FiniteGuard)  # fmt: skip
    hooked, looped = Network(), Network()
    optimizer = OPTIMIZERS[kind](hooked.named_parameters())
    Chain([make() for make in operations]).attach(optimizer)
    steps(hooked, optimizer, 3)
    optimizer, chain = OPTIMIZERS[kind](looped.parameters()), Chain([m() for m in operations])
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(looped).backward()
        if not chain.apply(looped).skip:
            optimizer.step()
    assert_same(hooked, looped)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_skipped_step_moves_nothing(kind):
    model = Network()
    optimizer = OPTIMIZERS[kind](model.named_parameters())
    chain = Chain([FiniteGuard()])
    chain.attach(optimizer)
    steps(model, optimizer)
    before = copy.deepcopy(model)
    loss_of(model).backward()
    model.gain.grad.fill_(math.nan)
    optimizer.step()  # neither momentum nor decay
    assert_same(model, before)
    assert chain.report.skip
    assert chain.logs() == {"finite_guard/skipped": 0.5, "skipped": 1.0}
    steps(model, optimizer)
    assert not torch.equal(model.gain, before.gain)


def test_a_guard_gives_up_after_as_many_as_it_was_told():
    chain = Chain([FiniteGuard(max_in_a_row=2)])
    for good in (False, True, False):
        assert chain.apply(with_gradients(sd=1.0 if good else math.inf)).skip is not good
    with pytest.raises(DivergedError, match="2 consecutive steps"):
        chain.apply(with_gradients(sd=math.inf))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_frozen_parameters_stay_under_momentum_and_decay(kind):
    model = Network()
    optimizer = OPTIMIZERS[kind](model.named_parameters())
    steps(model, optimizer, 2)  # momentum is there
    before = copy.deepcopy(model)
    Chain([Freeze(only="layers.*")]).attach(optimizer)
    steps(model, optimizer, 2)
    for name, parameter in model.named_parameters():
        same = torch.equal(parameter, before.get_parameter(name))
        assert same == name.startswith("layers"), name


def test_zero_gradients_in_place_of_frozen_ones_would_move_weights():
    model = Network()
    optimizer = OPTIMIZERS["sgd"](model.named_parameters())
    before = copy.deepcopy(model)
    Chain([Apply(lambda name, gradient, weight: 0 * gradient, only="layers.*")]).attach(optimizer)
    steps(model, optimizer)
    assert not torch.equal(model.layers[0].weight, before.layers[0].weight)


def test_scaling_does_nothing_under_adam_and_says_so():
    plain, scaled = Network(torch.float64), Network(torch.float64)
    steps(plain, torch.optim.Adam(plain.parameters(), eps=1e-16), 3)
    optimizer = torch.optim.Adam(scaled.named_parameters(), eps=1e-16)
    with pytest.warns(UserWarning, match="almost nothing under Adam, .* learning rates"):
        Chain([Scale(100.0)]).attach(optimizer)
    steps(scaled, optimizer, 3)
    for one, two in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    Chain([Scale(2.0)]).attach(torch.optim.SGD(Network().parameters(), lr=1.0))  # no warning


# Names.


def test_patterns_need_names_and_say_how_to_give_them():
    optimizer = torch.optim.SGD(Network().parameters(), lr=0.1)
    with pytest.raises(UsageError, match=r"named_parameters\(\), or pass model="):
        Chain([ClipNorm(1.0, only="layers*")]).attach(optimizer)
    with pytest.warns(UserWarning, match="cannot recognise embeddings"):
        Chain([Centralize()]).attach(optimizer)
    Chain([ClipNorm(1.0)]).attach(optimizer)


@pytest.mark.parametrize("field", ["only", "exclude"])
def test_a_pattern_that_matches_nothing_is_refused(field):
    with pytest.raises(UsageError, match=r"ClipNorm\(.*'layer\*' matches no|'\*heads\*'"):
        Chain([ClipNorm(1.0, **{field: ["layers*", "*heads*"]})]).apply(with_gradients())
    named = torch.optim.SGD(Network().named_parameters(), lr=0.1)
    with pytest.raises(UsageError, match="matches no parameter"):
        Chain([ClipNorm(1.0, **{field: "*heads*"})]).attach(named)
    with pytest.raises(UsageError, match="leaves nothing"):
        Chain([ClipNorm(1.0, only="head*", exclude="*")]).apply(with_gradients())


@pytest.mark.parametrize("how", ["names", "groups", "model", "compiled", "parallel"])
def test_names_come_from_groups_or_from_a_model(how):
    model = Network()
    named, given = list(model.named_parameters()), None
    if how == "groups":
        given_to = [{"params": named[:3]}, {"params": named[3:], "lr": 0.2}]
    elif how == "compiled":
        given_to = [(f"_orig_mod.{name}", each) for name, each in named]
    else:
        given_to = named if how == "names" else model.parameters()
        given = {"model": model, "parallel": nn.DataParallel(model)}.get(how)
    optimizer = torch.optim.SGD(given_to, lr=0.1)
    seen = []
    chain = Chain([Apply(lambda name, *_: seen.append(name), only="layers.0*")])
    chain.attach(optimizer, model=given)
    steps(model, optimizer)
    assert seen == ["layers.0.weight", "layers.0.bias"]


def test_a_model_of_other_parameters_is_refused():
    for model in (Network(), nn.Linear(3, 2)):  # whose first parameter has one entry, or several
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(UsageError, match="does not have; give the model"):
            Chain([Sign()]).attach(optimizer, model=Network())


def test_a_chain_has_one_optimizer_and_can_be_taken_off():
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    chain = Chain([Freeze(only="*")])
    handle = chain.attach(optimizer, model)
    with pytest.raises(UsageError, match="attached already"):
        chain.attach(optimizer, model)
    handle.remove()
    before = copy.deepcopy(model)
    steps(model, optimizer)
    assert not torch.equal(model.gain, before.gain)
    chain.attach(optimizer, model)
    with pytest.raises(UsageError, match="attach to one"):
        Chain([]).attach(model)


def test_accelerates_wrapper_is_seen_through():
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = Network()
    optimizer = accelerator.prepare(torch.optim.SGD(model.named_parameters(), lr=0.1))
    chain = Chain([Freeze(only="layers*")])
    chain.attach(optimizer)
    before = copy.deepcopy(model)
    steps(model, optimizer)
    assert torch.equal(model.layers[0].weight, before.layers[0].weight)
    assert not torch.equal(model.gain, before.gain)
    accelerator.gradient_state.plugin_kwargs["num_steps"] = 4
    with pytest.raises(UsageError, match="gradient_accumulation_steps=4 are both set"):
        Chain([Accumulate(2)]).attach(optimizer)
    accelerator.gradient_state.plugin_kwargs["num_steps"] = 1
    Chain([Accumulate(2)]).attach(optimizer)


def test_a_closure_is_refused():
    optimizer = torch.optim.LBFGS(Network().named_parameters())
    Chain([Sign()]).attach(optimizer)
    with pytest.raises(UsageError, match="closure"):
        optimizer.step(lambda: 0.0)


def test_sparse_gradients_are_refused_by_name():
    model = nn.Embedding(5, 2, sparse=True)
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="gradient of weight is sparse"):
        Chain([Sign()]).apply(model)


def test_complex_gradients_are_refused_by_name():
    model = nn.Linear(2, 2, bias=False, dtype=torch.complex64)
    model.weight.grad = torch.ones_like(model.weight)
    with pytest.raises(UsageError, match="gradient of weight is complex"):
        Chain([Sign()]).apply(model)


# Scaled gradients.


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("unscaled", [False, True])
def test_gradients_are_unscaled_before_they_are_clipped(kind, unscaled):
    plain, scaled = Network(), Network()
    seen = []
    for model, scaler in ((plain, None), (scaled, torch.amp.GradScaler("cpu", init_scale=1024.0))):
        optimizer = OPTIMIZERS[kind](model.named_parameters())
        chain = Chain([ClipGlobalNorm(0.2), FiniteGuard()], callback=lambda r: seen.append(r))
        chain.attach(optimizer)
        for _ in range(2):
            optimizer.zero_grad()
            loss = loss_of(model)
            if scaler is None:
                loss.backward()
                optimizer.step()
                continue
            scaler.scale(loss).backward()
            if unscaled:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
    for one, two in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    sizes = [each.numbers["clip_global_norm/norm_before"] for each in seen]
    assert sizes[:2] == pytest.approx(sizes[2:], rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_overflow_skips_the_step_and_lowers_the_scale(kind):
    model = Network()
    optimizer = OPTIMIZERS[kind](model.named_parameters())
    chain = Chain([Accumulate(2)])
    chain.attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = copy.deepcopy(model)
    for factor in (1.0, math.inf, 1.0):
        assert_same(model, before)  # two finite micro-batches make a step
        optimizer.zero_grad()
        scaler.scale(loss_of(model) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert not torch.equal(model.gain, before.gain)
    assert scaler.get_scale() == 512.0


# Order.


@pytest.mark.parametrize(("operations", "names"), [
    ([ClipNorm(1.0), Accumulate(2)], ("Accumulate", "ClipNorm")),
    ([Sign(), Project()], ("Project", "Sign")),
    ([Accumulate(2), Project()], ("Project", "Accumulate")),
    ([ClipGlobalNorm(1.0), Scale(2.0)], ("Scale", "ClipGlobalNorm")),
    ([ClipGlobalNorm(1.0), Centralize(), Noise()], ("Noise", "ClipGlobalNorm")),
    ([ClipGlobalNorm(1.0), Normalize()], ("Normalize", "ClipGlobalNorm")),
    ([ClipGlobalNorm(1.0), Drop(0.5)], ("Drop", "ClipGlobalNorm")),
])  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(operations, names):
    with pytest.raises(UsageError, match=r"{}\(.*comes after {}\(.*any_order".format(*names)):
        Chain(operations)
    Chain(operations, any_order=True)


def test_orders_that_make_sense():
    chain = Chain([
        Project(), FiniteGuard(), Accumulate(2), Freeze(only="a*"), Centralize(), Noise(),
        AdaptiveClip(), ClipNorm(1.0), ClipGlobalNorm(1.0), ClipValue(1.0), TopK(3), FiniteGuard(),
    ])  # fmt: skip
    assert repr(chain).startswith("Chain([Project(), FiniteGuard(), Accumulate(k=2), Freeze(only")


@pytest.mark.parametrize(("operations", "message"), [
    ([Accumulate(2), Accumulate(2)], "can have one Accumulate"),
    ([lambda g: g], "wrap a function .* in Apply"),
    ([Sign] * 2, "made of operations"),
])  # fmt: skip
def test_what_is_no_chain_is_refused(operations, message):
    with pytest.raises(UsageError, match=message):
        Chain(operations)


def test_one_object_has_one_place():
    each = Sign()
    with pytest.raises(UsageError, match="same object twice"):
        Chain([each, each])


# Accumulation.


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_equal_one_batch(kind, parts):
    whole, split = Network(torch.float64), Network(torch.float64)
    steps(whole, OPTIMIZERS[kind](whole.parameters()), 3)
    optimizer = OPTIMIZERS[kind](split.named_parameters())
    Chain([Accumulate(parts)]).attach(optimizer)
    size = 8 // parts
    steps(split, optimizer, 3, [slice(i, i + size) for i in range(0, 8, size)])
    for one, two in zip(whole.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


def test_a_loss_that_couples_the_batch_is_not_that_of_one_batch():
    """Which the docstring says, and nothing here mends."""
    tokens = batch()

    def coupled(model, rows):
        codes = model(tokens[rows])[:, 0]
        return -torch.log_softmax(codes @ codes.T, dim=1).diagonal().mean()

    one = Network(torch.float64)
    coupled(one, slice(None)).backward()
    other = Network(torch.float64)
    chain = Chain([Accumulate(2)])
    for rows in (slice(4), slice(4, 8)):
        coupled(other, rows).backward()
        chain.apply(other)
    assert not torch.allclose(one.gain.grad, other.gain.grad, rtol=0.01)
    assert "InfoNCE" in Accumulate.__doc__


def test_a_window_ends_early_when_told_to():
    model = Network(torch.float64)
    chain = Chain([Accumulate(4)])
    assert not chain.flush()  # nothing is open
    expected = []
    for rows in (slice(2), slice(2, 4), slice(4, 6)):
        loss_of(model, rows).backward()
        expected.append(model.gain.grad.clone())
        assert chain.apply(model).reason == "accumulating"
        assert model.gain.grad is None
    assert chain.flush()  # after the loop: no gradients of its own
    assert not chain.apply(model).skip
    torch.testing.assert_close(model.gain.grad, sum(expected) / 3)
    assert not chain.flush()

    model.zero_grad()
    loss_of(model, slice(2)).backward()
    assert chain.apply(model).skip
    chain.flush()  # before the last micro-batch
    loss_of(model, slice(2, 4)).backward()
    assert not chain.apply(model).skip
    torch.testing.assert_close(model.gain.grad, sum(expected[:2]) / 2)
    model.zero_grad()
    loss_of(model).backward()
    assert chain.apply(model).skip  # the next window is a full one


def test_sums_of_half_precision_are_kept_in_single():
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    chain = Chain([Accumulate(256)])
    for _ in range(256):
        model.weight.grad = torch.ones(1, 1, dtype=torch.bfloat16)
        chain.apply(model)
    assert model.weight.grad.item() == 1.0  # in bfloat16 a sum stops at 256


def test_patterns_make_no_sense_for_a_whole_step():
    with pytest.raises(UsageError, match="step of every parameter"):
        Accumulate(2, only="*")
    with pytest.raises(UsageError, match="every parameter would be frozen"):
        Freeze()


@pytest.mark.parametrize("chain_first", [True, False])
def test_a_step_held_back_does_not_count_for_what_stands_around_it(chain_first):
    model = Network()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    chain, average, ahead = Chain([Accumulate(2)]), EMA(model, 0.5), Lookahead(num_steps=2)
    for each in (chain, average, ahead) if chain_first else (average, ahead, chain):
        each.attach(optimizer)
    steps(model, optimizer, 3)
    assert average.num_updates == optimizer.param_groups[0]["lookahead_steps"] == 1


# Settings.


@pytest.mark.parametrize("make", [
    lambda: ClipValue(0), lambda: ClipValue(-1.0), lambda: ClipValue(math.nan),
    lambda: ClipNorm(math.inf), lambda: ClipNorm("1"), lambda: ClipNorm(True),
    lambda: ClipNorm(1.0, 3), lambda: ClipNorm(1.0, only=3), lambda: ClipNorm(1.0, only=[]),
    lambda: ClipNorm(1.0, exclude=[1]), lambda: ClipNorm(1.0, only=""),
    lambda: AdaptiveClip(0), lambda: AdaptiveClip(0.1, eps=0), lambda: Normalize(joint=1),
    lambda: Normalize(eps=0), lambda: Centralize(axis=-1), lambda: Centralize(embeddings="no"),
    lambda: Noise(0), lambda: Noise(1.0, decay=-1), lambda: Scale(0), lambda: Scale(math.inf),
    lambda: Accumulate(0), lambda: Accumulate(2.0), lambda: Drop(0), lambda: Drop(1.0),
    lambda: Drop(0.5, rescale=2), lambda: TopK(), lambda: TopK(1, 0.5), lambda: TopK(0),
    lambda: TopK(share=1.0), lambda: FiniteGuard(0), lambda: Apply(3), lambda: Chain(seed="a"),
])  # fmt: skip
def test_wrong_values_are_named(make):
    with pytest.raises(UsageError, match=r"^\w+: \w+"):
        make()


def test_every_operation_has_a_name():
    assert set(OPERATIONS) == {
        "clip_value", "clip_norm", "clip_global_norm", "adaptive_clip", "normalize", "centralize",
        "sign", "noise", "scale", "freeze", "accumulate", "drop", "top_k", "project",
        "finite_guard", "apply",
    }  # fmt: skip
    assert {make().op for make in MADE.values()} == set(OPERATIONS)


def test_operations_are_built_by_name():
    made = build_operations([
        {"op": "centralize"},
        {"op": "clip_norm", "max_norm": 1, "norm_type": math.inf, "only": ["*attention*"]},
        {"op": "finite_guard"},
    ])  # fmt: skip
    assert repr(Chain(made)) == (
        "Chain([Centralize(), ClipNorm(max_norm=1.0, norm_type=inf, only='*attention*'), "
        "FiniteGuard()])"
    )


@pytest.mark.parametrize(("table", "message"), [
    ({"op": "clip_nrom"}, "Did you mean 'clip_norm'"),
    ({}, "no operation on gradients is called None"),
    ({"op": ["sign"]}, "no operation"),
    ({"op": "clip_norm"}, "needs max_norm"),
    ({"op": "clip_norm", "max_nrom": 1}, "Did you mean 'max_norm'"),
    ({"op": "clip_norm", "max_norm": -1}, "ClipNorm: max_norm is -1; give a number in"),
    ({"op": "apply", "function": "os.system"}, "use it from Python"),
    ({"op": "project"}, "use it from Python"),
])  # fmt: skip
def test_a_wrong_table_is_named(table, message):
    with pytest.raises(UsageError, match=message):
        build_operations([table])


# Reports.


def test_reports_say_what_was_done():
    model = with_gradients(torch.float64)
    size = math.sqrt(sum(g.square().sum().item() for g in gradients(model).values()))
    seen = []
    chain = Chain(
        [Scale(2.0), ClipValue(0.1), ClipGlobalNorm(0.1), ClipGlobalNorm(1.0)],
        callback=seen.append,
        measure=True,
    )
    report = chain.apply(model)
    assert seen == [report]
    assert chain.report is report
    numbers = report.numbers
    assert numbers["scale/norm_before"] == pytest.approx(size)
    assert numbers["scale/norm_after"] == pytest.approx(2 * size)
    assert numbers["clip_value/norm_before"] == pytest.approx(2 * size)
    assert numbers["clip_global_norm/norm_after"] == pytest.approx(0.1)
    assert (numbers["clip_global_norm/clipped"], numbers["clip_global_norm_2/clipped"]) == (1, 0)
    measured = Chain([ClipGlobalNorm(1e9)])
    after = measured.apply(model).numbers["clip_global_norm/norm_before"]
    assert after == pytest.approx(0.1)


def test_logs_are_means_since_they_were_asked_for():
    chain = Chain([ClipGlobalNorm(1.0), FiniteGuard()])
    sizes = []
    for sd in (0.001, 10.0, math.inf):
        report = chain.apply(with_gradients(sd=sd))
        sizes.append(report.numbers["clip_global_norm/norm_before"])
    logs = chain.logs()
    assert logs["clip_global_norm/norm_before"] == pytest.approx(sum(sizes[:2]) / 2)
    assert logs["clip_global_norm/clipped"] == 0.5
    assert logs["finite_guard/skipped"] == pytest.approx(1 / 3)
    assert logs["skipped"] == 1
    assert chain.logs() == {"skipped": 1.0}


# Resuming.


@pytest.mark.parametrize("stop", [3, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(stop, tmp_path):
    def make():
        model = Network()
        optimizer = OPTIMIZERS["adamw"](model.named_parameters())
        chain = Chain(
            [Accumulate(2), Drop(0.2), Noise(0.3), ClipGlobalNorm(0.5), FiniteGuard()], seed=7
        )
        chain.attach(optimizer)
        return model, optimizer, chain

    rows = [slice(i, i + 2) for i in (0, 2, 4, 6, 0, 2, 4, 6)]
    model, optimizer, chain = make()
    steps(model, optimizer, 1, rows)
    first, first_optimizer, first_chain = make()
    steps(first, first_optimizer, 1, rows[:stop])
    parts = {"model": first, "optimizer": first_optimizer, "chain": first_chain}
    torch.save({name: part.state_dict() for name, part in parts.items()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    second, second_optimizer, second_chain = make()
    second_chain.seed = 0  # the state's holds
    for name, part in (
        ("model", second),
        ("optimizer", second_optimizer),
        ("chain", second_chain),
    ):
        part.load_state_dict(saved[name])
    torch.manual_seed(99)  # of no concern
    steps(second, second_optimizer, 1, rows[stop:])
    assert_same(model, second)
    assert repr(second_chain.state_dict()) == repr(chain.state_dict())


@pytest.mark.parametrize("state", [
    Chain([Sign()]).state_dict(), {}, {"seed": 0, "skipped": 0, "operations": [{}]}, 3,
])  # fmt: skip
def test_a_state_of_another_chain_is_refused(state):
    with pytest.raises(UsageError, match=r"resume with the same|no state of a chain"):
        Chain([Noise(), Sign()]).load_state_dict(state)


def test_no_global_random_number_is_drawn():
    model, state = with_gradients(), torch.random.get_rng_state()
    Chain([Noise(), Drop(0.5)]).apply(model)
    assert torch.equal(state, torch.random.get_rng_state())


def test_public_names_do_not_warn_when_imported():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import zoo.training

        for name in zoo.training.__all__:
            getattr(zoo.training, name)
