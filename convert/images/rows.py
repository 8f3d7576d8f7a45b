"""What a family's table is made of: layers as the script wrote them, without their sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: Layers with weights, each with the number of axes of its tensors.
AXES = {
    "Conv2D": (4, 1),
    "Conv2DTranspose": (4, 1),
    "Dense": (2, 1),
    "BatchNormalization": (1, 1, 1, 1),
}

#: A tensor of its own, such as the means of classes.
TABLE = "Table"

#: What a part of a model reads.
IMAGE, CODE, MAP, OTHER = "image", "code", "map", "other"


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        kind: its class in Keras, or `TABLE`.
        options: those that the script gave it; sizes follow from the file.
        name: in the result; empty for one of its class, numbered.
        inputs: names of the layers that it reads from; empty for the one before it.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[int, ...] | None:
        """Numbers of axes of its tensors; nothing where it has none."""
        if self.kind == TABLE:
            return (2,)
        axes = AXES.get(self.kind)
        plain = self.options.get("scale") is False
        return axes[2:] if axes and plain else axes


def conv(strides: int = 1, activation: str = "linear", *, kernel: int = 3, **more: Any) -> Row:
    """A convolution with the borders that keep the size."""
    return Row("Conv2D", _windowed(kernel, strides, activation), **more)


def conv_transpose(
    strides: int = 1, activation: str = "linear", *, kernel: int = 3, **more: Any
) -> Row:
    """A transposed convolution that makes images `strides` times as large."""
    return Row("Conv2DTranspose", _windowed(kernel, strides, activation), **more)


def _windowed(kernel: int, strides: int, activation: str) -> dict[str, Any]:
    return {
        "kernel_size": [kernel, kernel],
        "strides": [strides, strides],
        "padding": "same",
        "activation": activation,
    }


def dense(activation: str = "linear", name: str = "", **more: Any) -> Row:
    """A dense layer."""
    return Row("Dense", {"activation": activation}, name, **more)


def norm(**options: Any) -> Row:
    """Batch normalisation along the channels."""
    return Row("BatchNormalization", {"axis": -1, "epsilon": 1e-3, **options})


def activation(name: str) -> Row:
    """An activation."""
    return Row("Activation", {"activation": name})


LEAKY = Row("LeakyReLU", {"alpha": 0.2})
RELU = activation("relu")
MEAN_POOL = Row("GlobalAveragePooling2D")
MAX_POOL = Row("GlobalMaxPooling2D")
HALVE = Row("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"})
FLATTEN = Row("Flatten")
TO_MAP = Row("Reshape")  # a vector to an image of as many channels as the next layer reads


@dataclass(frozen=True)
class Part:
    """One network of a family.

    Attributes:
        rows: its layers, in the order of the script.
        reads: `IMAGE`, `CODE`, `MAP`, which is an image of channels that are no colours, or
            `OTHER`, vectors that are no codes.
        outputs: names of the layers whose outputs the network has; empty for the last one's.
        stages: how many of them come before the code.
        makes: `IMAGE` of a decoder, whose last activation the result has in its settings; `CODE`.
        graph: the setting of the result that has the network; empty where it has none.
        targets: names of its tensors in the result, by `layer.tensor`; of a network of the
            result those follow from `prefix`.
        prefix: what stands in front of a layer's name in those.
    """

    rows: tuple[Row, ...]
    reads: str = CODE
    outputs: tuple[str, ...] = ()
    makes: str = ""
    stages: int = 0
    graph: str = ""
    targets: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    @property
    def last_activation(self) -> str:
        """What is behind the last linear output."""
        return str(self.rows[-1].options.get("activation", "linear"))

    @property
    def computed(self) -> tuple[Row, ...]:
        """The rows that the result computes: of a decoder up to the last linear output."""
        *before, last = self.rows
        if self.makes != IMAGE:
            return self.rows
        if last.kind == "Activation":
            return tuple(before)
        return (*before, replace(last, options={**last.options, "activation": "linear"}))


@dataclass(frozen=True)
class File:
    """What one kind of file of a family holds.

    Attributes:
        parts: names, in the order of the file; of a result's setting and its part of the weights.
        model: type of the result, as in its `config.json`.
        settings: of the result.
        sizes: settings that are sizes -> a part, and which axis of its first kernel they are.
        note: what a person should know of it.
        calls: line that calls the result, with its settings by name, where that is not by `encode`
            and `decode`.
    """

    parts: tuple[str, ...]
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    note: str = ""
    calls: str = ""


@dataclass(frozen=True)
class Asked:
    """A setting that no weights tell.

    Attributes:
        words: what it is in the script.
        part: the part that needs it; empty where any does.
        low: its least value.
        high: its greatest value.
        whole: whether it is a whole number.
    """

    words: str
    part: str = ""
    low: float = 0.0
    high: float = math.inf
    whole: bool = False


@dataclass(frozen=True)
class Family:
    """One published script.

    Attributes:
        name: what `--family` calls it.
        title: what it is, in a few words.
        parts: its networks by name.
        files: its files by what they hold, such as "whole" and "decoder".
        settings: of every result that computes images or codes.
        asked: settings that no weights tell, which `--option` gives.
        scalar: one of those that some files have as a number of its own.
        taken: settings of the loss that no weights tell -> what the script has.
        derived: settings that follow from the others, of the whole `config.json`.
        paper: of the method.
    """

    name: str
    title: str
    parts: Mapping[str, Part]
    files: Mapping[str, File]
    settings: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    scalar: str = ""
    taken: Mapping[str, Any] = field(default_factory=dict)
    derived: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    paper: str = ""


def named(row: Row, name: str) -> Row:
    """A row whose layer has this name in the result."""
    return replace(row, name=name)


ENCODER, DECODER = "encoder_layers", "decoder_layers"


def encoder(trunk: tuple[Row, ...], *heads: str) -> Part:
    """Layers from images to codes.

    Args:
        trunk: the last of them has a name where there are several heads.
        heads: names of the dense layers behind it: of the codes, then of their spread.
    """
    inputs = (trunk[-1].name,) if len(heads) > 1 else ()
    rows = (*trunk, *(dense(name=head, inputs=inputs) for head in heads))
    return Part(rows, IMAGE, heads, CODE, graph=ENCODER, prefix="encoder.layers.")


def decoder(*rows: Row) -> Part:
    """Layers from codes to images."""
    return Part(rows, CODE, makes=IMAGE, graph=DECODER, prefix="decoder.layers.")


def alone(*rows: Row, reads: str = OTHER) -> Part:
    """Layers that are a model of layers where a file has no others."""
    return Part(rows, reads, prefix="layers.")
