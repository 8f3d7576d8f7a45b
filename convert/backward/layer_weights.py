"""Weights of a folder of layers as those of a Keras file: values put back where they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from convert.layers.graph import Network
from convert.layers.placing import Placed
from convert.layers.rows import Weight
from convert.layers.weights import in_folders, in_groups
from convert.weights.lazy import LazyTensor, whole
from convert.weights.ops import inverse
from convert.weights.steps import Step
from convert.writers import Outgoing

if TYPE_CHECKING:
    import numpy as np

STRIP = 32 * 2**20  # bytes of a tensor at a time: each strip of a transposed one reads all of it

#: What Keras calls the weights of a computation; "" is any other.
NAMES = {
    "": {
        "weight": "kernel", "slope": "alpha", "scale": "gamma", "offset": "beta",
        "mean": "moving_mean", "variance": "moving_variance", "vector_u": "sn_u",
    },
    "embedding": {"weight": "embeddings"},
    "depthwise_conv": {"weight": "depthwise_kernel"},
    "separable_conv": {"weight": "depthwise_kernel", "pointwise": "pointwise_kernel"},
    "normalize": {"mean": "mean", "variance": "variance"},
    "attention": {"scale": "scale"},
    "additive_attention": {"scale": "scale"},
    "multi_head_attention": {
        f"{part}_{name}": f"{'attention_output' if part == 'output' else part}/{name}"
        for part in ("query", "key", "value", "output") for name in ("kernel", "bias")
    },
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """Where the weights of a network lie in a folder.

    Attributes:
        network: under the names of the new file.
        tensors: of the folder, by name.
        places: of each layer of the network, the name of its module.
        dtype: of the new file's numbers.
    """

    network: Network
    tensors: Mapping[str, LazyTensor]
    places: Mapping[str, str]
    dtype: np.dtype

    def source(self, path: str, weight: Weight) -> str:
        """The tensor of the folder that a weight is."""
        return f"layers.{self.places[path]}.{weight.name}"

    def groups(self) -> dict[str, list[tuple[Step, Outgoing]]]:
        """Of an HDF5 file: all layers, each with its weights in order."""
        return {
            name: [
                self._outgoing(slot.path, slot.weight, self._name(name, slot.path, slot.weight))
                for slot in slots
            ]
            for name, slots in in_groups(self.network)
        }

    def folders(self) -> list[tuple[Step, Outgoing]]:
        """Of an archive of Keras 3: weights by their places."""
        found = []
        for path, name, place in in_folders(self.network):
            weight = next(one for one in self.network.layers[path].weights if one.name == name)
            found.append(self._outgoing(path, weight, place))
        return found

    def _name(self, top: str, path: str, weight: Weight) -> str:
        """`layer/kernel:0`, where a layer of a model leaves the model's name out."""
        placed = self.network.layers[path]
        inner = path.removeprefix(f"{top}/") if path != top else path
        return f"{inner}/{_inside(placed, weight)}:0"

    def _outgoing(self, path: str, weight: Weight, name: str) -> tuple[Step, Outgoing]:
        if weight.kept:
            source = self.source(path, weight)
            back = inverse(weight.op)
            step = Step((source,), name, weight.shape, back)
            pieces = partial(_pieces, back.view(self.tensors[source]))
        else:
            step = Step(("computed",), name, weight.shape, weight.op)
            pieces = partial(_filled, weight, self.dtype)
        return step, Outgoing(name, weight.shape, self.dtype, pieces)


def _inside(placed: Placed, weight: Weight) -> str:
    """What Keras calls a weight, behind the layers inside of the layer."""
    *folders, last = [*filter(None, weight.inside.split("/")), weight.name]
    for before in ("forward_", "backward_"):
        last = last.removeprefix(before) if f"{before}layer" in folders else last
    compute = placed.compute
    if inner := placed.options.get("layer") or placed.options.get("forward"):
        compute = inner["kind"]
    names = NAMES[""] | NAMES.get(compute, {})
    last = names.get(last, last)
    return last if "/" in last else "/".join([*folders, last])


def _pieces(tensor: LazyTensor) -> Iterator[np.ndarray]:
    """The values, whole rows of the first axis at a time."""
    if not tensor.shape:
        yield tensor.block(())
        return
    rest = whole(tensor.shape[1:])
    height = max(1, STRIP * tensor.shape[0] // max(1, tensor.nbytes))
    for start in range(0, tensor.shape[0], height):
        yield tensor.block((slice(start, min(start + height, tensor.shape[0])), *rest))


def _filled(weight: Weight, dtype: np.dtype) -> Iterator[np.ndarray]:
    import numpy as np

    yield np.full(weight.shape, weight.filler, dtype)
