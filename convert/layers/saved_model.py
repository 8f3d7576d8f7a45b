"""The JSON that Keras leaves in a SavedModel, found in its protocol buffers; no graph is read.

From TensorFlow 2.5 on it stands in `keras_metadata.pb`, before that in `saved_model.pb`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convert.wire.protobuf import WireError, fields
from zoo.errors import IntegrityError

METADATA, GRAPH = "keras_metadata.pb", "saved_model.pb"
ROOT = b"root"

#: Fields that lead to the metadata of the first object: `SavedModel.meta_graphs`,
#: `MetaGraphDef.object_graph_def`, `SavedObjectGraph.nodes`, `SavedObject.user_object`,
#: `SavedUserObject.metadata`.
WAY = (2, 7, 1, 4, 3)
NODE_PATH, NODE_METADATA = 3, 5  # of `keras_metadata.pb`


def is_saved_model(folder: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (folder / GRAPH).is_file()


def architecture_of(folder: Path) -> tuple[Path, bytes] | None:
    """The file with the JSON of the model, and the JSON; None where no Keras left any.

    Raises:
        IntegrityError: it is damaged.
    """
    for name, find in ((METADATA, _of_metadata), (GRAPH, _of_graph)):
        path = folder / name
        if not path.is_file() or not path.stat().st_size:
            continue
        try:
            with path.open("rb") as file:
                text = find(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except WireError as error:
            if name == GRAPH:  # which needs no such JSON: what is wrong is said of the checkpoint
                return None
            raise IntegrityError(f"{path}: it is damaged ({error})") from None
        if text:
            return path, text
    return None


def _of_metadata(data: Any) -> bytes:
    for number, stored in fields(data):
        if number == 1 and not isinstance(stored, int):
            node = dict(fields(stored))
            if node.get(NODE_PATH) == ROOT and isinstance(text := node.get(NODE_METADATA), bytes):
                return text
    return b""


def _of_graph(data: Any) -> bytes:
    return next(_along(memoryview(data), WAY), b"")


def _along(data: memoryview, way: Sequence[int]) -> Iterator[bytes]:
    """The bytes at the end of a way through messages, of the first message at each step."""
    for number, part in fields(data):
        if number == way[0] and isinstance(part, memoryview):
            if len(way) == 1:
                yield bytes(part)
            else:
                yield from _along(part, way[1:])
            return
