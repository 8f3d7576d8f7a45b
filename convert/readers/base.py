"""What every reader gives: a mapping of names to lazy tensors, with what the files say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.weights.lazy import LazyTensor

if TYPE_CHECKING:
    from types import TracebackType

#: The forms of checkpoints in words.
FORMS = {
    "tf_bundle": "TensorFlow V2 checkpoint",
    "tf_object": "TensorFlow 2 object graph",
    "tf_v1": "TensorFlow V1 checkpoint",
    "keras_hdf5": "Keras HDF5",
    "keras3": "Keras 3 weights",
}


@dataclass(frozen=True)
class Layer:
    """A Keras layer that has weights.

    Attributes:
        name: as stored.
        kind: its class in snake case, where the file says; else empty.
        tensors: names as stored, in the order in which Keras made them.
    """

    name: str
    kind: str
    tensors: list[str]


@dataclass
class Checkpoint(Mapping[str, LazyTensor]):
    """A checkpoint as a read-only mapping from name to lazy tensor.

    Attributes:
        format: a key of `FORMS`.
        files: what it consists of; the first is what was opened.
        tensors: by name, in stored order.
        unreadable: names of strings and the like, and why they are no numbers.
        notes: what is legal but odd.
        full_names: of an object graph: as stored -> what the variable was called when it was made,
            where the file remembers.
        graph: of an object graph: the bytes that describe the objects; else empty.
        backend: of Keras's HDF5 files, what computed the model ("theano"), where the file says it.
        details: more of the form, in words ("3 data files", "big-endian").
        layers: of Keras's forms, in the order of the model; else empty.
        groups: of Keras's HDF5 files, the weights of each layer as the file's own lists name them.
        places: folders in which its configuration and vocabulary may lie, the nearest first.
    """

    format: str
    files: list[Path]
    tensors: dict[str, LazyTensor]
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    groups: list[Layer] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    full_names: dict[str, str] = field(default_factory=dict)
    graph: bytes = b""
    backend: str = ""
    places: list[Path] = field(default_factory=list)

    @property
    def form(self) -> str:
        """What kind of file it is, in words."""
        return ", ".join((FORMS[self.format], *self.details))

    def __getitem__(self, name: str) -> LazyTensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self.tensors)

    def close(self) -> None:
        """Close the files; its tensors cannot be read any more."""
        while self.handles:
            self.handles.pop().close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
