"""Keras weights in HDF5, as `save_weights` of Keras 2.3.1 writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.writers import Outgoing

MAX_ATTRIBUTE = 64_512  # bytes; HDF5 takes no larger attribute, so Keras cuts long lists
KERAS_OF_WEIGHTS, KERAS_OF_MODELS = "2.3.1", "2.15.0"


def write(
    folder: Path,
    layers: Mapping[str, Sequence[Outgoing]],
    *,
    name: str = "model.weights",
    advance: Callable[[int], None] = lambda written: None,
) -> list[str]:
    """Write a file of weights.

    Args:
        folder: where to.
        layers: the layers that have weights, in the order of the model: Keras pairs them with a
            model's by that order, and the weights of a layer by their own order.
        name: of the file.
        advance: called with bytes as they are written.

    Returns:
        The names of the files.
    """
    import h5py

    with h5py.File(folder / name, "w") as file:
        _put(file, layers, KERAS_OF_WEIGHTS, advance)
    return [name]


def write_model(
    path: Path,
    model: str,
    layers: Mapping[str, Sequence[Outgoing]],
    *,
    advance: Callable[[int], None] = lambda written: None,
) -> None:
    """Write a whole model, as `save` of Keras 2.15 does.

    Args:
        path: of the file.
        model: its architecture, JSON.
        layers: all of them, as `write` takes those with weights.
        advance: called with bytes as they are written.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = model
        for key, text in _attributes(KERAS_OF_MODELS).items():
            file.attrs[key] = text
        _put(file.create_group("model_weights"), layers, KERAS_OF_MODELS, advance)


def fill(group: Any, weight: Outgoing, advance: Callable[[int], None]) -> None:
    """Make a dataset of a tensor, piece by piece."""
    data = group.create_dataset(weight.name, weight.shape, weight.dtype)
    start = 0
    for piece in weight.pieces():
        values = piece.astype(weight.dtype, copy=False)
        if piece.ndim:
            data[start : start + len(piece)] = values
            start += len(piece)
        else:
            data[()] = values
        advance(piece.size * weight.dtype.itemsize)


def _attributes(version: str) -> dict[str, bytes]:
    return {"backend": b"tensorflow", "keras_version": version.encode()}


def _put(
    file: Any,
    layers: Mapping[str, Sequence[Outgoing]],
    version: str,
    advance: Callable[[int], None],
) -> None:
    """A group for each layer, with its weights, and their lists."""
    _list(file, "layer_names", list(layers))
    for key, text in _attributes(version).items():
        file.attrs[key] = text
    for layer, weights in layers.items():
        group = file.require_group(layer)  # a name with slashes lies in another layer's
        _list(group, "weight_names", [weight.name for weight in weights])
        for weight in weights:
            fill(group, weight, advance)


def _list(group: Any, attribute: str, words: Sequence[str]) -> None:
    """A list of names as an attribute, in as many parts as it needs."""
    coded = np.array([word.encode() for word in words])
    parts = -(-coded.nbytes // MAX_ATTRIBUTE)
    if parts <= 1:
        group.attrs[attribute] = coded
        return
    for number, part in enumerate(np.array_split(coded, parts)):
        group.attrs[f"{attribute}{number}"] = part
