"""A graph of layers: what computes one, and what a configuration has to say of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .layer_kinds import COMPUTATIONS, OF_IDS
from .layer_training import LEARNING

MAX_AXES = 8
MAX_SIZE = 2**40  # of a tensor

#: Where a new model's tensors begin, those of Keras's layers; all others at zero.
ONES = ("scale", "variance")


Mask = int | Sequence[int | None] | None


class Node(NamedTuple):
    """One computation of a path.

    Attributes:
        layer: its name.
        kind: of its computation.
        inputs: numbers of tensors.
        outputs: likewise.
        mask: the number of a mask of steps, if one is used; those of an attention.
        spent: numbers of those that nothing behind it needs: their memory serves again.
    """

    layer: str
    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    mask: Mask
    spent: Sequence[int]


class Weights(nn.Module):
    """The tensors of one layer: weights are trained, statistics are not."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__()
        for name, shape in sorted(record.get("weights", {}).items()):
            self.register_parameter(name, nn.Parameter(torch.empty(tuple(shape))))
        for name, shape in sorted(record.get("statistics", {}).items()):
            self.register_buffer(name, torch.empty(tuple(shape)))
        self.options = {
            key: value for key, value in record.items() if key not in ("weights", "statistics")
        }

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        # What named_parameters gives, which takes longer than many a layer.
        return cast(dict[str, Tensor], {**self._parameters, **self._buffers})

    @torch.no_grad()
    def begin(self) -> None:
        """Set what was not loaded: ones, Glorot's rule for matrices, zeros."""
        for name, tensor in self.tensors().items():
            if name in ONES:
                init.ones_(tensor)
            elif tensor.ndim > 1:
                init.xavier_uniform_(tensor)
            else:
                init.zeros_(tensor)


class LayerGraph(nn.ModuleDict):
    """Layers by name, and the order in which they compute.

    In evaluation mode it computes as the original does in inference, in training mode as in its
    `fit`: dropout and noise are random, and batches are normalised by their own statistics, which
    move the stored ones on, but in layers that are frozen. What augments images, dropout inside
    recurrent and attention layers, and batches inside `time_distributed` are left as in inference.
    Convolutions see their images with channels first; between layers values lie as in the
    original, so that every axis that an option names is the axis that it was.

    Args:
        table: what `check_graph` takes.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        layers = table.get("layers") or {}
        # As they are computed: a configuration that is saved sorts its names.
        names = dict.fromkeys([node["layer"] for node in table.get("nodes") or ()])
        super().__init__({name: Weights(layers[name]) for name in names})
        self._table = table
        self._typed = next((name for name in names if _is_typed(layers[name])), None)
        self._paths: dict[tuple[frozenset[int], tuple[int, ...]], list[Node]] = {}
        self._path(
            frozenset(one["tensor"] for one in table.get("inputs") or ()),
            tuple(table.get("outputs") or ()),
        )

    def forward(
        self, values: Mapping[int, Tensor], wanted: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Tensors by number, from others.

        Args:
            values: those that are known.
            wanted: numbers; None for the outputs.
        """
        values = dict(values)
        wanted = self._table["outputs"] if wanted is None else wanted
        dtype, modules = self._dtype(values), self._modules
        computations = LEARNING if self.training else COMPUTATIONS
        for node in self._path(frozenset(values), tuple(wanted)):
            layer = cast(Weights, modules[node.layer])
            inputs = [values[one] for one in node.inputs]
            if node.kind not in OF_IDS:
                inputs = [x if x.dtype == dtype else x.to(dtype) for x in inputs]
            more = {} if node.mask is None else {"mask": _masks(values, node.mask)}
            compute = computations[node.kind]
            try:
                made = compute(layer.tensors(), layer.options, *inputs, **more)
            except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
                name = layer.options.get("name", node.layer)
                raise ValueError(
                    f"layer {name!r} ({node.kind}) lacks an option or a weight, or has one of "
                    f"another type: {error!r}"
                ) from error
            if isinstance(made, tuple):
                values |= zip(node.outputs, made, strict=True)
            else:
                (one,) = node.outputs
                values[one] = made
            del inputs, more, made
            for one in node.spent:
                del values[one]
        return [values[one] for one in wanted]

    def _dtype(self, values: Mapping[int, Tensor]) -> torch.dtype:
        """What the graph computes in: the type of its tensors, or of what it is given."""
        if self._typed is not None:
            layer = cast(Weights, self._modules[self._typed])
            return next(iter(layer.tensors().values())).dtype
        given = (one.dtype for one in values.values() if one.is_floating_point())
        return next(given, torch.float32)

    def _path(self, known: frozenset[int], wanted: tuple[int, ...]) -> list[Node]:
        """The nodes that lead from some tensors to others; looked for once."""
        if (found := self._paths.get((known, wanted))) is not None:
            return found
        needed, path, later = set(wanted) - known, [], set(wanted)
        for node in reversed(self._table.get("nodes") or ()):
            mask, made = node.get("mask"), set(node["outputs"])
            if needed & made:
                used = {*node["inputs"], *_listed(mask)}
                name, spent = node["layer"], tuple((used | made) - later)
                kind = self._table["layers"][name]["kind"]
                path.append(Node(name, kind, node["inputs"], node["outputs"], mask, spent))
                needed = (needed - made) | (used - known)
                later |= used
        if needed:
            names = sorted({node.layer for node in path if needed & {*node.inputs}})
            raise ValueError(f"{', '.join(names)}: what goes in is made of inputs that are absent")
        self._paths[known, wanted] = path[::-1]
        return self._paths[known, wanted]


