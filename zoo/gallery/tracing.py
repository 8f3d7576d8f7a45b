"""A part of a model as a network that the gallery's engine runs: operations as data.

What `torch.export` sees becomes one node for each operation, for one example without a batch.
`engine.js` says what a node has; the names of its operations are those of PyTorch.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

#: Functions of each entry with nothing to set.
PLAIN = ("relu", "sigmoid", "tanh", "exp", "sqrt", "neg", "silu")
#: What changes nothing for one example that is only read.
NOTHING = (
    "to", "contiguous", "clone", "detach", "dropout", "alias", "lift_fresh_copy", "_to_copy",
    "type_as", "feature_dropout",
)  # fmt: skip
RESHAPED = ("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze")
#: Checks without a result.
CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range")


class UnknownOperationError(Exception):
    """A network has an operation that the engine lacks."""


@dataclass
class Network:
    """What the engine runs; see `engine.js`.

    Attributes:
        inputs: shapes without a batch.
        nodes: operations in order.
        tensors: their weights and constants, float32 on the CPU.
        output: number of the value that comes out.
        shape: of that, without a batch.
    """

    inputs: list[list[int]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    output: int = 0
    shape: list[int] = field(default_factory=list)


class Part(nn.Module):
    """A function of a model's as a module."""

    def __init__(self, model: nn.Module, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, values: Tensor) -> Tensor:
        """What the function gives."""
        return self.function(self.model, values)


def trace(
    model: nn.Module, function: Callable[[Any, Tensor], Tensor], shape: Sequence[int]
) -> Network:
    """The network of a function of a model in eval mode.

    Args:
        model: in float32 on the CPU.
        function: of the model and a batch.
        shape: of one example.

    Raises:
        UnknownOperationError: the engine lacks an operation.
        Exception: whatever `torch.export` raises where a model cannot be exported.
    """
    example = torch.zeros(1, *shape)
    with torch.no_grad():
        program = torch.export.export(Part(model.eval(), function), (example,))
    return _Tracer(program).network()


