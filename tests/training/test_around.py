"""Laws of what stands around an optimizer's step."""

import copy
import io
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from zoo.errors import ConflictError, UsageError
from zoo.training import EMA, LAMB, LazyRows, Lookahead, piecewise_linear
from zoo.training.around.ema import WARM_UPS


def network(dtype=torch.float64):
    """An embedding, batch norm, a frozen layer."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 2))
    model.append(nn.Linear(2, 2)).to(dtype)
    model[4].requires_grad_(False)
    return model


def by_rate(model):
    """Two groups: the embedding at a tenth of the rate."""
    rest = [parameter for parameter in model[2:].parameters() if parameter.requires_grad]
    return [{"params": [model[0].weight], "lr": 0.01}, {"params": rest}]


def train(model, optimizer, steps, first=0, schedule=None):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(1, 4, (8, 2), generator=generator)
        optimizer.zero_grad()
        model(ids).square().sum(1).mean().backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def values(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def through_a_file(state):
    """What a checkpoint gives back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


AROUND = {
    "nothing": lambda model, optimizer: None,
    "lookahead": lambda model, optimizer: Lookahead(3, 0.5).attach(optimizer),
    "lazy": lambda model, optimizer: LazyRows([model[0].weight]).attach(optimizer),
    "resting": lambda model, optimizer: LazyRows([model[0].weight], keep_moments=True).attach(
        optimizer
    ),
    "ema": lambda model, optimizer: EMA(model, 0.9).attach(optimizer),
}
OPTIMIZERS = {
    "adamw": lambda groups: AdamW(groups, lr=0.1),
    "fused": lambda groups: AdamW(groups, lr=0.1, fused=True),
    "sgd": lambda groups: SGD(groups, lr=0.1),
    "momentum": lambda groups: SGD(groups, lr=0.1, momentum=0.9),
    "lamb": lambda groups: LAMB(groups, lr=0.1),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(kind, around):
    def start():
        model = network()
        optimizer = OPTIMIZERS[kind](by_rate(model))
        schedule = LambdaLR(optimizer, piecewise_linear({4: 1.0, 9: 0.1}))
        return model, optimizer, schedule, AROUND[around](model, optimizer)

    model, optimizer, schedule, _ = start()
    train(model, optimizer, 10, schedule=schedule)

    one, optimizer, schedule, attached = start()
    train(one, optimizer, 5, schedule=schedule)
    states = [one.state_dict(), optimizer.state_dict(), schedule.state_dict()]
    if isinstance(attached, EMA):
        states.append(attached.state_dict())
    states = through_a_file(states)
    resumed, *rest = start()
    for part, state in zip([resumed, *rest], states, strict=isinstance(attached, EMA)):
        part.load_state_dict(state)
    train(resumed, rest[0], 5, first=5, schedule=rest[1])
    assert same(values(resumed), values(model))
    assert not same(values(resumed), values(one))


@pytest.mark.parametrize("around", AROUND)
def test_the_optimizer_keeps_its_class_and_is_free_again_after_detach(around):
    model, plain = network(), network()
    optimizers = [SGD(by_rate(m), lr=0.1, momentum=0.9) for m in (model, plain)]
    attached = AROUND[around](model, optimizers[0])
    assert type(optimizers[0]) is SGD
    if attached is not None:
        with pytest.raises(UsageError, match="attached already"):
            attached.attach(optimizers[0])
        attached.detach()
        attached.attach(optimizers[0]).detach()
    for m, optimizer in zip((model, plain), optimizers, strict=True):
        train(m, optimizer, 4)
    assert same(values(model), values(plain))


@pytest.mark.parametrize(
    "make",
    [lambda: Lookahead(4, 1), lambda: Lookahead(7, 0.5)],
    ids=["alpha 1", "k after the end"],
)
def test_lookahead_that_cannot_move_is_plain_training(make):
    model, plain = network(), network()
    optimizer = AdamW(by_rate(model), lr=0.1)
    make().attach(optimizer)
    train(model, optimizer, 6)
    train(plain, AdamW(by_rate(plain), lr=0.1), 6)
    assert same(values(model), values(plain))


def test_lookahead_after_every_step_is_a_smaller_rate_of_sgd():
    model, plain = network(), network()
    optimizer = SGD(by_rate(model), lr=0.1)
    Lookahead(1, 0.25).attach(optimizer)
    train(model, optimizer, 5)
    groups = by_rate(plain)
    groups[0]["lr"] /= 4
    train(plain, SGD(groups, lr=0.025), 5)
    for name, value in values(model).items():
        torch.testing.assert_close(value, values(plain)[name])


def test_lookahead_leaves_alone_what_has_no_gradient_and_takes_latecomers():
    early, late, idle = (nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = AdamW([early, late, idle], lr=0.1)
    Lookahead(2, 0.5).attach(optimizer)
    early.grad = torch.ones(1)
    optimizer.step()
    late.grad = torch.ones(1)
    optimizer.step()
    assert idle.item() == 1
    assert idle not in optimizer.state
    assert late.item() == pytest.approx((1 + 0.999 - 0.1) / 2)


def test_lazy_rows_keep_their_bits_and_the_others_move_as_ever():
    model, plain = network(), network()
    optimizer = AdamW(by_rate(model), lr=0.1, weight_decay=0.1)
    LazyRows([model[0].weight]).attach(optimizer)
    start = values(model)["0.weight"]
    train(model, optimizer, 1)
    train(plain, AdamW(by_rate(plain), lr=0.1, weight_decay=0.1), 1)
    touched = model[0].weight.grad.any(1)
    assert torch.equal(model[0].weight[~touched], start[~touched])
    assert torch.equal(model[0].weight[touched], plain[0].weight[touched])
    assert not torch.equal(plain[0].weight[~touched], start[~touched])


@pytest.mark.parametrize("keep_moments", [False, True])
def test_moments_of_lazy_rows_rest_where_asked(keep_moments):
    weight = nn.Parameter(torch.ones(2, 3))
    optimizer = AdamW([weight], lr=0.1)
    LazyRows([weight], keep_moments=keep_moments).attach(optimizer)
    for gradient in (torch.ones(2, 3), torch.tensor([[1.0] * 3, [0.0] * 3])):
        weight.grad = gradient
        optimizer.step()
    moment = optimizer.state[weight]["exp_avg"][1]
    torch.testing.assert_close(moment, torch.full((3,), 0.1 if keep_moments else 0.09))


def test_lamb_without_adaptation_is_adamw():
    model, plain = network(), network()
    options = {"lr": 0.1, "betas": (0.8, 0.97), "eps": 1e-5, "weight_decay": 0.1}
    train(model, LAMB(by_rate(model), adapt=False, **options), 6)
    train(plain, AdamW(by_rate(plain), **options), 6)
    for name, value in values(model).items():
        torch.testing.assert_close(value, values(plain)[name])


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_lamb_moves_a_tensor_by_a_share_of_its_norm(scale):
    """Whatever the size of the gradient, and in proportion to that of the weight."""
    weight = nn.Parameter(torch.randn(5, 3, dtype=torch.float64))
    scaled = nn.Parameter(weight.detach() * scale)
    starts = weight.detach().clone(), scaled.detach().clone()
    optimizer = LAMB([weight, scaled], lr=0.1, eps=0, weight_decay=0)
    for _ in range(3):
        weight.grad = torch.randn(5, 3, dtype=torch.float64)
        scaled.grad = weight.grad * scale**2
        before = weight.detach().clone()
        optimizer.step()
        moved = (weight - before).norm() / before.norm()
        assert moved.item() == pytest.approx(0.1)
        torch.testing.assert_close(scaled.detach(), weight.detach() * scale)
    assert not torch.equal(weight, starts[0])


def test_lamb_takes_the_ratio_one_where_a_norm_is_zero():
    zero, still = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))
    zero.grad, still.grad = torch.ones(3), torch.zeros(3)
    LAMB([zero, still], lr=0.1, weight_decay=0).step()
    torch.testing.assert_close(zero.detach(), torch.full((3,), -0.1))
    assert torch.equal(still, torch.ones(3))


