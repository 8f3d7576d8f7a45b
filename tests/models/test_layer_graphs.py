"""Laws of graphs of layers, whatever they were made of."""

import json
import weakref

import pytest
import torch

from tests.contract.subjects import tensors
from tests.tiny import LAYERS, graph
from zoo import LayersConfig, LayersModel
from zoo.models.images.layer_kinds import COMPUTATIONS

NORM = {"weights": ("scale", "offset"), "statistics": ("mean", "variance")}


def space(rank, turned):
    """A graph with convolutions, pooling, norm and two outputs in so many axes of space."""
    window = {"strides": [2] * rank, "padding": "same", "channels_first": False}
    window |= {"dilation_rate": [1] * rank, "activation": {"name": "tanh"}}
    kernel, sizes = [3] * rank, range(5, 5 + rank)
    norm = {"kind": "batch_norm", "axis": -1, "epsilon": 1e-3, "momentum": 0.99}
    numbers = {name: {each: [4] for each in pair} for name, pair in NORM.items()}
    pool = {"kind": "pool", "mode": "average", "pool_size": [2] * rank, "strides": None}
    table = graph(
        [[*sizes, 2]],
        ("there", [0], {"kind": "conv", "weights": {"weight": [4, 2, *kernel]}, **window}),
        ("norm", [1], norm | numbers),
        ("pool", [2], pool | {"padding": "same", "channels_first": False}),
        ("back", [2], {"kind": "conv_transpose", "weights": {"weight": [4, 3, *kernel]},
                       "output_padding": None, **window}),
        ("mean", [4], {"kind": "global_pool", "mode": "average", "keepdims": False,
                       "channels_first": False}),
        outputs=[4, 5, 3],
    )  # fmt: skip
    torch.manual_seed(0)
    model = LayersModel(LayersConfig(**table, channels_last=not turned)).eval()
    return model, torch.randn(2, *sizes, 2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_whole_outside_is_turned_where_there_is_an_image(rank):
    """Inputs and outputs of four axes or more; sequences and vectors stay as they are."""

    def turn(x):
        return x.movedim(-1, 1) if x.ndim > 3 else x

    (last, x), (first, _) = space(rank, False), space(rank, True)
    wanted, found = last(x).outputs, first(turn(x).contiguous()).outputs
    assert [one.ndim for one in wanted] == [rank + 2, 2, rank + 2]
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(turn(one), other, rtol=0, atol=1e-6)
    if rank > 1:
        with pytest.raises(ValueError, match="has the shape"):
            first(x)
    elsewhere = LayersModel(LayersConfig(**json.loads(first.config.to_json_string())))
    assert elsewhere.config.channels_last is False


def test_what_nothing_reads_any_more_is_let_go(monkeypatch):
    made, most = [], []

    def computed(weights, options, x):
        found = x + 1
        made.append(weakref.ref(found))
        most.append(sum(one() is not None for one in made))
        return found

    monkeypatch.setitem(COMPUTATIONS, "identity", computed)
    chain = [(f"layer_{number}", [number], {"kind": "identity"}) for number in range(9)]
    model = LayersModel(LayersConfig(**graph([[2]], *chain, outputs=[3, 9]))).eval()
    outputs = model(torch.zeros(1, 2)).outputs
    assert [float(one[0, 0]) for one in outputs] == [3, 9]
    assert most == [1, 2, 2, 2, 3, 3, 3, 3, 3]  # the last two, and the output since it is there


def alone(kind, x, options, weights=None, statistics=None):
    """A model of one layer, in training mode."""
    record = {"kind": kind, **options, "weights": weights or {}, "statistics": statistics or {}}
    table = graph([list(x.shape[1:])], ("one", [0], record), outputs=[1])
    return LayersModel(LayersConfig(**table)).train()


RATE = 0.3


@pytest.mark.parametrize("shared", [[], [1], [1, 2]])
def test_dropout_leaves_the_mean_and_decides_once_along_shared_axes(shared):
    x = 1 + torch.rand(400, 6, 5, 8)
    model = alone("dropout", x, {"rate": RATE, "shared_axes": shared})
    (found,) = model(x).outputs
    kept = found != 0
    torch.testing.assert_close(found[kept], x[kept] / (1 - RATE))
    assert kept.double().mean() == pytest.approx(1 - RATE, abs=0.03)
    first = kept
    for axis in shared:
        first = first.narrow(axis, 0, 1)
    assert torch.equal(kept, first.expand_as(kept))
    assert len(kept.flatten(1).unique(dim=0)) > 100  # examples are told apart
    assert torch.equal(model.eval()(x).outputs[0], x)


@pytest.mark.parametrize(
    ("kind", "options", "spread"),
    [
        ("gaussian_noise", {"stddev": 0.2}, 0.2),
        ("gaussian_dropout", {"rate": RATE}, 2 * (RATE / (1 - RATE)) ** 0.5),
    ],
)
def test_noise_has_its_spread_around_what_goes_in(kind, options, spread):
    x = torch.full((200, 500), 2.0)
    model = alone(kind, x, options)
    (found,) = model(x).outputs
    assert found.mean() == pytest.approx(2, abs=0.02)
    assert found.std() == pytest.approx(spread, rel=0.02)
    assert not torch.equal(found, model(x).outputs[0])
    assert torch.equal(model.eval()(x).outputs[0], x)


def test_alpha_dropout_keeps_mean_and_variance():
    x = torch.randn(200, 500)
    model = alone("alpha_dropout", x, {"rate": RATE})
    (found,) = model(x).outputs
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert found.std() == pytest.approx(1, rel=0.02)
    assert (found == x).double().mean() < 0.01
    assert torch.equal(model.eval()(x).outputs[0], x)


BATCH_NORM = {"axis": -1, "epsilon": 1e-3, "momentum": 0.8}


@pytest.mark.parametrize("frozen", [False, True])
def test_batches_are_normalised_by_their_own_statistics_and_move_the_stored_ones(frozen):
    x = 3 + 2 * torch.randn(40, 6, 4)
    options = BATCH_NORM | {"frozen": frozen}
    model = alone("batch_norm", x, options, statistics={"mean": [4], "variance": [4]})
    layer, flat = model.layers["one"], x.flatten(0, 1)
    (found,) = model(x).outputs
    if frozen:
        wanted = x / (1 + 1e-3) ** 0.5
        moved = torch.zeros(4), torch.ones(4)
    else:
        mean, variance = flat.mean(0), flat.var(0, correction=0)
        wanted = (x - mean) / (variance + 1e-3).sqrt()
        moved = 0.2 * mean, 0.8 + 0.2 * flat.var(0)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    for name, value in zip(("mean", "variance"), moved, strict=True):
        torch.testing.assert_close(layer.tensors()[name], value, rtol=1e-4, atol=1e-5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()(x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.slow  # tracing takes seconds
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_compiled_and_exported_as_one_graph(name):
    model = LayersModel(LayersConfig(**LAYERS[name])).eval()
    given, others = (tuple(tensors(model.config, size).values()) for size in (4, 3))
    torch._dynamo.reset()
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        wanted = model(*others).outputs
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        shapes = {"inputs": tuple({0: batch} for _ in given)}
        exported = torch.export.export(model, given, dynamic_shapes=shapes).module()
        for found in (compiled(*others).outputs, exported(*others).outputs):
            for one, other in zip(found, wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