class _Tracer:
    """From an exported program to a network."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.made = Network()
        self.numbers: dict[Node, int] = {}  # of values
        self.stored: dict[Node, Tensor] = {}  # weights
        self.parts: dict[Node, list[int]] = {}  # of what gives several values

    def network(self) -> Network:
        signature = self.program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        names |= signature.inputs_to_lifted_tensor_constants
        tensors = {**self.program.state_dict, **self.program.constants}
        for node in self.program.graph.nodes:
            if node.op == "placeholder" and node.name in names:
                self.stored[node] = tensors[names[node.name]].detach()
            elif node.op == "placeholder":
                self.numbers[node] = len(self.made.inputs)
                self.made.inputs.append(_shape(node))
            elif node.op == "call_function":
                self.call(node)
            elif node.op == "output":
                (result,) = node.args[0]
                self.made.output, self.made.shape = self.value(result), _shape(result)
        return self.made

    def call(self, node: Node) -> None:
        """Add what an operation becomes."""
        name = _name(node)
        if name in CHECKS:
            return
        if node.target is operator.getitem:
            whole: Any = node.args[0]
            place: Any = node.args[1]
            self.numbers[node] = self.parts[whole][place]
            return
        handle = getattr(self, f"on_{name}", None)
        if name in NOTHING:
            self.numbers[node] = self.value(node.args[0])
        elif name in RESHAPED:
            self.add(node, "reshape", node.args[:1])
        elif name in PLAIN:
            self.add(node, name, node.args[:1])
        elif name in ("add", "sub", "mul", "div") and not node.kwargs:
            self.add(node, name, node.args, inputShapes=list(map(self.shape, node.args)))
        elif handle is not None:
            handle(node, *node.args, **node.kwargs)
        else:
            raise UnknownOperationError(name)

    def add(
        self,
        node: Node | None,
        op: str,
        sources: Sequence[Any],
        shape: list[int] | None = None,
        **settings: Any,
    ) -> int:
        """Add a node; the number of its value."""
        made: dict[str, Any] = {"op": op, "from": list(map(self.value, sources))}
        made["shape"] = _shape(node) if shape is None and node is not None else shape
        if op not in PLAIN and sources and "inputShapes" not in settings:
            made["inputShape"] = self.shape(sources[0])
        self.made.nodes.append(made | settings)
        number = len(self.made.inputs) + len(self.made.nodes) - 1
        if node is not None:
            self.numbers[node] = number
        return number

    def value(self, source: Any) -> int:
        """The number of a value; constants become nodes."""
        if isinstance(source, int | float):
            return self.constant(torch.tensor([float(source)]))
        if source in self.stored:
            tensor = self.stored[source]
            return self.constant(tensor[0] if tensor.ndim and len(tensor) == 1 else tensor)
        return self.numbers[source]

    def constant(self, tensor: Tensor) -> int:
        """A node that is a tensor."""
        shape = list(tensor.shape)
        self.made.nodes.append({"op": "constant", "tensor": self.tensor(tensor), "shape": shape})
        return len(self.made.inputs) + len(self.made.nodes) - 1

    def shape(self, source: Any) -> list[int]:
        """The shape of a value, without a batch."""
        if isinstance(source, int | float):
            return [1]
        if source in self.stored:
            shape = list(self.stored[source].shape)
            return shape[1:] if shape and shape[0] == 1 else shape
        return _shape(source)

    def tensor(self, tensor: Tensor) -> int:
        """The place of a tensor among those of the network."""
        self.made.tensors.append(tensor.float().contiguous())
        return len(self.made.tensors) - 1

    def weights(self, **nodes: Any) -> dict[str, int]:
        """Places of those weights that there are."""
        return {
            name: self.tensor(self.stored[node])
            for name, node in nodes.items()
            if node is not None
        }

    def on_linear(self, node: Node, x: Any, weight: Any, bias: Any = None) -> None:
        self.add(
            node, "linear", [x],
            weights=self.weights(weight=weight, bias=bias),
            weightShape=list(self.stored[weight].shape),
        )  # fmt: skip

    def on_conv2d(
        self, node: Node, x: Any, weight: Any, bias: Any = None, stride: Any = (1, 1),
        padding: Any = (0, 0), dilation: Any = (1, 1), groups: int = 1,
    ) -> None:  # fmt: skip
        self.convolve(node, "conv2d", x, weight, bias, stride, padding, dilation, groups)

    def on_conv_transpose2d(
        self, node: Node, x: Any, weight: Any, bias: Any = None, stride: Any = (1, 1),
        padding: Any = (0, 0), output_padding: Any = (0, 0), groups: int = 1,
        dilation: Any = (1, 1),
    ) -> None:  # fmt: skip
        # What is padded on the other side only makes the output larger, as its shape says.
        self.convolve(node, "conv_transpose2d", x, weight, bias, stride, padding, dilation, groups)

    def convolve(
        self, node: Node, op: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
        dilation: Any, groups: int,
    ) -> None:  # fmt: skip
        if isinstance(padding, str):
            raise UnknownOperationError(f"{op} with padding {padding!r}")
        self.add(
            node, op, [x],
            weights=self.weights(weight=weight, bias=bias),
            weightShape=list(self.stored[weight].shape),
            stride=_pair(stride), padding=_pair(padding), dilation=_pair(dilation), groups=groups,
        )  # fmt: skip

    def on_batch_norm(
        self, node: Node, x: Any, weight: Any, bias: Any, mean: Any, variance: Any,
        training: bool, momentum: float, eps: float, enabled: bool = True,
    ) -> None:  # fmt: skip
        """A factor and a summand of each channel, folded into what comes before if it can be."""
        found = self.stored[variance].double()
        scale = (found + eps).rsqrt()
        if weight is not None:
            scale = scale * self.stored[weight].double()
        shift = -self.stored[mean].double() * scale
        if bias is not None:
            shift = shift + self.stored[bias].double()
        numbers = {"scale": self.tensor(scale), "shift": self.tensor(shift)}
        alone = len(x.users) == 1 and x.op == "call_function"
        before = self.made.nodes[self.numbers[x] - len(self.made.inputs)] if alone else {}
        weights = before.get("weights", {})
        if "weight" in weights and "scale" not in weights:
            weights |= numbers
            self.numbers[node] = self.numbers[x]
        else:
            self.add(node, "affine", [x], weights=numbers)

    def on_max_pool2d(
        self, node: Node, x: Any, kernel: Any, stride: Any = (), padding: Any = (0, 0),
        dilation: Any = (1, 1), ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        if ceil_mode or set(_pair(dilation)) != {1}:
            raise UnknownOperationError("max_pool2d with dilation or ceil_mode")
        self.pool(node, "max_pool2d", x, kernel, stride, padding)

    def on_avg_pool2d(
        self, node: Node, x: Any, kernel: Any, stride: Any = (), padding: Any = (0, 0),
        ceil_mode: bool = False, count_include_pad: bool = True, divisor: int | None = None,
    ) -> None:  # fmt: skip
        if (
            ceil_mode
            or divisor is not None
            or not (count_include_pad or set(_pair(padding)) == {0})
        ):
            raise UnknownOperationError("avg_pool2d with settings of its own")
        self.pool(node, "avg_pool2d", x, kernel, stride, padding)

    def pool(self, node: Node, op: str, x: Any, kernel: Any, stride: Any, padding: Any) -> None:
        steps = _pair(stride) if stride else _pair(kernel)
        self.add(node, op, [x], kernel=_pair(kernel), stride=steps, padding=_pair(padding))

    def on_upsample_nearest2d(self, node: Node, x: Any, *settings: Any) -> None:
        self.add(node, "upsample_nearest2d", [x])

    def on_softplus(self, node: Node, x: Any, beta: float = 1, threshold: float = 20) -> None:
        if beta != 1:
            raise UnknownOperationError(f"softplus with beta {beta}")
        self.add(node, "softplus", [x])

    def on_elu(self, node: Node, x: Any, alpha: float = 1, scale: float = 1, *more: Any) -> None:
        if scale != 1:
            raise UnknownOperationError("elu with a scale")
        self.add(node, "elu", [x], alpha=alpha)

    def on_leaky_relu(self, node: Node, x: Any, slope: float = 0.01) -> None:
        self.add(node, "leaky_relu", [x], slope=slope)

    def on_gelu(self, node: Node, x: Any, approximate: str = "none") -> None:
        self.add(node, "gelu", [x], approximate=approximate == "tanh")

    def on_clamp(
        self, node: Node, x: Any, low: Any = None, high: Any = None, **named: Any
    ) -> None:
        self.add(node, "clamp", [x], low=named.get("min", low), high=named.get("max", high))

    def on_clamp_min(self, node: Node, x: Any, min: Any) -> None:
        self.on_clamp(node, x, min)

    def on_softmax(self, node: Node, x: Any, axis: int, dtype: Any = None) -> None:
        self.add(node, "softmax", [x], axis=self.axis(x, axis))

    def on_mean(self, node: Node, x: Any, axes: Any, keepdim: bool = False) -> None:
        self.reduce(node, "mean", x, axes)

    def on_sum(self, node: Node, x: Any, axes: Any, keepdim: bool = False) -> None:
        self.reduce(node, "sum", x, axes)

    def on_linalg_vector_norm(
        self, node: Node, x: Any, order: float = 2, axes: Any = None, keepdim: bool = False
    ) -> None:
        if order != 2 or axes is None:
            raise UnknownOperationError("a norm other than that of vectors")
        self.reduce(node, "norm", x, axes)

    def reduce(self, node: Node, op: str, x: Any, axes: Any) -> None:
        """Along one axis, or along several that end the shape, as one."""
        shape = self.shape(x)
        chosen = sorted(self.axis(x, axis) for axis in axes)
        if chosen != list(range(chosen[0], chosen[0] + len(chosen))):
            raise UnknownOperationError(f"{op} along axes apart")
        first, last = chosen[0], chosen[-1]
        joined = [*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]]
        self.add(node, op, [x], axis=first)
        self.made.nodes[-1]["inputShape"] = joined

    def on_slice(
        self, node: Node, x: Any, axis: int = 0, start: Any = 0, end: Any = None, step: int = 1
    ) -> None:
        if axis == 0:  # of the batch, whole
            self.numbers[node] = self.value(x)
            return
        if step != 1:
            raise UnknownOperationError("slice with steps")
        count = self.shape(x)[self.axis(x, axis)]
        first = min(start or 0, count)
        self.add(node, "slice", [x], axis=self.axis(x, axis), start=first % count if count else 0)

    def on_chunk(self, node: Node, x: Any, count: int, axis: int = 0) -> None:
        place = self.axis(x, axis)
        length = self.shape(x)[place]
        width = -(-length // count)
        self.split(node, x, [min(width, length - at) for at in range(0, length, width)], place)

    def on_split_with_sizes(self, node: Node, x: Any, sizes: Any, axis: int = 0) -> None:
        self.split(node, x, sizes, self.axis(x, axis))

    def split(self, node: Node, x: Any, sizes: Sequence[int], axis: int) -> None:
        shape, start, self.parts[node] = self.shape(x), 0, []
        for width in sizes:
            made = [*shape[:axis], width, *shape[axis + 1 :]]
            self.parts[node].append(self.add(None, "slice", [x], made, axis=axis, start=start))
            start += width

    def on_cat(self, node: Node, parts: Any, axis: int = 0) -> None:
        self.add(node, "cat", list(parts), axis=self.axis(parts[0], axis))

    def on_permute(self, node: Node, x: Any, order: Any) -> None:
        whole = len(self.shape(x)) + 1
        moved = [axis % whole for axis in order]
        if moved[0] != 0:
            raise UnknownOperationError("permute of the batch")
        self.add(node, "permute", [x], order=[axis - 1 for axis in moved[1:]])

    def on_transpose(self, node: Node, x: Any, first: int, second: int) -> None:
        order = list(range(len(self.shape(x)) + 1))
        order[first], order[second] = order[second], order[first]
        self.on_permute(node, x, order)

    def on_expand_as(self, node: Node, x: Any, like: Any) -> None:
        """By adding zero, which goes with all."""
        wide = self.shape(like)
        zeros = self.add(None, "mul", [like, 0], wide, inputShapes=[wide, [1]])
        whole = {"op": "add", "from": [self.value(x), zeros], "shape": wide}
        self.made.nodes.append(whole | {"inputShapes": [self.shape(x), wide]})
        self.numbers[node] = len(self.made.inputs) + len(self.made.nodes) - 1

    def axis(self, x: Any, axis: int) -> int:
        """An axis of a batch as one of an example."""
        found = axis % (len(self.shape(x)) + 1)
        if found == 0:
            raise UnknownOperationError("an operation along the batch")
        return found - 1


def _name(node: Node) -> str:
    """The name of an operation, without its overload."""
    name = str(node.target)
    return name.split(".")[1].rstrip("_") if name.startswith("aten.") else name


def _shape(node: Node) -> list[int]:
    """The shape of a value, without its batch of one."""
    return [int(side) for side in node.meta["val"].shape][1:]


def _pair(value: Any) -> list[int]:
    """Two numbers, of one or of two."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * 2 if len(numbers) == 1 else numbers