def _listed(mask: Mask) -> list[int]:
    """Numbers of masks: of the one, or of those of an attention that it has."""
    masks = [mask] if mask is None or isinstance(mask, int) else mask
    return [one for one in masks if one is not None]


def _masks(values: Mapping[int, Tensor], mask: Mask) -> Any:
    """The mask of a node, or its masks, true where a step counts."""
    if mask is None or isinstance(mask, int):
        return None if mask is None else values[mask].bool()
    return [_masks(values, one) for one in mask]


def _is_typed(record: Mapping[str, Any]) -> bool:
    """Whether a layer has tensors."""
    return bool(record.get("weights") or record.get("statistics"))


def check_graph(table: Mapping[str, Any], place: str = "") -> None:
    """Raise `ValueError` unless the layers, nodes and tensors of a graph fit together.

    Args:
        table: `layers` by the name of the module that has its weights: `name` in the original,
            `kind` (one of the computations of `layer_kinds`), its options, `weights` and
            `statistics` with the shape of each; `nodes`, computations in their order: `layer`, and
            the numbers of the tensors `inputs`, `outputs` and, where one is used, `mask` (of
            attention a list: of query, value, key, and of pairs of steps, null where one lacks);
            `inputs`, what goes in: `name`, `shape` with the batch first and null for any size, and
            `tensor`, its number; `outputs`, numbers of the tensors that come out; `parts`, models
            in the model by name: `inputs` and `outputs`, numbers of tensors.
        place: how the table is called in front of its keys, in messages.
    """
    table = {key: value for key, value in table.items() if value is not None}
    layers = _table(table.get("layers", {}), f"{place}layers")
    for name, record in layers.items():
        _check_layer(name, record, place)
    made = set()
    for number, one in enumerate(_list(table.get("inputs", ()), f"{place}inputs")):
        what = f"{place}inputs[{number}]"
        made |= set(_numbers([_table(one, what).get("tensor")], f"{what}.tensor"))
        if not isinstance(one.get("name"), str):
            raise ValueError(f"{what}.name is no text: {one.get('name')!r:.80}")
        if one.get("shape", ()) is not None:  # of any size where it is null
            sizes = _list(one.get("shape"), f"{what}.shape")
            _numbers([size for size in sizes if size is not None], f"{what}.shape")
    for number, node in enumerate(_list(table.get("nodes", ()), f"{place}nodes")):
        what = f"{place}nodes[{number}]"
        layer = _table(node, what).get("layer")
        if not isinstance(layer, str) or layer not in layers:
            raise ValueError(f"{what} is of the layer {layer!r:.80}, which is not there")
        used = _numbers(node.get("inputs"), f"{what}.inputs")
        mask = node.get("mask")
        masks = mask if isinstance(mask, list | tuple) else [mask]
        used += _numbers([one for one in masks if one is not None], f"{what}.mask")
        outputs = _numbers(node.get("outputs"), f"{what}.outputs")
        if not made.issuperset(used):
            raise ValueError(f"{what} reads what none before it makes: {node!r:.80}")
        made |= set(outputs)
    if not made.issuperset(_numbers(table.get("outputs", ()), f"{place}outputs")):
        raise ValueError(f"{place}outputs {table['outputs']!r:.80} are made by no node")
    for name, part in _table(table.get("parts", {}), f"{place}parts").items():
        what = f"{place}parts.{name}"
        ends = _numbers(_table(part, what).get("inputs"), f"{what}.inputs")
        ends += _numbers(part.get("outputs"), f"{what}.outputs")
        if not made.issuperset(ends):
            raise ValueError(f"{what} {part!r:.80} has tensors that no node makes")


def _check_layer(name: str, record: Any, place: str) -> None:
    what = f"{place}layers.{name}"
    kind = _table(record, what).get("kind")
    if not isinstance(kind, str) or kind not in COMPUTATIONS:
        raise ValueError(f"{what} has no kind that there is: {record!r:.80}")
    _check_name(name, what, nn.ModuleDict)
    for key in ("weights", "statistics"):
        for weight, shape in _table(record.get(key, {}), f"{what}.{key}").items():
            _check_name(weight, f"{what}.{key}", nn.Module)
            sizes = _numbers(shape, f"{what}.{weight}")
            if 0 in sizes or len(sizes) > MAX_AXES or math.prod(sizes) > MAX_SIZE:
                raise ValueError(f"{what}.{weight} has the shape {shape!r:.80}")


def _check_name(name: Any, what: str, module: type[nn.Module]) -> None:
    """Raise unless PyTorch takes a name for a part of a module."""
    if not isinstance(name, str) or not name or "." in name or hasattr(module, name):
        raise ValueError(f"{what}: {name!r:.80} is no name that a part of a model can have")


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no table: {value!r:.80}")
    return value


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} is no list: {value!r:.80}")
    return value


def _numbers(value: Any, what: str) -> list[int]:
    found = [one for one in _list(value, what) if type(one) is int and one >= 0]
    if len(found) < len(value):
        raise ValueError(f"{what} is no list of whole numbers: {value!r:.80}")
    return found


def black_and_white(pixel_range: Sequence[float]) -> tuple[float, float]:
    """The two ends of a range of pixels, or `ValueError` where it is none."""
    values = tuple(pixel_range)
    if len(values) != 2 or not -math.inf < values[0] < values[1] < math.inf:
        raise ValueError(f"pixel_range must be two numbers, black below white, got {values}")
    return values[0], values[1]
