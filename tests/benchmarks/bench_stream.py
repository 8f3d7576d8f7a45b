"""A synthetic mT5 of 4 GB from its TensorFlow checkpoint or Keras file: peak memory, beside cp.

Run: python tests/benchmarks/bench_stream.py [--rounds 3] [--folder FOLDER] [--small]

Embedding 250,112 x 1024 and logits 1024 x 250,112 of random float32, 1.02 GB each, the second to
be transposed; 17 blocks of encoder and decoder make up the rest. Each arm is a whole process,
start-up included; memory is its peak resident size. Needs twice the size of each file on the disk
where the temporary folder is, one form after the other.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench_convert import GENAE, ROOT, measure
from side_by_side import describe_machine, median, print_table

PIECE = 4 * 2**20  # values made at a time
SIZES = {
    "vocab": 250_112,
    "hidden": 1024,
    "intermediate": 2816,
    "heads": 16,
    "keys": 1024,
    "values": 1024,
}
LAYERS = 17
SMALL = {"vocab": 25_000}


def config(sizes: dict[str, int]) -> dict[str, object]:
    """The legacy configuration."""
    return {
        "vocab_size": sizes["vocab"],
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["intermediate"],
        "num_attention_heads": sizes["heads"],
        "attention_head_size": 64,
        "num_hidden_layers": LAYERS,
        "hidden_act": ["gelu", "linear"],
    }


def tensors(naming: str, sizes: dict[str, int]):
    """(row, shape as stored) of every tensor."""
    from convert.families import find
    from convert.weights.ops import TRANSPOSE
    from convert.weights.rows import expand

    rows = find("mt5.1.1").rows
    parts = {part: True for row in rows for part in row.part.split("+")}
    for row in expand(rows, parts, LAYERS):
        shape = [sizes.get(size, size) for size in row.shape]
        yield row, shape[::-1] if row.op_for(naming) is TRANSPOSE else shape


def values(shape: list[int]):
    """Random values, a piece at a time."""
    import math

    import numpy as np

    random, left = np.random.default_rng(0), math.prod(shape)
    while left:
        piece = random.random(min(PIECE, left), np.float32)
        left -= len(piece)
        yield piece


def write_tensorflow(folder: Path, sizes: dict[str, int]) -> Path:
    """A checkpoint whose data file is written as a stream."""
    from convert.wire.crc32c import crc32c, mask
    from tests.conversion.bundles import entry, field, table

    records, offset = {b"": field(1, 1)}, 0
    with (folder / "model.ckpt.data-00000-of-00001").open("wb") as file:
        for row, shape in tensors("tensorflow", sizes):
            begin, crc = offset, 0
            for piece in values(shape):
                file.write(piece)
                crc = crc32c(piece, crc)
                offset += piece.nbytes
            records[row.source.encode()] = entry(1, shape, 0, begin, offset - begin, mask(crc))
    index = folder / "model.ckpt.index"
    index.write_bytes(table(records))
    return index


def write_keras(folder: Path, sizes: dict[str, int]) -> Path:
    """A file of weights as Keras 2 saves them, contiguous."""
    import h5py

    layers: dict[str, list] = {}
    for row, shape in tensors("keras", sizes):
        layers.setdefault(row.layer, []).append((row.slot, shape))
    with h5py.File(folder / "model.weights", "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            names = [f"{layer}/w_{slot}:0" for slot, _ in sorted(weights)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, (_, shape) in zip(names, sorted(weights), strict=True):
                data, start = group.create_dataset(name, shape, "f4"), 0
                height = max(1, PIECE // max(1, shape[-1] if len(shape) > 1 else 1))
                for start in range(0, shape[0], height):
                    part = [min(height, shape[0] - start), *shape[1:]]
                    flat = next(values(part))
                    data[start : start + part[0]] = flat.reshape(part)
    return folder / "model.weights"


FORMS = {"TensorFlow": write_tensorflow, "Keras HDF5": write_keras}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where the temporary folder is made.")
    parser.add_argument("--small", action="store_true", help="A tenth of the vocabulary.")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    sizes = SIZES | (SMALL if options.small else {})
    rows = []
    for form, write in FORMS.items():
        with tempfile.TemporaryDirectory(prefix="genae-bench-", dir=options.folder) as scratch:
            folder, out = Path(scratch) / "in", Path(scratch) / "out"
            folder.mkdir()
            (folder / "bert_config.json").write_text(json.dumps(config(sizes)))
            source = write(folder, sizes)
            weights = max(folder.iterdir(), key=lambda path: path.stat().st_size)
            size = f"{weights.stat().st_size / 1e9:.2f} GB"
            told = ["convert", str(source), str(out / "model"), "--family", "mt5.1.1", "--quiet"]
            arms = {
                f"genae, {form}, {size}": [sys.executable, "-c", GENAE, *told],
                f"cp of {size}": ["cp", str(weights), str(out / "model")],
            }
            found = {arm: [] for arm in arms}
            for _ in range(options.rounds):
                for arm, command in arms.items():
                    shutil.rmtree(out, ignore_errors=True)
                    out.mkdir()
                    found[arm].append(measure(command))
            rows += [
                [
                    arm,
                    *(
                        f"{median([run[i] for run in runs]):.{d}f}"
                        for i, d in ((0, 1), (1, 1), (2, 0))
                    ),
                ]
                for arm, runs in found.items()
            ]
    print(describe_machine())
    print_table(f"medians of {options.rounds}", ["arm", "wall s", "CPU s", "peak MiB"], rows)


if __name__ == "__main__":
    main()
