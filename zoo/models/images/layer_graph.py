"""A graph of layers: what computes one, and what a configuration has to say of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from .layer_kinds import COMPUTATIONS, OF_IDS

MAX_AXES = 8
MOMENTUM = 0.99  # Keras's, where options name none

#: Where a new model's tensors begin, those of Keras's layers; all others at zero.
ONES = ("scale", "variance")


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
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

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

    It computes as the original does in inference: dropout and noise do nothing. Convolutions see
    their images with channels first; between layers values lie as in the original, so that every
    axis that an option names is the axis that it was.

    Args:
        table: what `check_graph` takes.
        batch_statistics: whether in training mode batches are normalised by their own statistics,
            which then move the stored ones on; else the stored ones serve in every mode.
    """

    def __init__(self, table: Mapping[str, Any], *, batch_statistics: bool = False) -> None:
        layers = table.get("layers") or {}
        # As they are computed: a configuration that is saved sorts its names.
        names = dict.fromkeys([node["layer"] for node in table.get("nodes") or ()])
        super().__init__({name: Weights(layers[name]) for name in names})
        self._table = table
        self._batch_statistics = batch_statistics

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
        dtype = self._dtype(values)
        for node in self._path(frozenset(values), wanted):
            layer = cast(Weights, self[node["layer"]])
            kind: str = layer.options["kind"]
            inputs = [values[one] for one in node["inputs"]]
            if kind not in OF_IDS:
                inputs = [x.to(dtype) for x in inputs]
            more = {} if node.get("mask") is None else {"mask": values[node["mask"]]}
            if kind == "batch_norm" and self.training and self._batch_statistics:
                made: Any = _learn_batch_norm(layer.tensors(), layer.options, *inputs)
            else:
                made = COMPUTATIONS[kind](layer.tensors(), layer.options, *inputs, **more)
            made = made if isinstance(made, tuple) else (made,)
            values |= dict(zip(node["outputs"], made, strict=True))
        return [values[one] for one in wanted]

    def _dtype(self, values: Mapping[int, Tensor]) -> torch.dtype:
        """What the graph computes in: the type of its tensors, or of what it is given."""
        own: Iterator[Tensor] = (
            tensor
            for tensors in (self.parameters(), self.buffers(), values.values())
            for tensor in tensors
        )
        return next((one.dtype for one in own if one.is_floating_point()), torch.float32)

    def _path(self, known: frozenset[int], wanted: Sequence[int]) -> list[dict[str, Any]]:
        """The nodes that lead from some tensors to others."""
        needed, path = set(wanted) - known, []
        for node in reversed(self._table["nodes"]):
            if needed & set(node["outputs"]):
                path.append(node)
                used = {*node["inputs"], *([] if node.get("mask") is None else [node["mask"]])}
                needed = (needed - set(node["outputs"])) | (used - known)
        return path[::-1]


def _learn_batch_norm(weights: Mapping[str, Tensor], options: Mapping[str, Any], x: Tensor) -> Any:
    """Normalise by the batch's own statistics, and move the stored ones on."""
    found = F.batch_norm(
        x.movedim(options["axis"], 1),
        weights["mean"],
        weights["variance"],
        weights.get("scale"),
        weights.get("offset"),
        training=True,
        momentum=1 - options.get("momentum", MOMENTUM),
        eps=options["epsilon"],
    )
    return found.movedim(1, options["axis"])


def check_graph(table: Mapping[str, Any], place: str = "") -> None:
    """Raise `ValueError` unless the layers, nodes and tensors of a graph fit together.

    Args:
        table: `layers` by the name of the module that has its weights: `name` in the original,
            `kind` (one of the computations of `layer_kinds`), its options, `weights` and
            `statistics` with the shape of each; `nodes`, computations in their order: `layer`, and
            the numbers of the tensors `inputs`, `outputs` and, where one is used, `mask`;
            `inputs`, what goes in: `name`, `shape` with the batch first and null for any size, and
            `tensor`, its number; `outputs`, numbers of the tensors that come out.
        place: how the table is called in front of its keys, in messages.
    """
    try:
        _check(table, place)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"{place.rstrip('.') or 'layers'}: is no graph of layers: {error!r}"
        ) from error


def _check(table: Mapping[str, Any], place: str) -> None:
    layers = table.get("layers") or {}
    for name, record in layers.items():
        if not isinstance(record, dict) or record.get("kind") not in COMPUTATIONS:
            raise ValueError(f"{place}layers.{name} has no kind that there is: {record!r:.80}")
        for shapes in (record.get("weights", {}), record.get("statistics", {})):
            for weight, shape in shapes.items():
                sizes = all(type(size) is int and size > 0 for size in shape)
                if not sizes or len(shape) > MAX_AXES or math.prod(shape) > 2**40:
                    raise ValueError(f"{place}layers.{name}.{weight} has the shape {shape!r:.80}")
    made = {one["tensor"] for one in table.get("inputs") or ()}
    for node in table.get("nodes") or ():
        used = [*node["inputs"], *filter(None, [node.get("mask")])]
        if node["layer"] not in layers or not made.issuperset(used):
            raise ValueError(f"{place}nodes: one reads what none before it makes: {node!r:.80}")
        made |= set(node["outputs"])
    if not made.issuperset(table.get("outputs") or ()):
        raise ValueError(f"{place}outputs {table['outputs']!r:.80} are made by no node")


def black_and_white(pixel_range: Sequence[float]) -> tuple[float, float]:
    """The two ends of a range of pixels, or `ValueError` where it is none."""
    values = tuple(pixel_range)
    if len(values) != 2 or not -math.inf < values[0] < values[1] < math.inf:
        raise ValueError(f"pixel_range must be two numbers, black below white, got {values}")
    return values[0], values[1]