def test_lamb_calls_its_closure_with_gradients():
    weight = nn.Parameter(torch.ones(2))

    def closure():
        weight.grad = None
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert LAMB([weight], lr=0.1).step(closure).item() == 2
    assert not torch.equal(weight, torch.ones(2))


def constant(value):
    """A model whose only weight is set by hand."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, value)
    return model


def averaged(average, model):
    with average.applied():
        return model.weight.item()


@pytest.mark.parametrize("warm_up", WARM_UPS)
def test_the_average_of_what_stays_is_itself(warm_up):
    model = network(torch.float32)
    average, start = EMA(model, 0.9, warm_up=warm_up), values(model)
    for _ in range(7):
        average.update()
    with average.applied():
        assert same(values(model), start)


def test_closed_forms_of_the_average():
    """Weights 1 before training, then 2^t: geometric series."""
    decay, steps = 0.9, 12
    expected = {
        "none": decay**steps,
        "unbiased": 0.0,
        "slow": 0.0,
    }
    series = sum((1 - decay) * decay ** (steps - t) * 2**t for t in range(1, steps + 1))
    expected["none"] += series
    expected["unbiased"] = series / (1 - decay**steps)
    slow = 1.0
    for t in range(1, steps + 1):
        slow += (1 - t / (9 + t)) * (2**t - slow)  # t / (9 + t) is below 0.9 for so long
    expected["slow"] = slow
    for warm_up, value in expected.items():
        model = constant(1)
        average = EMA(model, decay, warm_up=warm_up)
        for t in range(1, steps + 1):
            nn.init.constant_(model.weight, 2**t)
            average.update()
        assert averaged(average, model) == pytest.approx(value, rel=1e-12)
        assert model.weight.item() == 2**steps


def test_a_decay_of_zero_follows_the_weights():
    for warm_up in WARM_UPS:
        model = network()
        optimizer = SGD(by_rate(model), lr=0.1)
        average = EMA(model, 0, warm_up=warm_up).attach(optimizer)
        train(model, optimizer, 3)
        end = values(model)
        with average.applied():
            assert same(values(model), end)


def test_the_average_holds_each_trained_tensor_once_and_statistics_too():
    model = network()
    model[3].weight = model.head = nn.Parameter(model[3].weight.detach())  # tied
    model.register_buffer("table", torch.ones(2), persistent=False)
    names = EMA(model).state_dict()["averages"].keys()
    assert len(names & {"3.weight", "head"}) == 1
    assert names - {"3.weight", "head"} == {
        "0.weight", "2.weight", "2.bias", "3.bias", "2.running_mean", "2.running_var"
    }  # fmt: skip


def test_the_weights_come_back_bit_by_bit_even_after_a_failure():
    model = network()
    optimizer = AdamW(by_rate(model), lr=0.1)
    average = EMA(model, 0.9).attach(optimizer)
    train(model, optimizer, 4)
    before, kept = values(model), copy.deepcopy(average.state_dict())
    inside = {}

    def fail():
        with average.applied():
            with average.applied():  # inside, nothing more
                assert not same(values(model), before)
            inside.update(values(model))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert same(values(model), before)
    assert not same(inside, before)
    assert torch.equal(inside["4.weight"], before["4.weight"])
    assert same(average.state_dict()["averages"], kept["averages"])


def test_no_step_while_the_average_is_applied():
    model = network()
    optimizer = SGD(by_rate(model), lr=0.1)
    average = EMA(model).attach(optimizer)
    with average.applied(), pytest.raises(ConflictError, match="outside applied"):
        train(model, optimizer, 1)


def test_an_average_of_half_precision_moves_in_float32():
    model = constant(1).bfloat16()
    average = EMA(model, 0.999, warm_up="none")
    nn.init.constant_(model.weight, 2)
    for _ in range(100):
        average.update()
    assert average.state_dict()["averages"]["weight"].item() == pytest.approx(2 - 0.999**100)
    assert averaged(average, model) == pytest.approx(2 - 0.999**100, rel=2**-8)
    assert model.weight.dtype == torch.bfloat16


def test_the_model_inside_ddp_is_averaged(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model, plain = network(torch.float32), network(torch.float32)
        wrapped = nn.parallel.DistributedDataParallel(model)
        averages = []
        for m, called in ((model, wrapped), (plain, plain)):
            optimizer = SGD(by_rate(m), lr=0.1)
            averages.append(EMA(called, 0.9).attach(optimizer))
            train(called, optimizer, 3)
        one, other = (average.state_dict()["averages"] for average in averages)
        assert same(one, other)
    finally:
        torch.distributed.destroy_process_group()


def weight(*shape):
    return nn.Parameter(torch.ones(*shape))


def load_into_another(change):
    state = EMA(network()).state_dict()
    change(state)
    EMA(network()).load_state_dict(state)


REFUSED = {
    "decay is 1": lambda: EMA(network(), 1),
    "decay is nan": lambda: EMA(network(), float("nan")),
    "decay is '0.9'": lambda: EMA(network(), "0.9"),
    "warm_up is 'fast'": lambda: EMA(network(), warm_up="fast"),
    "every parameter is frozen": lambda: EMA(nn.Linear(1, 1).requires_grad_(False)),
    "no averages or no num_updates": lambda: EMA(network()).load_state_dict({}),
    "the state has no average of 0.weight": lambda: load_into_another(
        lambda state: state["averages"].pop("0.weight")
    ),
    "the model has no average of new": lambda: load_into_another(
        lambda state: state["averages"].update(new=torch.ones(1))
    ),
    r"the average of 3.bias has shape \(5,\)": lambda: load_into_another(
        lambda state: state["averages"].update({"3.bias": torch.ones(5)})
    ),
    "num_steps is 0": lambda: Lookahead(0),
    "num_steps is 2.5": lambda: Lookahead(2.5),
    "num_steps is True": lambda: Lookahead(True),
    "alpha is 0": lambda: Lookahead(5, 0.0),
    "alpha is 1.5": lambda: Lookahead(5, 1.5),
    "list is no torch.optim.Optimizer": lambda: Lookahead().attach([]),
    "no parameters": lambda: LazyRows([]),
    r"shape \(3,\) has no rows": lambda: LazyRows([weight(3)]),
    r"no parameter like the one of shape \(2, 2\)": lambda: LazyRows([weight(2, 2)]).attach(
        SGD([weight(2, 2)], lr=0.1)
    ),
    "lr is -1": lambda: LAMB([weight(1)], lr=-1),
    "lr is nan": lambda: LAMB([{"params": [weight(1)], "lr": float("nan")}]),
    r"betas\[1\] is 1": lambda: LAMB([weight(1)], betas=(0.9, 1)),
    "eps is -1e-06": lambda: LAMB([weight(1)], eps=-1e-6),
    "weight_decay is inf": lambda: LAMB([weight(1)], weight_decay=float("inf")),
    "no points": lambda: piecewise_linear({}),
    "step -1 of the schedule": lambda: piecewise_linear({-1: 1.0}),
    "step 'a' of the schedule": lambda: piecewise_linear({"a": 1.0}),
    "multiplier at step 3 is -0.5": lambda: piecewise_linear({3: -0.5}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_hostile_values_are_refused_by_name(message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UsageError, match=message):
            REFUSED[message]()


def test_sparse_gradients_are_refused():
    for make in (
        lambda w: LAMB([w], lr=0.1),
        lambda w: LazyRows([w]).attach(optimizer := SGD([w], lr=0.1)) and optimizer,
    ):
        embedding = nn.Embedding(4, 2, sparse=True)
        optimizer = make(embedding.weight)
        embedding(torch.tensor([1])).sum().backward()
        with pytest.raises(UsageError, match="dense gradients"):
            optimizer.step()


def test_complex_weights_are_refused():
    weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    weight.grad = torch.ones_like(weight)
    with pytest.raises(UsageError, match="LAMB takes real weights"):
        LAMB([weight]).step()


@pytest.mark.parametrize("make", [lambda w: Lookahead(2), lambda w: LazyRows([w])])
def test_a_closure_is_refused_by_what_needs_gradients_before_it(make):
    matrix = weight(2, 2)
    optimizer = SGD([matrix], lr=0.1)
    make(matrix).attach(optimizer)
    with pytest.raises(UsageError, match="step without a closure"):
        optimizer.step(lambda: 0.0)
    model = nn.ParameterList([matrix])
    average = EMA(model).attach(optimizer := SGD([matrix], lr=0.1))
    matrix.grad = torch.ones_like(matrix)
    optimizer.step(lambda: 0.0)
    assert average.num_updates == 1


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_does_not_count(fused):
    matrix = weight(2, 2)
    optimizer = AdamW([matrix], lr=0.1, fused=fused)
    average = EMA(nn.ParameterList([matrix])).attach(optimizer)
    Lookahead(2).attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for factor in (float("inf"), 1.0, float("inf")):
        optimizer.zero_grad()
        scaler.scale(matrix.sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert average.num_updates == optimizer.param_groups[0]["lookahead_steps"] == 1


def test_a_schedule_is_linear_between_its_points_and_flat_after():
    multiplier = piecewise_linear({10: 0.5, 4: 1.0})  # in any order
    assert [multiplier(step) for step in (0, 2, 4, 7, 10, 1000)] == [0, 0.5, 1, 0.75, 0.5, 0.5]
    assert piecewise_linear({0: 0.25})(7) == 0.25
