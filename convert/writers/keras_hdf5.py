"""Keras weights in HDF5, as `save_weights` of Keras 2.3.1 writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.writers import Outgoing

MAX_ATTRIBUTE = 64_512  # bytes; HDF5 takes no larger attribute, so Keras cuts long lists
ATTRIBUTES = {"backend": b"tensorflow", "keras_version": b"2.3.1"}


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
        _list(file, "layer_names", list(layers))
        for key, text in ATTRIBUTES.items():
            file.attrs[key] = text
        for layer, weights in layers.items():
            group = file.create_group(layer)
            _list(group, "weight_names", [weight.name for weight in weights])
            for weight in weights:
                data = group.create_dataset(weight.name, weight.shape, weight.dtype)
                start = 0
                for piece in weight.pieces():
                    data[start : start + len(piece)] = piece.astype(weight.dtype, copy=False)
                    start += len(piece)
                    advance(piece.size * weight.dtype.itemsize)
    return [name]


def _list(group: Any, attribute: str, words: Sequence[str]) -> None:
    """A list of names as an attribute, in as many parts as it needs."""
    coded = np.array([word.encode() for word in words])
    parts = -(-coded.nbytes // MAX_ATTRIBUTE)
    if parts <= 1:
        group.attrs[attribute] = coded
        return
    for number, part in enumerate(np.array_split(coded, parts)):
        group.attrs[f"{attribute}{number}"] = part
