"""A file's layers with weights, in the order of the model, whatever form the file has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from convert.readers.base import Checkpoint

Shape = tuple[int, ...]

#: Classes by the names that Keras gives their layers and folders.
CLASSES = {
    "conv2d": "Conv2D",
    "conv2d_transpose": "Conv2DTranspose",
    "dense": "Dense",
    "batch_normalization": "BatchNormalization",
}

#: Tensors of a layer in Keras's order, by the last part of their names.
ORDER = ("kernel", "gamma", "bias", "beta", "moving_mean", "moving_variance")

OBJECT = re.compile(r"(?:layer_with_weights-\d+/)+")
NOT_WEIGHTS = re.compile(r"^(optimizer|optimizer_weights|metrics|loss|compile|save_counter|_)")


@dataclass(frozen=True)
class Unit:
    """One layer with weights.

    Attributes:
        name: of the layer, as the file has it.
        kind: its class, where the file or the layer's name says it; else empty.
        tensors: names in the file, in Keras's order.
        shapes: of these.
    """

    name: str
    kind: str
    tensors: tuple[str, ...]
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        """Its name and the shape of its first tensor, for messages."""
        return f"{self.name} {self.shapes[0]}"


@dataclass(frozen=True)
class Units:
    """All of a file.

    Attributes:
        found: in the order of the model; where a file keeps layers by their class, in that order
            within each class alone.
        ordered: whether the order is that of all layers.
        left: names of tensors that no layer of the file lists.
        training: those of tensors that training left, such as an optimizer's, or that may be
            left out.
    """

    found: tuple[Unit, ...]
    ordered: bool
    left: tuple[str, ...] = ()
    training: tuple[str, ...] = ()


def read_units(checkpoint: Checkpoint, allow_unused: Sequence[str] = ()) -> Units:
    """Sort a file's tensors by their layers; those of a model in the model stand in its place.

    Args:
        checkpoint: the file.
        allow_unused: patterns of tensors that are left out.
    """
    training = tuple(
        name
        for name in checkpoint
        if NOT_WEIGHTS.match(name) or any(fnmatchcase(name, one) for one in allow_unused)
    )
    without = {*training}
    names = [name for name in checkpoint if name not in without]
    if checkpoint.format == "tf_object":
        groups = _by_numbers(names)
    elif checkpoint.format == "keras3":
        groups = _by_folders(names)
    else:
        stored = [name for group in checkpoint.groups for name in group.tensors]
        known = {*names}
        groups = _by_layers([name for name in stored if name in known] or names)
    found = [_unit(checkpoint, name, tensors) for name, tensors in groups.items()]
    used = {name for unit in found for name in unit.tensors}
    left = tuple(name for name in names if name not in used)
    return Units(tuple(found), checkpoint.format != "keras3", left, training)


def _by_layers(names: list[str]) -> dict[str, list[str]]:
    """Of HDF5: whatever is in front of a weight's own name; statistics join their layer."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    return groups


def _by_numbers(names: list[str]) -> dict[str, list[str]]:
    """Of an object graph: numbers of layers, and of layers of a model in the model."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if match := OBJECT.match(name):
            groups.setdefault(match[0], []).append(name)
    return dict(sorted(groups.items(), key=lambda item: _numbers(item[0])))


def _by_folders(names: list[str]) -> dict[str, list[str]]:
    """Of Keras 3: folders, numbered in each class; a model's come after the layers around it."""
    groups: dict[str, list[str]] = {}
    for name in names:
        folder, sign, _ = name.rpartition("/vars/")
        if sign:
            groups.setdefault(folder, []).append(name)

    def order(folder: str) -> list[tuple[int, list[int]]]:
        parts = folder.split("/")
        return [(len(parts), _numbers(part)) for part in parts]

    return {
        folder: sorted(inside, key=_numbers)
        for folder, inside in sorted(groups.items(), key=lambda item: order(item[0]))
    }


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text.replace("conv2d", "conv"))]


def _unit(checkpoint: Checkpoint, name: str, tensors: list[str]) -> Unit:
    ordered = sorted(tensors, key=lambda one: _rank(one.removeprefix(name).lstrip("/")))
    shapes = tuple(tuple(checkpoint[one].shape) for one in ordered)
    last = name.strip("/").rpartition("/")[2]
    kind = CLASSES.get(re.sub(r"_\d+$", "", last), "")
    return Unit(last, kind, tuple(ordered), shapes)


def _rank(name: str) -> int:
    """Where a tensor stands in Keras's order; those of other names keep theirs."""
    word = re.split(r"[:/]", name)[0]
    return ORDER.index(word) if word in ORDER else 0


def standing(units: Sequence[Unit], shown: int = 6) -> str:
    """Units in words, the first of them."""
    more = ", ..." if len(units) > shown else ""
    return ", ".join(map(str, units[:shown])) + more
