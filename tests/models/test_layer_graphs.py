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
    model = LayersModel(LayersConfig(**graph([[2]], *chain, outputs=[3, 9])))
    outputs = model(torch.zeros(1, 2)).outputs
    assert [float(one[0, 0]) for one in outputs] == [3, 9]
    assert most == [1, 2, 2, 2, 3, 3, 3, 3, 3]  # the last two, and the output since it is there


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
