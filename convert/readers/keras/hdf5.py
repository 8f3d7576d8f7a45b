"""Keras weights in HDF5 files, read as plain data sets: nothing is deserialised.

Whole-model files carry their architecture as JSON and Lambda layers as marshalled Python; neither
is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from convert.readers.base import Checkpoint, Layer
from convert.readers.keras.attributes import Attributes
from convert.readers.keras.layers3 import VARIABLE, keras3_layers
from convert.weights.lazy import Box, LazyTensor
from zoo.errors import IntegrityError, UnsafeError

FORMAT = "keras_hdf5"
MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_RATIO = 1000  # of the file's size that a compressed data set may claim
KINDS = "fiub"
OPAQUE = np.dtype("V2")  # of a number of bfloat16, which HDF5 has not
MAX_OBJECTS = 100_000
CUT = re.compile(r"truncated file: eof = (\d+),.* stored_eof = (\d+)")


@dataclass
class KerasTensor(LazyTensor):
    """One data set."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dataset: Any
    path: Path
    stored: np.dtype[Any] | None = None  # where HDF5 has no such type: bytes of the same size

    def block(self, box: Box) -> np.ndarray:
        """The values in a box."""
        try:
            shape = [where.stop - where.start for where in box]
            values = np.empty(shape, self.stored or self.dtype)
            if values.size:
                self.dataset.read_direct(values, box)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(
                f"{self.path}: {self.name!r} cannot be read ({reason(error)}); get the file again"
            ) from None
        return values if self.stored is None else values.view(self.dtype)


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_hdf5(path: Path) -> Checkpoint:
    """Open a Keras file; reads names and shapes only.

    Names are full paths of data sets, in the order that the attributes `layer_names` and
    `weight_names` give: inside a layer, only the order distinguishes the weights.

    Raises:
        IntegrityError: the file is damaged.
        UnsafeError: a data set's values lie in other files.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise IntegrityError(f"{path}: not a sound HDF5 file ({reason(error)})") from None
    checkpoint = Checkpoint(FORMAT, [path], {}, handles=[file])
    try:
        found = dict(datasets(file, path, checkpoint.unreadable))
        attributes = Attributes(path, file, found.values())
        checkpoint.groups = list(_groups(file, attributes))
        for name in (*(each for group in checkpoint.groups for each in group.tensors), *found):
            if name not in found or name in checkpoint.tensors or name in checkpoint.unreadable:
                continue
            _add(checkpoint, name, found[name], path, attributes)
        checkpoint.layers = keras3_layers(list(checkpoint)) or layers_of_names(list(checkpoint))
        if any(map(VARIABLE.search, checkpoint)):
            checkpoint.format = "keras3"
        else:
            checkpoint.details = _details(file, attributes)
            checkpoint.backend = _said(file, attributes, "backend")
    except (IntegrityError, UnsafeError):
        checkpoint.close()
        raise
    # h5py turns whatever the C library meets into one of many kinds of error.
    except Exception as error:
        checkpoint.close()
        raise IntegrityError(f"{path}: not a sound HDF5 file ({reason(error)})") from None
    return checkpoint


def _details(file: Any, attributes: Attributes) -> list[str]:
    """Whether the model is there as well as its weights, and who wrote both."""
    version = _said(file, attributes, "keras_version")
    written = [f"written by Keras {version}"] if version else []
    return ["a full model" if "model_weights" in file else "weights only", *written]


def _said(file: Any, attributes: Attributes, name: str) -> str:
    """A text that stands with the weights or with the whole model; empty where there is none."""
    places = (file, file["model_weights"]) if "model_weights" in file else (file,)
    value = next((attributes.value(place, name) for place in places if name in place.attrs), "")
    return _word(value) if isinstance(value, bytes | str) else ""


def layers_of_names(names: list[str]) -> list[Layer]:
    """Weights by layer, both in stored order; optimizers are no layers."""
    groups: dict[str, list[str]] = {}
    for name in names:
        layer = name.removeprefix("model_weights/").partition("/")[0]
        if layer != "optimizer_weights":
            groups.setdefault(layer, []).append(name)
    return [Layer(layer, "", members) for layer, members in groups.items()]


def datasets(
    file: Any, path: Path, unreadable: dict[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Every data set, walked along hard links alone, each object once.

    Args:
        file: open.
        path: of it, for messages.
        unreadable: receives the names of links to other files, and what they are.

    Raises:
        IntegrityError: there are too many.
    """
    import h5py

    stack, seen = [("", file)], set()
    while stack:
        prefix, group = stack.pop()
        for key in group:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):  # which could lead anywhere
                if isinstance(link, h5py.ExternalLink) and unreadable is not None:
                    unreadable[f"{prefix}{key}"] = "is a link to another file, not followed"
                continue
            item = group[key]
            name = f"{prefix}{key}"
            name.encode()  # which fails where bytes stand for no character
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise IntegrityError(f"{path}: more than {MAX_OBJECTS} objects")
            if isinstance(item, h5py.Group):
                stack.append((f"{name}/", item))
            elif isinstance(item, h5py.Dataset):
                yield name, item


