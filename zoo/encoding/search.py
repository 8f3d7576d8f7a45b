"""`zoo.search`: the vectors of a folder that are nearest to texts, images, or its own rows."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.data.reading import read_images
from zoo.errors import ConflictError, NotFoundError, UsageError
from zoo.evaluation.neighbors import check_distance, nearest
from zoo.loading import Model, locate
from zoo.places import Place
from zoo.progress import track

from .encoders import Encoder, ImageEncoder, TextEncoder, model_sum, open_encoder
from .index import open_index
from .shards import MANIFEST, matrix, read_manifest, vectors_of

if TYPE_CHECKING:
    import pyarrow

#: Number of vectors up to which all are compared, if nobody says.
EXACT = 200_000
MAX_NUMBER = 1000


@dataclass(frozen=True)
class Neighbor:
    """A row that is near.

    Attributes:
        key: of the row.
        row: its number.
        distance: to what was asked for, to six digits.
    """

    key: str
    row: int
    distance: float


@dataclass(frozen=True)
class Answer:
    """What is near to a query.

    Attributes:
        query: the text, the file of an image, or the key of a row.
        neighbors: nearest first; of a row, other rows.
    """

    query: str
    neighbors: list[Neighbor]


class Vectors:
    """A folder that `zoo.encode` has filled.

    Args:
        folder: or its address.

    Attributes:
        place: the folder.
        settings: what the vectors are of: model, tap or pooling, data.
        number: of vectors.
        size: length of a vector.

    Raises:
        NotFoundError: there are no vectors.
        ConflictError: not every row was encoded yet.
        IntegrityError: its list of facts is malformed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.place = Place(os.fspath(folder))
        manifest = read_manifest(self.place)
        if manifest is None:
            raise NotFoundError(
                f"{folder} has no {MANIFEST}; make vectors with `genae encode MODEL DATA "
                "-o FOLDER`"
            )
        if "rows" not in manifest:
            raise ConflictError(
                f"{folder} is not complete; run the same `genae encode` again, and it goes on"
            )
        self.settings: dict[str, Any] = manifest["settings"]
        self.number, self.size = int(manifest["vectors"]), int(manifest["size"])
        self.rows_per_shard = int(self.settings["rows_per_shard"])
        self.shards = range(-(-int(manifest["rows"]) // self.rows_per_shard))

    def tables(
        self, columns: Sequence[str] | None = None, *, quiet: bool = True
    ) -> Iterator["pyarrow.Table"]:
        """The tables of all files, in order."""
        for shard in track(self.shards, "searching", total=len(self.shards), quiet=quiet):
            yield vectors_of(self.place, shard, columns)

    def of_keys(self, keys: Sequence[str]) -> tuple[list[int], "np.ndarray[Any, Any]"]:
        """Rows and vectors of keys, float32; of a key that several rows have, the first.

        Raises:
            NotFoundError: no row has a key.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(keys), pa.string())
        rows: dict[str, int] = {}
        vectors: dict[str, np.ndarray[Any, Any]] = {}
        for shard in self.shards:
            if len(rows) == len(set(keys)):
                break
            names = vectors_of(self.place, shard, ["key"])["key"]
            places = pc.indices_nonzero(pc.is_in(names, value_set=wanted)).to_pylist()
            if not places:
                continue
            found = vectors_of(self.place, shard).take(places)
            values = matrix(found).astype(np.float32)
            names = found["key"].to_pylist()
            for key, row, vector in zip(names, found["row"].to_pylist(), values, strict=True):
                if key not in rows:
                    rows[key], vectors[key] = row, vector
        for key in keys:
            if key not in rows:
                raise NotFoundError(
                    f"{self.place}: no row has the key {key!r}; keys are the paths of images, "
                    "numbers of rows, or what --key named"
                )
        return [rows[key] for key in keys], np.stack([vectors[key] for key in keys])

    def keys_of(self, rows: Sequence[int]) -> dict[int, str]:
        """The keys of rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found: dict[int, str] = {}
        for shard in sorted({row // self.rows_per_shard for row in rows}):
            table = vectors_of(self.place, shard, ["key", "row"])
            mask = pc.is_in(table["row"], value_set=pa.array(sorted(set(rows)), pa.int64()))
            of = table.filter(mask)
            found |= dict(zip(of["row"].to_pylist(), of["key"].to_pylist(), strict=True))
        return found

    def nearest(
        self,
        queries: "np.ndarray[Any, Any]",
        number: int,
        *,
        by: str = "cosine",
        exact: bool | None = None,
        quiet: bool = True,
    ) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
        """Rows and distances of those nearest to some vectors, `(queries, number)` each.

        Args:
            queries: float32 `(queries, size)`.
            number: of neighbours; of fewer vectors all.
            by: `cosine` or `l2`, as of `zoo.evaluation.neighbors.nearest`.
            exact: compare all vectors; None does so up to `EXACT` of them, else an index is made
                once and asked, which finds nearly all of the nearest.
            quiet: draw no progress bar.

        Raises:
            UsageError: there is no such distance.
            MissingDependencyError: an index needs a package that is not installed.
        """
        check_distance(by)
        number = min(number, self.number)
        if exact is None:
            exact = self.number <= EXACT
        if not exact:
            return open_index(self.place, self, by, quiet).nearest(queries, number)
        asked = torch.from_numpy(queries)
        rows = torch.empty(len(asked), 0, dtype=torch.int64)
        distances = torch.empty(len(asked), 0)
        for table in self.tables(["row", "vector"], quiet=quiet):
            if not len(table):
                continue
            references = torch.from_numpy(matrix(table).astype(np.float32))
            near, far = nearest(asked, min(number, len(references)), references, by=by)
            of = torch.from_numpy(table["row"].to_numpy().copy())
            distances, order = torch.cat([distances, far], 1).sort(dim=1, stable=True)
            rows = torch.cat([rows, of[near]], 1).gather(1, order)
            distances, rows = distances[:, :number], rows[:, :number]
        return rows.numpy(), distances.numpy()


def search(
    folder: str | os.PathLike[str],
    queries: Sequence[str] = (),
    number: int = 8,
    *,
    keys: Sequence[str] = (),
    by: str = "cosine",
    exact: bool | None = None,
    model: Model | None = None,
    device: str | None = None,
    quiet: bool = True,
) -> list[Answer]:
    """Find the rows of a folder of vectors that are nearest to texts, images or its own rows.

    Args:
        folder: that `zoo.encode` has filled, or its address.
        queries: texts of a folder of texts; else image files, folders of them, or names of
            example data sets.
        number: of neighbours, 1 to 1000; of fewer vectors all.
        keys: of rows whose neighbours are asked for.
        by: `cosine`, one minus the cosine of the angle, from 0 to 2; `l2`, the Euclidean distance.
        exact: compare all vectors; None does so up to 200,000 of them. Of more an index is made
            at the first question, stays in the folder, and finds nearly all of the nearest.
        model: that made the vectors, where it lies elsewhere now; None is the one they name.
        device: where the model runs, as of `zoo.device.find_device`.
        quiet: draw no progress bar.

    Returns:
        One answer for each query, then for each key.

    Raises:
        UsageError: a number or distance is out of its range, or nothing was asked for.
        NotFoundError: there is no such folder, model, file or key.
        ConflictError: the folder is not complete, or of another model.
        MissingDependencyError: an index needs a package that is not installed.
        IntegrityError: files are malformed.
    """
    if not 1 <= number <= MAX_NUMBER:
        raise UsageError(f"number must be 1 to {MAX_NUMBER}, got {number}")
    if isinstance(queries, str) or not (queries or keys):
        raise UsageError("ask for a list of texts or images, or of keys; got nothing of these")
    check_distance(by)
    vectors = Vectors(folder)
    names: list[str] = []
    asked = [np.empty((0, vectors.size), np.float32)]
    if queries:
        names, found = _encoded(vectors, list(queries), model, device)
        asked.append(found)
    own: list[int] = []
    if keys:
        own, found = vectors.of_keys(list(keys))
        asked.append(found)
    more = number + bool(keys)  # a row is nearest to itself, and not asked for
    near, far = vectors.nearest(np.concatenate(asked), more, by=by, exact=exact, quiet=quiet)
    called = vectors.keys_of([int(row) for row in near.flatten() if row >= 0])
    selves: list[int | None] = [*[None] * len(names), *own]
    return [
        Answer(
            name,
            [
                Neighbor(called[row], row, round(distance, 6))
                for row, distance in zip(rows, distances, strict=True)
                if row != itself and row >= 0
            ][:number],
        )
        for name, itself, rows, distances in zip(
            [*names, *keys], selves, near.tolist(), far.tolist(), strict=True
        )
    ]


def _encoded(
    vectors: Vectors, queries: list[str], model: Model | None, device: str | None
) -> tuple[list[str], "np.ndarray[Any, Any]"]:
    """What queries are called, and their vectors, by the model of the folder."""
    settings = vectors.settings
    found = locate(model or settings["model"])
    if model_sum(found.place) != settings["model_sha256"]:
        raise ConflictError(
            f"{vectors.place} holds vectors of {settings['model']} "
            f"({settings['model_sha256'][:12]}), and {found} has other files; search with that "
            "model, or encode the data with this one"
        )
    options: dict[str, Any] = {
        name: settings.get(name) for name in ("tap", "pooling", "max_length")
    }
    encoder: Encoder = open_encoder(
        found, **options, precision=settings["precision"], device=device or "cpu"
    )
    if isinstance(encoder, ImageEncoder):
        read = read_images(queries, encoder.processor)
        parts = torch.split(read.pixels, encoder.batch_size)
        made = np.concatenate([encoder.vectors(part) for part in parts])
        return [str(file) for file in read.files], made
    assert isinstance(encoder, TextEncoder)
    return queries, encoder.of_texts(queries)
