"""The forms that a model's folder can be exported to, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert.writers import Outgoing

Layers = Sequence[tuple[str, "Outgoing"]]  # tensors, each with its Keras layer
Advance = Callable[[int], None]
Behind = Callable[[list[str]], list[str]]  # layers of a backbone -> those, and its heads'


def write_bundle(
    folder: Path, tensors: Layers, options: Mapping[str, Any], behind: Behind, advance: Advance
) -> list[str]:
    """Write TensorFlow's checkpoint; the names of the files."""
    from convert.writers import tf_bundle

    return tf_bundle.write(folder, [one for _, one in tensors], advance=advance)


def write_layers(
    folder: Path, tensors: Layers, options: Mapping[str, Any], behind: Behind, advance: Advance
) -> list[str]:
    """Write Keras's HDF5, layers in Keras's order; the names of the files."""
    from convert.writers import keras_hdf5, layers

    groups: dict[str, list[Outgoing]] = {}
    for layer, one in tensors:
        groups.setdefault(layer, []).append(one)
    others = set(behind([]))
    order = behind(
        layers.in_keras_order(
            [name for name in groups if name not in others],
            options.get("cross_position_bias", True),
        )
    )
    return keras_hdf5.write(folder, {name: groups[name] for name in order}, advance=advance)


@dataclass(frozen=True)
class Target:
    """A form to export to.

    Attributes:
        naming: what it calls tensors, see `Row.name_in`.
        bfloat16: whether it can store that type.
        write: writes tensors into a folder, given the builder's options, what puts layers of heads
            among those of the backbone, and what counts bytes.
    """

    naming: str
    bfloat16: bool
    write: Callable[[Path, Layers, Mapping[str, Any], Behind, Advance], list[str]]


TARGETS = {
    "tf-checkpoint": Target("tensorflow", True, write_bundle),
    "keras-hdf5": Target("keras", False, write_layers),
}
