"""Parquet files of vectors, each whole or absent, and what is known of all of them."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zoo.errors import ConflictError, IntegrityError, NotFoundError
from zoo.places import Place

from .encoders import Skipped

MANIFEST, SKIPPED, VECTORS = "encoding.json", "skipped.jsonl", "vectors"
FORMAT = 1
NAME = re.compile(r"part-(\d{6,})\.parquet")
#: Globs of all files that a run writes.
WRITTEN = (MANIFEST, SKIPPED, f"{VECTORS}/part-*.parquet")
DTYPES = ("float32", "float16")
FACTS = b"genae"  # the key of what a file's footer says of its rows
READERS = 16  # threads that read footers, most of whose time is waiting


def name_of(number: int) -> str:
    """The name of a file of vectors inside the folder."""
    return f"{VECTORS}/part-{number:06d}.parquet"


@dataclass(frozen=True)
class Facts:
    """What a file of vectors says of itself.

    Attributes:
        first: number of its first row.
        rows: number of rows that were read for it.
        encoded: number of vectors.
        skipped: its rows without a vector.
    """

    first: int
    rows: int
    encoded: int
    skipped: list[Skipped]


def packed(
    first: int,
    rows: int,
    numbers: Sequence[int],
    keys: Sequence[str],
    vectors: "np.ndarray[Any, Any]",
    skipped: Sequence[Skipped],
) -> memoryview:
    """The bytes of a file of vectors.

    Args:
        first: number of the first row that was read for it.
        rows: number of rows that were read for it.
        numbers: of the rows that have vectors, rising.
        keys: of these.
        vectors: `(number, size)`, float32 or float16.
        skipped: the other rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = vectors.shape[1]
    values = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    facts = {
        "first": first,
        "rows": rows,
        "encoded": len(numbers),
        "skipped": [asdict(one) for one in skipped],
    }
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "row": pa.array(numbers, pa.int64()),
            "vector": pa.FixedSizeListArray.from_arrays(values, size),
        },
        metadata={FACTS: json.dumps(facts)},
    )
    made = io.BytesIO()
    # Numbers of vectors hardly repeat: neither dictionaries nor compression make them smaller.
    pq.write_table(table, made, use_dictionary=False, compression={"key": "zstd", "row": "zstd"})
    return made.getbuffer()


def facts_of(place: Place, number: int) -> Facts | None:
    """What a file of vectors says of itself; None if it is absent or not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with place.open(name_of(number)) as stream:
            found = json.loads((pq.read_schema(stream).metadata or {})[FACTS])
    except (NotFoundError, pa.ArrowInvalid, KeyError):
        return None
    skipped = [Skipped(**one) for one in found.pop("skipped")]
    return Facts(**found, skipped=skipped)


def numbers_in(place: Place) -> list[int]:
    """The numbers of the files of vectors that there are, rising."""
    found = (NAME.fullmatch(name) for name in place.names(VECTORS))
    return sorted(int(match[1]) for match in found if match)


def every_fact(place: Place, numbers: Sequence[int]) -> Iterator[Facts | None]:
    """`facts_of` each of these files, in order."""
    with ThreadPoolExecutor(READERS, "footers") as pool:
        yield from pool.map(lambda number: facts_of(place, number), numbers)


def vectors_of(place: Place, number: int, columns: Sequence[str] | None = None) -> Any:
    """The table of a file of vectors.

    Args:
        place: the folder.
        number: of the file.
        columns: that are read; None is all.

    Raises:
        IntegrityError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with place.open(name_of(number)) as stream:
            return pq.read_table(stream, columns=None if columns is None else list(columns))
    except (NotFoundError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            f"{place}/{name_of(number)}: cannot be read; remove it and run the same "
            f"`genae encode` again"
        ) from error


def matrix(table: Any) -> "np.ndarray[Any, Any]":
    """The vectors of a table, `(rows, size)`, of their own type."""
    column = table["vector"].combine_chunks()
    size = column.type.list_size
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(-1, size)


def read_manifest(place: Place) -> dict[str, Any] | None:
    """What was written about all files; None where there is nothing.

    Raises:
        IntegrityError: it is malformed.
    """
    content = place.read(MANIFEST)
    if content is None:
        return None
    try:
        found = json.loads(content)
        known = isinstance(found, dict) and found["format"] == FORMAT
        assert isinstance(found["settings"], dict)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise IntegrityError(
            f"{place}/{MANIFEST}: is malformed; choose another folder with -o, and encode anew"
        ) from error
    if not known:
        raise IntegrityError(
            f"{place}/{MANIFEST}: was written by another version of genae; choose another folder"
        )
    return dict(found)


def is_whole(place: Place, manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says how many rows there are, and no file of them was removed since."""
    if "rows" not in manifest:
        return False
    files = range(-(-manifest["rows"] // manifest["settings"]["rows_per_shard"]))
    return {*files} <= {*numbers_in(place)}


def write_manifest(place: Place, manifest: Mapping[str, Any]) -> None:
    """Write it as a whole."""
    text = json.dumps({"format": FORMAT, **manifest}, indent=2, ensure_ascii=False) + "\n"
    place.write(MANIFEST, text.encode("utf-8"))


def check_free(place: Place) -> None:
    """Refuse a folder that holds something else than vectors.

    Raises:
        ConflictError: it does, or it is a file.
    """
    if place.is_file:
        raise ConflictError(f"{place} is a file; choose another folder with -o.")
    names = place.names()
    if MANIFEST not in names and any(not name.startswith(".") for name in names):
        raise ConflictError(f"{place} is not empty and has no {MANIFEST}; choose another folder.")


#: Settings that must be those of the vectors that are there, and how messages call them.
SAME = {
    "model_sha256": "the model",
    "reads": "the model",
    "tap": "--tap",
    "pooling": "--pooling",
    "max_length": "--max-length",
    "precision": "--precision",
    "dtype": "--dtype",
    "rows_per_shard": "--shard-size",
    "split": "--split",
    "config": "--config",
    "column": "--column",
    "key": "--key",
    "data_fingerprint": "the data",
}


def check_same(place: Place, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to add vectors of something else.

    Raises:
        ConflictError: model, data or options are not those of the folder.
    """
    for name, what in SAME.items():
        old, new = there.get(name), asked.get(name)
        if old == new:
            continue
        if name == "model_sha256":
            old, new = (f"{one['model']} ({str(one[name])[:12]})" for one in (there, asked))
        elif name == "data_fingerprint":
            old, new = there["data"], f"{asked['data']}, whose files or rows differ"
        raise ConflictError(
            f"{place} holds vectors of other settings: {what} was {old}, now it is {new}; choose "
            "another folder with -o, or ask for the same again"
        )
