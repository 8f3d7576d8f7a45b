"""`zoo.encode` beside the bare model: images from Parquet, texts of mixed length, any GPU.

The bare model is given inputs that are ready, in the same batches; `zoo.encode` reads the data,
decodes or tokenizes it in threads, and writes the vectors. Times are of the clock, and CPU seconds
of the thread that runs the model and of all others: where cores are free, what the others do costs
nothing as long as it is less than what the model does. The arms take turns, of which each number
of `--workers` is one; a ratio is the median of those within a round. `--memory ROWS` instead
prints the peak memory of a fresh process for as many tiny rows.
Run: OMP_NUM_THREADS=1 GENAE_DATA=FOLDER python tests/benchmarks/bench_encode.py
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import (
    PeakMemory,
    describe_machine,
    in_fresh_process,
    median,
    print_table,
    resident_megabytes,
)

SETTINGS = {"rows_per_shard": 16_384, "dtype": "float32"}


def timed(work: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of the clock, of this thread, and of all others."""
    start = time.perf_counter(), time.thread_time(), time.process_time()
    work()
    wall = time.perf_counter() - start[0]
    thread, process = time.thread_time() - start[1], time.process_time() - start[2]
    return wall, thread, process - thread


def compare(
    model: str, data: str, split: str, asked: argparse.Namespace
) -> tuple[list[str], list[list[str]]]:
    """A row of the table for the bare model, and one for `zoo.encode`."""
    from zoo.ahead import batched
    from zoo.encoding.encoders import Batch, open_encoder
    from zoo.encoding.making import Maker
    from zoo.encoding.rows import Wanted
    from zoo.encoding.sources import open_source
    from zoo.loading import locate
    from zoo.places import Place

    encoder = open_encoder(locate(model), device=asked.device, precision=asked.precision)
    source = open_source(data, encoder.reads, split=split, quiet=True)
    skipped: list[Any] = []
    ready: list[Batch] = []
    for rows in batched(source.read(Wanted([range(10**9)])), SETTINGS["rows_per_shard"]):
        ready += encoder.batches(rows, skipped)
    number = sum(len(batch.numbers) for batch in ready)

    def bare() -> None:
        for batch in ready:
            encoder.vectors(batch.inputs)

    def encode(workers: int) -> None:
        if encoder.reads == "images":
            encoder.workers = workers
        with tempfile.TemporaryDirectory() as folder:
            Maker(Place(folder), source, encoder, {"settings": SETTINGS}, False).run(0, 1, True)

    arms: dict[str, Callable[[], object]] = {"bare": bare}
    for workers in asked.workers if encoder.reads == "images" else [0]:
        arms[f"zoo.encode, workers {workers}"] = partial(encode, workers)
    bare()
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in arms}
    for _ in range(asked.rounds):
        for name, arm in arms.items():
            times[name].append(timed(arm))
    rows = []
    for name, each in times.items():
        ratios = [a[0] / b[0] for a, b in zip(times["bare"], each, strict=True)]
        own = [a[1] / b[1] for a, b in zip(times["bare"], each, strict=True)]
        wall, thread, others = (median(list(column)) for column in zip(*each, strict=True))
        rows.append(
            [
                f"{model}, {number:,} rows, {name}",
                f"{number / wall:,.0f}",
                f"{thread:.2f}",
                f"{others:.2f}",
                f"{median(ratios):.2f}",
                f"{median(own):.2f}",
            ]
        )
    return rows


def memory(rows: int) -> None:
    """Encode so many tiny texts in this process, and print the megabytes it took."""
    import numpy as np

    from zoo.encoding import run
    from zoo.encoding.encoders import Batch

    class Tiny:
        """An encoder of 16 numbers a row, so that memory is that of reading and writing."""

        reads, size, batch_size = "texts", 16, 256

        def settings(self):
            return {}

        def batches(self, rows, skipped):
            from zoo.ahead import batched

            for batch in batched(rows, self.batch_size):
                yield Batch([row.number for row in batch], [row.key for row in batch], len(batch))

        def close(self):
            pass

        def vectors(self, inputs):
            return np.zeros((inputs, self.size), np.float32)

    run.open_encoder = lambda model, **options: Tiny()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "t.jsonl"
        with data.open("w") as lines:
            lines.writelines(f'{{"text": "the line number {row}"}}\n' for row in range(rows))
        run.encode("genae/tiny-bert", data, Path(folder) / "warm", max_length=None)
        start = resident_megabytes()
        with PeakMemory() as peak:
            begin = time.perf_counter()
            run.encode("genae/tiny-bert", data, Path(folder) / "out")
            seconds = time.perf_counter() - begin
    print(json.dumps({"rows": rows, "before": start, "peak": peak.megabytes, "seconds": seconds}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-model", default="genae/eae-mnist")
    parser.add_argument("--images", default="mnist")
    parser.add_argument("--text-model", default="genae/bert-poetry-zh")
    parser.add_argument("--texts", default="chinese-classics")
    parser.add_argument("--image-split", default="test")
    parser.add_argument("--text-split", default="test")
    parser.add_argument("--device")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="*")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of is not None:
        memory(asked.memory_of)
        return
    if asked.memory is not None:
        rows = []
        for number in asked.memory or [100_000, 1_000_000]:
            found = json.loads(in_fresh_process(__file__, "--memory-of", number))
            speed = number / found["seconds"]
            rows.append([f"{number:,} texts", f"{found['peak']:.0f} MB", f"{speed:,.0f}"])
        print_table("peak memory above the start", ["", "memory", "rows a second"], rows)
        return
    rows = compare(asked.image_model, asked.images, asked.image_split, asked)
    rows += compare(asked.text_model, asked.texts, asked.text_split, asked)
    print(describe_machine())
    headings = ["", "rows a second", "model's CPU s", "others'", "speed", "of the model's thread"]
    print_table("zoo.encode beside the bare model", headings, rows)


if __name__ == "__main__":
    main()