def _add(
    checkpoint: Checkpoint, name: str, dataset: Any, path: Path, attributes: Attributes
) -> None:
    if dataset.external or dataset.is_virtual:
        raise UnsafeError(
            f"{path}: the values of {name!r} lie in other files, which is not followed"
        )
    dtype = dataset.dtype
    stored = None
    if dtype == OPAQUE and "dtype" in dataset.attrs:
        if _word(attributes.value(dataset, "dtype")) == "bfloat16":
            stored, dtype = dtype, np.dtype(ml_dtypes.bfloat16)
    elif dtype.kind in KINDS:
        dtype = dtype.newbyteorder("=")
    if (dtype.kind not in KINDS and stored is None) or dataset.shape is None:
        checkpoint.unreadable[name] = f"contains {dtype}, not numbers"
        return
    tensor = KerasTensor(name, tuple(dataset.shape), dtype, dataset, path, stored)
    size = path.stat().st_size
    max_bytes = size * MAX_RATIO if dataset.chunks else size
    if tensor.nbytes > max_bytes:
        raise IntegrityError(
            f"{path}: {name!r} claims {tensor.nbytes} bytes in a file of {size}; it is damaged"
        )
    checkpoint.tensors[name] = tensor


def _groups(file: Any, attributes: Attributes) -> Iterator[Layer]:
    """Layers and their data sets in Keras's own order, as far as the attributes say it."""
    for prefix in ("", "model_weights/"):
        group = file[prefix.rstrip("/")] if prefix and prefix.rstrip("/") in file else file
        if prefix and group is file:
            continue
        for layer in _words(attributes, group, "layer_names"):
            inner = group.get(layer) if layer in group else None
            weights = _words(attributes, inner, "weight_names")
            yield Layer(layer, "", [f"{prefix}{layer}/{weight}" for weight in weights])


def _words(attributes: Attributes, group: Any, attribute: str) -> list[str]:
    """A list of names in an attribute; long ones are cut into `name0`, `name1` ..."""
    if group is None:
        return []
    names = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(names)}" in group.attrs and attribute not in group.attrs:
        names.append(f"{attribute}{len(names)}")
    words = [
        word for name in names for word in np.atleast_1d(attributes.value(group, name)).tolist()
    ]
    return [_word(word) for word in words]


def _word(value: Any) -> str:
    """A text; bytes that stand for no character, which h5py hands on, become question marks."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def reason(error: BaseException) -> str:
    """What h5py says of a file, in a line; of one that is cut off, how much is there."""
    text = " ".join(str(error).split()) or type(error).__name__
    if sizes := CUT.search(text):
        return f"cut off: {sizes[1]} bytes of {sizes[2]} are there; get the file again"
    return text
