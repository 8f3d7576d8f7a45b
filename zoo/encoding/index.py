"""An index of millions of vectors, which faiss makes and searches."""

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo.errors import MissingDependencyError
from zoo.places import Place, in_words

from .shards import matrix

if TYPE_CHECKING:
    import pyarrow

SAMPLE = 40  # vectors that each cell is fitted to
PROBED = 32  # cells that are searched; of fewer all


class Tables(Protocol):
    """What an index is made of."""

    number: int
    size: int
    shards: range

    def tables(self, columns: Any, *, quiet: bool) -> "Iterator[pyarrow.Table]":
        """The tables of all files, in order."""
        ...


class Index:
    """Cells around centres, of which those nearest to a query are searched (faiss's IVF,Flat).

    Args:
        index: of faiss.
        by: `cosine` or `l2`.
    """

    def __init__(self, index: Any, by: str) -> None:
        self.index, self.by = index, by

    def nearest(
        self, queries: "np.ndarray[Any, Any]", number: int
    ) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
        """Rows and distances, `(queries, number)`; rows of -1 where the cells held no more."""
        found, rows = self.index.search(_prepared(queries, self.by), number)
        distances = 1 - found if self.by == "cosine" else np.sqrt(np.maximum(found, 0))
        return rows, distances


def _prepared(vectors: "np.ndarray[Any, Any]", by: str) -> "np.ndarray[Any, Any]":
    """float32; for cosines of length 1."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if by != "cosine":
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    made: np.ndarray[Any, Any] = vectors / np.maximum(lengths, 1e-12)
    return made


def open_index(place: Place, vectors: Tables, by: str, quiet: bool) -> Index:
    """The index of a folder, which is made and kept there if there is none.

    Args:
        place: the folder.
        vectors: of the folder.
        by: `cosine` or `l2`.
        quiet: draw no progress bar.

    Raises:
        MissingDependencyError: faiss is not installed, or the disk is full.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError(
            f"to search {vectors.number:,} vectors by an index needs faiss, which is not "
            'installed: pip install "genae[search]", or compare all with --exact'
        ) from error
    name = f"index-{by}.faiss"
    index = _read(faiss, place, name)
    if index is None or index.ntotal != vectors.number or index.d != vectors.size:
        with place.held():
            index = _made(faiss, vectors, by, quiet)
            _write(faiss, place, name, index)
    faiss.extract_index_ivf(index).nprobe = PROBED
    return Index(index, by)


def _made(faiss: Any, vectors: Tables, by: str, quiet: bool) -> Any:
    """An index of all vectors, whose cells are fitted to some of every file."""
    cells = max(1, round(4 * math.sqrt(vectors.number)))
    wanted = cells * SAMPLE
    each = -(-wanted // max(1, len(vectors.shards)))
    draw = np.random.default_rng(0)
    sample = []
    for table in vectors.tables(["vector"], quiet=quiet):
        some = draw.permutation(len(table))[:each]
        sample.append(_prepared(matrix(table.take(np.sort(some))), by))
    metric = faiss.METRIC_INNER_PRODUCT if by == "cosine" else faiss.METRIC_L2
    index = faiss.index_factory(vectors.size, f"IVF{cells},Flat", metric)
    index.cp.min_points_per_centroid = 1
    index.train(np.concatenate(sample))
    for table in vectors.tables(["row", "vector"], quiet=quiet):
        rows = table["row"].to_numpy()
        index.add_with_ids(_prepared(matrix(table), by), np.ascontiguousarray(rows))
    return index


def _read(faiss: Any, place: Place, name: str) -> Any:
    """The index of a file; None if there is none, or it cannot be read."""
    if not place.local:
        content = place.read(name)
        return None if content is None else faiss.deserialize_index(np.frombuffer(content, "u1"))
    path = place.path(name)
    if not os.path.exists(path):
        return None
    try:  # what is not searched stays on the disk
        return faiss.read_index(path, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError:
        return None


def _write(faiss: Any, place: Place, name: str, index: Any) -> None:
    """Keep an index, as a whole."""
    if not place.local:
        place.write(name, faiss.serialize_index(index).data)
        return
    partial = place.path(f".{name}")
    with in_words(str(place)):
        try:
            faiss.write_index(index, partial)
        except RuntimeError as error:  # faiss says nothing else of a disk that is full
            os.unlink(partial)
            raise MissingDependencyError(
                f"{place}/{name}: cannot be written ({str(error).splitlines()[0]}); free some "
                "space, or compare all with --exact"
            ) from error
        os.replace(partial, place.path(name))
