"""`zoo.encode`: vectors of every row of a data set, a file at a time."""

import hashlib
import os
from pathlib import Path

from zoo import gathering
from zoo.device import own_device
from zoo.errors import UsageError
from zoo.hints import did_you_mean
from zoo.loading import Model, locate
from zoo.places import Place
from zoo.registry import manifest as model_manifest

from .encoders import PRECISIONS, model_sum, open_encoder
from .making import Encoded, Maker, finish, outcome
from .shards import DTYPES, WRITTEN, check_free, check_same, is_whole, read_manifest
from .sources import open_source

ROWS_PER_SHARD = 16_384


def encode(
    model: Model,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    split: str = "train",
    config: str | None = None,
    column: str | None = None,
    key: str | None = None,
    tap: str | None = None,
    pooling: str | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    dtype: str = "float32",
    precision: str = "float32",
    device: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    workers: int = 0,
    streaming: bool = False,
    strict: bool = False,
    quiet: bool = True,
) -> Encoded:
    """Write a vector for each row of a data set, in Parquet files.

    The files have the columns `key`, `row` (the number of the row, from 0) and `vector`, in the
    order of the data. Each appears as a whole, so that a run that was killed goes on where it is
    called again, with every row once. Rows that cannot be read are counted and listed in
    `skipped.jsonl`. Of torchrun's n processes each makes every n-th file; the vectors are the
    same for any number of them, and however often the run was killed.

    Args:
        model: an id or a folder, of images or texts.
        data: a name of `zoo.data.DATASETS`, a folder or file (images; Parquet, JSON lines, CSV,
            text), an address of fsspec such as `s3://bucket/folder`, or a Hub id.
        output: a new folder, one that an earlier call began, or an address of fsspec.
        split: in the slicing syntax of `datasets`.
        config: the configuration, where a data set has several.
        column: of the images or texts; None is the usual one.
        key: the column of keys; None is the path of an image, else the number of the row.
        tap: of images, a layer of the encoder; None is the code.
        pooling: of texts, a key of `zoo.embedding.POOLINGS`; None is what the model was made for.
        max_length: of texts, number of tokens that are read; None is as many as the model can.
        batch_size: number of rows that go through the model at once; None is 32 texts, or
            1,024 images of 32 x 32 pixels, of larger ones fewer.
        dtype: of the numbers that are stored, `float32` or `float16`.
        precision: of the model's computation, `float32` or `bfloat16`, which is quicker on a GPU.
        device: where the model runs, as of `zoo.device.find_device`.
        rows_per_shard: number of rows in a file, and those that a killed run does again.
        workers: of images, number of processes that decode them, for a model that is quicker than
            one core's threads; a script then needs `if __name__ == "__main__":`, as for torch's
            data loaders. 0 for threads.
        streaming: read a data set of the Hub as rows are asked for, without a copy on the disk.
        strict: stop at the first row that cannot be read.
        quiet: draw no progress bar.

    Returns:
        How many rows there are, and how many have vectors.

    Raises:
        UsageError: the model makes no vectors, an option is out of its range, or no row could be
            read; with `strict`, any row that could not.
        NotFoundError: there is no such model or data.
        ConflictError: the output holds something else, or vectors of other settings; or another
            run writes to it.
        IntegrityError: files of the model, the data or the output are malformed.
        MissingDependencyError: a package, the device or space on the disk is missing.
        UnreachableError: a file system failed; the same call goes on.
        InterruptedRunError: interrupted; the same call goes on.
    """
    for name, value, known in (("dtype", dtype, DTYPES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UsageError(f"no {name} {value!r}. {did_you_mean(value, known)}")
    for name, number in (("batch_size", batch_size), ("rows_per_shard", rows_per_shard)):
        if number is not None and number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")
    rank, ranks = ranks_of()
    found = locate(model)
    place = Place(os.fspath(output))
    check_free(place)
    encoder = open_encoder(
        found, tap=tap, pooling=pooling, max_length=max_length, batch_size=batch_size,
        device=own_device(device), precision=precision, workers=workers,
    )  # fmt: skip
    source = open_source(
        os.fspath(data), encoder.reads, split=split, config=config, column=column, key=key,
        streaming=streaming, quiet=quiet,
    )  # fmt: skip
    if workers and os.fspath(data).startswith("memory:"):
        raise UsageError(f"{data} is of this process alone; leave workers out")
    settings = {
        "model": found.name,
        "version": _version(found.place),
        "model_sha256": model_sum(found.place),
        "reads": encoder.reads,
        **encoder.settings(),
        "dtype": dtype,
        "rows_per_shard": rows_per_shard,
        "data": os.fspath(data),
        "split": split,
        "config": config,
        "column": column,
        "key": key,
        "data_fingerprint": hashlib.sha256(source.fingerprint.encode()).hexdigest(),
    }
    there = read_manifest(place)
    if there is not None:
        check_same(place, there["settings"], settings)
        if is_whole(place, there):
            place.sweep(WRITTEN)
            return outcome(place, there, made=0)
    if source.count == 0:
        raise UsageError(f"data set {os.fspath(data)}: has no rows; ask for more of it")
    begun = {"settings": settings, "size": encoder.size}
    with place.held(WRITTEN):
        maker = Maker(place, source, encoder, begun, strict)
        made = maker.run(rank, ranks, quiet)
        rows = source.count
        if not rows:
            raise UsageError(f"data set {os.fspath(data)}: has no rows; ask for more of it")
        made = sum(gathering.of_all(made))  # of those that have joined, all files are there now
        return gathering.by_first(lambda: finish(place, rows, begun, made))


def ranks_of() -> tuple[int, int]:
    """Which of torchrun's processes this is, and how many there are; 0 and 1 without it.

    Raises:
        UsageError: the variables say something else.
    """
    given = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    try:
        rank, ranks = map(int, given)
        if not 0 <= rank < ranks:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"RANK={given[0]} and WORLD_SIZE={given[1]}: these are numbers, 0 to one less than "
            "the second; torchrun sets both, else unset them"
        ) from None
    return rank, ranks


def _version(folder: str) -> str | None:
    """The version that a model's manifest states, if it has one."""
    if not (Path(folder) / model_manifest.MANIFEST_FILE).is_file():
        return None
    return str(model_manifest.read(folder)["version"])
