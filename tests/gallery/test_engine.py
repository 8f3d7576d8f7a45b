"""Each operation of the gallery's engine computes what PyTorch does, on random shapes."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.gallery.node import operations, outputs
from zoo.gallery.tracing import UnknownOperationError, trace

SEEDS = range(2)
BATCH = 3


def sizes(seed: int) -> Callable[[int, int], int]:
    """A source of whole numbers between two."""
    generator = torch.Generator().manual_seed(seed)
    return lambda low, high: int(torch.randint(low, high + 1, (), generator=generator))


class Function(nn.Module):
    """A function of a tensor as a model."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


Case = tuple[nn.Module, list[int]]


def of_dense(n: Callable[[int, int], int]) -> Case:
    shape = [n(1, 3), n(2, 9)] if n(0, 1) else [n(2, 9)]
    return nn.Linear(shape[-1], n(1, 9), bias=bool(n(0, 1))), shape


def of_convolution(kind: type[nn.Module], n: Callable[[int, int], int]) -> Case:
    groups = n(1, 2)
    inputs, outputs_ = groups * n(1, 5), groups * n(1, 5)
    kernel, stride, dilation = (n(1, 4), n(1, 4)), (n(1, 3), n(1, 3)), (n(1, 2), n(1, 2))
    more: dict = {"groups": groups, "dilation": dilation, "bias": bool(n(0, 1))}
    if kind is nn.ConvTranspose2d:
        more["output_padding"] = tuple(min(n(0, 1), s - 1) for s in stride)
    layer = kind(inputs, outputs_, kernel, stride, (n(0, 2), n(0, 2)), **more)
    return layer, [inputs, n(8, 11), n(8, 11)]


def of_norm(before: Callable[..., Case], n: Callable[[int, int], int]) -> Case:
    layer, shape = before(n)
    made = layer(torch.zeros(2, *shape))
    norm = (nn.BatchNorm2d if made.ndim == 4 else nn.BatchNorm1d)(made.shape[1])
    statistics(norm)
    return nn.Sequential(layer, norm), shape


def statistics(norm: nn.Module) -> None:
    """Statistics and weights of a norm that is in use."""
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)


def of_norm_alone(n: Callable[[int, int], int]) -> Case:
    norm = nn.BatchNorm2d(n(1, 4))
    statistics(norm)
    return norm, [norm.num_features, n(1, 4), n(1, 4)]


def each(function: Callable[[Tensor], Tensor]) -> Callable[..., Case]:
    return lambda n: (Function(function), [n(1, 4), n(1, 4)])


