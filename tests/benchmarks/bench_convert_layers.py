"""A Keras whole model of 100 MB converted to layers, beside reading, transposing and writing it.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_convert_layers.py [--rounds 5]

Two thirds of the bytes are a Dense layer, the rest convolutions, all random float32. Each arm is a
whole process; the arms take turns. Memory is the process's peak resident size. What a start takes,
imports alone, is measured as well, and taken off.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench_convert import GENAE, ROOT, measure
from side_by_side import describe_machine, median, print_table

WIDTH, SIDE = 512, 4
PEER, OWN, OTHER = "read, transpose, save_file", "start of genae", "start of the others"
UNITS = 2048

#: Reads all data sets, brings kernels into PyTorch's order and writes one safetensors file.
BYTES = """
import sys, h5py, numpy as np
from safetensors.numpy import save_file
found = {}
def take(name, item):
    if isinstance(item, h5py.Dataset):
        array = item[()]
        order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(array.ndim)
        found[name] = array if order is None else np.ascontiguousarray(array.transpose(order))
with h5py.File(sys.argv[1]) as file:
    file["model_weights"].visititems(take)
save_file(found, sys.argv[2])
"""

#: The same, one tensor in memory at a time, bytes alone.
STREAM = """
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as file, open(sys.argv[2], "wb") as out:
    def take(name, item):
        if isinstance(item, h5py.Dataset):
            array = item[()]
            order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(array.ndim)
            array = array if order is None else np.ascontiguousarray(array.transpose(order))
            out.write(array.data)
    file["model_weights"].visititems(take)
"""
NOTHING = "import h5py, numpy; from safetensors.numpy import save_file"
START = "from zoo.cli import app; import convert.layered, convert.forward, h5py, numpy"


def layers():
    """(class, options, weights) of each layer in the order of the model."""
    import numpy as np

    random = np.random.default_rng(0)

    def array(*shape):
        return random.standard_normal(shape, dtype=np.float32)

    same = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "activation": "relu"}
    yield "Conv2D", {**same, "filters": WIDTH}, {"kernel": array(3, 3, 3, WIDTH),
                                                 "bias": array(WIDTH)}  # fmt: skip
    for kind in ("Conv2D", "Conv2D", "Conv2DTranspose"):
        kernel = array(3, 3, WIDTH, WIDTH)
        yield kind, {**same, "filters": WIDTH}, {"kernel": kernel, "bias": array(WIDTH)}
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        weights = {name: array(WIDTH) for name in names}
        yield "BatchNormalization", {"axis": [3], "epsilon": 1e-3}, weights
    yield "Flatten", {}, {}
    wide = {"kernel": array(SIDE * SIDE * WIDTH, UNITS), "bias": array(UNITS)}
    yield "Dense", {"units": UNITS, "activation": "relu"}, wide
    yield "Dense", {"units": 10}, {"kernel": array(UNITS, 10), "bias": array(10)}


def write(path: Path) -> None:
    """The model as Keras 2 saves it."""
    import h5py

    first = {"name": "input_1", "batch_input_shape": [None, SIDE, SIDE, 3], "dtype": "float32"}
    listed = [{"class_name": "InputLayer", "config": first}]
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        names = []
        for number, (kind, options, weights) in enumerate(layers()):
            name = f"layer_{number}"
            listed.append({"class_name": kind, "config": {"name": name, **options}})
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [f"{name}/{each}:0".encode() for each in weights]
            names.append(name.encode())
            for each, array in weights.items():
                inner[f"{name}/{each}:0"] = array
        group.attrs["layer_names"] = names
        file.attrs["keras_version"] = "2.15.0"
        table = {"class_name": "Sequential", "config": {"name": "model", "layers": listed}}
        file.attrs["model_config"] = json.dumps(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    folder = Path(tempfile.mkdtemp(prefix="genae-bench-"))
    source, out = folder / "model.h5", folder / "out"
    write(source)
    python, target = sys.executable, str(out / "model")
    genae = [python, "-c", GENAE]
    arms = {
        "genae convert": [*genae, "convert", str(source), target, "--quiet"],
        PEER: [python, "-c", BYTES, str(source), target],
        "read, transpose, write": [python, "-c", STREAM, str(source), target],
        "genae inspect": [*genae, "inspect", str(source)],
        OWN: [python, "-c", START],
        OTHER: [python, "-c", NOTHING],
    }
    found = {arm: [] for arm in arms}
    for _ in range(options.rounds):
        for arm, command in arms.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            found[arm].append(measure(command))
    print(describe_machine(), f"{source.stat().st_size / 1e6:.0f} MB")

    def table(place: int, arm: str, start: str) -> list[float]:
        """What each round took, and what of it came after the start-up."""
        pairs = zip(found[arm], found[start], strict=True)
        return [one[place] - two[place] for one, two in pairs]

    rows = []
    for arm, runs in found.items():
        start = OWN if arm.startswith("genae") else OTHER
        wall, cpu, peak = (median([run[place] for run in runs]) for place in range(3))
        more = [median(table(place, arm, start)) for place in (1, 2)]
        rows.append([arm, *(f"{one:.2f}" for one in (wall, cpu, more[0])),
                     *(f"{one:.0f}" for one in (peak, more[1]))])  # fmt: skip
    headings = ["arm", "wall s", "CPU s", "after start", "peak MiB", "after start"]
    print_table(f"medians of {options.rounds}", headings, rows)
    pairs = zip(table(1, "genae convert", OWN), table(1, PEER, OTHER), strict=True)
    print(f"CPU after the start, genae / {PEER}: {median([a / b for a, b in pairs]):.2f}")
    pairs = zip(found["genae convert"], found[PEER], strict=True)
    print(f"whole processes: {median([a[1] / b[1] for a, b in pairs]):.2f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
