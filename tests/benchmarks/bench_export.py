"""A BERT-base in ONNX Runtime beside PyTorch, on one thread; random weights, which cost the same.

Times are those of the CPU, which on one thread are those of a clock where nothing else runs.

OMP_NUM_THREADS=1 python tests/benchmarks/bench_export.py [--layers 12] [--int8]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch
import transformers

import zoo
from zoo.exporting.graphs import graphs

SIZES = ((1, 32), (1, 128), (8, 32), (8, 128))
ROUNDS = 7


def main():
    """Export, then let both compute the same batches in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--int8", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=21128, num_hidden_layers=given.layers)
    model = transformers.BertForMaskedLM(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(f"{folder}/model")
        started = time.perf_counter()
        made = zoo.export(f"{folder}/model", f"{folder}/onnx", to="onnx", int8=given.int8)
        print(f"exported and compared in {time.perf_counter() - started:.0f} s: {made.parity}")
        weights = Path(folder, "onnx/model.onnx.data").stat().st_size
        print(f"{weights / 1e6:.0f} MB of weights")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx", options)
        names = {one.name for one in session.get_inputs()}
        (graph,) = graphs(model)
        print("batch  length  PyTorch ms  ONNX Runtime ms  times as fast")
        for batch, length in SIZES:
            inputs = graph.examples(batch, length)
            arrays = {name: value.numpy() for name, value in inputs.items() if name in names}
            times = {"torch": [], "onnx": []}
            for _ in range(ROUNDS):
                with torch.no_grad():
                    times["torch"].append(timed(lambda given=inputs: model(**given)))
                times["onnx"].append(timed(lambda given=arrays: session.run(None, given)))
            ours, theirs = (1e3 * statistics.median(times[arm][1:]) for arm in ("onnx", "torch"))
            print(f"{batch:5}  {length:6}  {theirs:10.1f}  {ours:15.1f}  {theirs / ours:13.2f}")


def timed(call):
    """Seconds of the CPU in one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