def of_pooling(kind: type[nn.Module], n: Callable[[int, int], int]) -> Case:
    kernel = n(2, 3)
    return kind(kernel, n(1, 3), padding=n(0, kernel // 2)), [n(1, 3), n(5, 8), n(5, 8)]


def of_enlarging(n: Callable[[int, int], int]) -> Case:
    return nn.Upsample(scale_factor=n(2, 3)), [n(1, 3), n(1, 4), n(1, 4)]


def of_constants(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Case]:
    def make(n: Callable[[int, int], int]) -> Case:
        shape = [n(2, 4), n(2, 4)]
        other = torch.randn(1, *([(n(0, 1) and s) or 1 for s in shape])).abs() + 0.5
        module = Function(lambda x: operation(x, other) - 0.5 * operation(other, x))
        return module, shape

    return make


def of_axis(function: Callable[..., Tensor]) -> Callable[..., Case]:
    def make(n: Callable[[int, int], int]) -> Case:
        axis = n(1, 3)
        return Function(lambda x: function(x, dim=axis)), [n(2, 4), n(2, 4), n(2, 4)]

    return make


def of_mean(n: Callable[[int, int], int]) -> Case:
    return Function(lambda x: x.mean((2, 3))), [n(1, 4), n(1, 4), n(1, 4)]


def of_parts(n: Callable[[int, int], int]) -> Case:
    count = n(4, 8)

    def function(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        wide = torch.cat([second, first, x[:, 1:3]], dim=1)
        return functional.relu(wide)

    return Function(function), [count, n(1, 3)]


def of_order(n: Callable[[int, int], int]) -> Case:
    return Function(lambda x: x.permute(0, 2, 3, 1).contiguous()), [n(1, 4), n(1, 4), n(1, 4)]


def of_shape(n: Callable[[int, int], int]) -> Case:
    return nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten()), [6]


CASES: dict[str, Callable[..., Case]] = {
    "linear": of_dense,
    "conv2d": partial(of_convolution, nn.Conv2d),
    "conv_transpose2d": partial(of_convolution, nn.ConvTranspose2d),
    "conv2d, norm": partial(of_norm, partial(of_convolution, nn.Conv2d)),
    "conv_transpose2d, norm": partial(of_norm, partial(of_convolution, nn.ConvTranspose2d)),
    "linear, norm": partial(of_norm, lambda n: (nn.Linear(4, n(1, 6)), [4])),
    "affine": of_norm_alone,
    "relu": each(torch.relu),
    "sigmoid": each(torch.sigmoid),
    "tanh": each(torch.tanh),
    "exp": each(torch.exp),
    "sqrt": each(lambda x: torch.sqrt(x * x)),
    "neg": each(torch.neg),
    "silu": each(functional.silu),
    "softplus": each(functional.softplus),
    "elu": each(partial(functional.elu, alpha=0.7)),
    "leaky_relu": each(partial(functional.leaky_relu, negative_slope=0.2)),
    "gelu": each(functional.gelu),
    "gelu by tanh": each(partial(functional.gelu, approximate="tanh")),
    "clamp": each(partial(torch.clamp, min=-0.3, max=0.4)),
    "clamp from below": each(partial(torch.clamp_min, min=-0.3)),
    "add": of_constants(torch.add),
    "sub": of_constants(torch.sub),
    "mul": of_constants(torch.mul),
    "div": each(lambda x: x / (2 + x * x) + x / 3),
    "softmax": of_axis(torch.softmax),
    "sum": of_axis(torch.sum),
    "norm": of_axis(torch.linalg.vector_norm),
    "mean": of_mean,
    "max_pool2d": partial(of_pooling, nn.MaxPool2d),
    "avg_pool2d": partial(of_pooling, nn.AvgPool2d),
    "upsample_nearest2d": of_enlarging,
    "slice, cat": of_parts,
    "permute": of_order,
    "reshape": of_shape,
}


def traced(name: str, seed: int) -> tuple:
    """The module of a case, what the engine is sent, and inputs, wide ones among them."""
    torch.manual_seed(1000 * seed + len(name))
    module, shape = CASES[name](sizes(seed))
    network = trace(module, lambda model, values: model(values), shape)
    return module, network, 3 * torch.randn(BATCH, *shape)


@pytest.fixture(scope="module")
def computed() -> dict[tuple[str, int], tuple[Tensor, Tensor]]:
    """What PyTorch and the engine make of every case, by one process of node."""
    made = {(name, seed): traced(name, seed) for name in CASES for seed in SEEDS}
    found = outputs([(network, batch) for _, network, batch in made.values()])
    with torch.no_grad():
        return {
            key: (module.eval()(batch), output)
            for (key, (module, _, batch)), output in zip(made.items(), found, strict=True)
        }


@pytest.mark.parametrize("name", CASES)
def test_the_engine_computes_what_pytorch_does(name: str, computed: dict) -> None:
    for seed in SEEDS:
        wanted, found = computed[name, seed]
        torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-6)


def test_every_operation_of_the_engine_is_held_to_pytorch() -> None:
    tried = {node["op"] for name in CASES for node in traced(name, 0)[1].nodes}
    assert tried - {"constant"} == set(operations())


def test_a_norm_behind_a_convolution_costs_nothing() -> None:
    for name in ("conv2d, norm", "conv_transpose2d, norm", "linear, norm"):
        _, network, _ = traced(name, 0)
        assert len(network.nodes) == 1, name


def test_a_value_that_others_read_as_well_keeps_its_norm_apart() -> None:
    layer, norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
    statistics(norm)
    module = Function(lambda x: (y := layer(x)) + norm(y))
    module.layer, module.norm = layer, norm
    network = trace(module, lambda model, values: model(values), [4])
    batch = torch.randn(2, 4)
    with torch.no_grad():
        torch.testing.assert_close(outputs([(network, batch)])[0], module.eval()(batch))


def test_what_the_engine_lacks_is_named() -> None:
    for function, name in ((torch.cumsum, "cumsum"), (torch.flip, "flip")):
        module = Function(partial(function, **({"dim": 1} if name == "cumsum" else {"dims": [1]})))
        with pytest.raises(UnknownOperationError, match=name):
            trace(module, lambda model, values: model(values), [4])
