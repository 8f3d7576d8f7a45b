"""A synthetic BERT-base from its TensorFlow checkpoint or Keras file, beside cp and save_file.

Run: python tests/benchmarks/bench_convert.py [--rounds 5] [--folder FOLDER]

The checkpoint is 0.41 GB of random float32; the one with Adam's slots 1.23 GB. Each arm is a whole
process, start-up included; the arms take turns. Memory is the process's peak resident size.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from side_by_side import describe_machine, median, print_table

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "vocab_size": 21128,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
}
GENAE = "import sys; from zoo.cli import app; app(sys.argv[1:], prog_name='genae')"
SAVE = """
import sys, numpy as np
from safetensors.numpy import save_file
sys.path.insert(0, sys.argv[3])
import convert
with convert.open_checkpoint(sys.argv[1], verify_checksums=False) as tensors:
    arrays = {n: t.numpy() for n, t in tensors.items()}
save_file({n: np.ascontiguousarray(a.T) if n.endswith("kernel") else a for n, a in arrays.items()},
          sys.argv[2])
"""

# What transformers 4's conversion script did; the function is gone from version 5.
PEER = """
import sys
from transformers import BertConfig, BertForPreTraining
from transformers.models.bert.modeling_bert import load_tf_weights_in_bert
config = BertConfig.from_json_file(sys.argv[1] + "/bert_config.json")
model = BertForPreTraining(config)
load_tf_weights_in_bert(model, config, sys.argv[1] + "/bert_model.ckpt")
model.save_pretrained(sys.argv[2])
"""


def tensors(slots: bool):
    """(name, array) of a BERT-base with pooler, NSP and MLM heads."""
    import numpy as np

    from convert.families.bert import FAMILY
    from convert.weights.rows import expand

    sizes = {
        "vocab": 21128,
        "hidden": 768,
        "embedding": 768,
        "intermediate": 3072,
        "positions": 512,
        "segments": 2,
        "keys": 768,
        "values": 768,
    }
    parts = dict.fromkeys(("body", "segments", "pooler", "nsp", "mlm"), True)
    random = np.random.default_rng(0)
    for row in expand(FAMILY.rows, parts, 12):
        shape = [sizes.get(size, size) for size in row.shape]
        array = random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        array = np.ascontiguousarray(row.op.invert(array))
        yield row.source, row, array
        for slot in ("adam_m", "adam_v") if slots else ():
            yield f"{row.source}/{slot}", None, array


def write(folder: Path, slots: bool) -> None:
    """The checkpoint, its data file written as a stream, and for the plain one the Keras file."""
    import h5py

    from convert.wire.crc32c import crc32c, mask
    from tests.conversion.bundles import entry, field, table

    folder.mkdir(parents=True)
    records, offset, keras = {b"": field(1, 1)}, 0, {}
    with (folder / "bert_model.ckpt.data-00000-of-00001").open("wb") as file:
        for name, row, array in tensors(slots):
            raw = array.tobytes()
            file.write(raw)
            crc = mask(crc32c(raw))
            records[name.encode()] = entry(1, array.shape, 0, offset, len(raw), crc)
            offset += len(raw)
            if row is not None and not slots:
                back = row.op_for("keras").invert(row.op.apply(array))
                keras.setdefault(row.layer, []).append((row.slot, back))
    (folder / "bert_model.ckpt.index").write_bytes(table(records))
    (folder / "bert_config.json").write_text(json.dumps(CONFIG))
    if slots:
        return
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in keras]
        for layer, weights in keras.items():
            group = file.create_group(layer)
            names = [f"{layer}/w_{slot}:0" for slot, _ in sorted(weights, key=lambda w: w[0])]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for slot, array in weights:
                group[f"{layer}/w_{slot}:0"] = array


# Started by a small process: a peak begins with the memory of whoever forked.
LAUNCH = """
import os, sys, time
start = time.perf_counter()
null = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                        file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, used = os.wait4(child, 0)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, status)
"""


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of a process."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
    done = subprocess.run(launcher, cwd=ROOT, capture_output=True, text=True, check=True)
    *found, status = map(float, done.stdout.split())
    if status:
        sys.exit(done.stderr)
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="A Python that has transformers 4, torch and TensorFlow.")
    parser.add_argument("--folder", type=Path, help="Where the files are made and kept.")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="genae-bench-"))
    plain, slots, out = folder / "plain", folder / "slots", folder / "out"
    for place, with_slots in ((plain, False), (slots, True)):
        if not place.exists():
            write(place, with_slots)
    index, target = plain / "bert_model.ckpt.index", str(out / "model")
    python = sys.executable

    def genae(source: Path) -> list[str]:
        return [python, "-c", GENAE, "convert", str(source), target, "--quiet"]

    arms = {
        "genae, 0.41 GB checkpoint": genae(index),
        "genae, 1.23 GB with slots": genae(slots / "bert_model.ckpt.index"),
        "genae, 0.41 GB Keras HDF5": genae(plain / "model.h5"),
        "cp": ["cp", str(plain / "bert_model.ckpt.data-00000-of-00001"), target],
        "read + transpose + save_file": [python, "-c", SAVE, str(index), target, str(ROOT)],
        "genae inspect": [python, "-c", GENAE, "inspect", str(index)],
        "genae convert --help": [python, "-c", GENAE, "convert", "--help"],
    }
    if options.peer:
        script = [options.peer, "-c", PEER, str(plain), target]
        arms["transformers 4 + TensorFlow"] = script
    found = {arm: [] for arm in arms}
    for _ in range(options.rounds):
        for arm, command in arms.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            found[arm].append(measure(command))
    print(describe_machine())
    rows = [
        [arm, *(f"{median([run[i] for run in runs]):.{d}f}" for i, d in ((0, 2), (1, 2), (2, 0)))]
        for arm, runs in found.items()
    ]
    print_table(f"medians of {options.rounds}", ["arm", "wall s", "CPU s", "peak MiB"], rows)
    shutil.rmtree(out, ignore_errors=True)
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
