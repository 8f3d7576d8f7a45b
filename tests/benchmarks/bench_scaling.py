"""How training scales with processes: measured on CPUs for 1 and 2, computed for 1 to 64 GPUs.

A card's own training, as `torchrun -m zoo train` runs it, is timed with 1 and 2 processes of one
thread each: with the same batch in all, and with the same batch a process. What goes over the
network in a step is counted: the gradients, and what the losses that couple a batch exchange.

The table for GPUs follows from it, by assumptions that are arguments:

* A step of one process is a + b * (its part of the batch), through the measured times of the batch
  and of half of it, divided by --speedup: how many times as fast as one of these cores a GPU is.
* Gradients are reduced by 2 (N - 1) / N times their bytes through the slowest link, --within a
  machine of --gpus-per-node, else --between machines. Backward takes two thirds of a step, of
  which --overlap hides them.
* What couples a batch is exchanged by (N - 1) / N of its bytes, hidden by nothing. With the same
  batch a process its bytes grow with N.
* Each exchange, of gradients or in a loss, passes a tree up and down: 2 log2(N) times --latency.

Run: GENAE_DATA=FOLDER python tests/benchmarks/bench_scaling.py [--steps 10] [--rounds 3]
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from math import log2

from side_by_side import ROOT, describe_machine, median, print_table

CARDS = {"genae/eae-mnist": 128, "genae/synthesizer-shakespeare": 32}
WARM_UP = 3
GPUS = (1, 2, 4, 8, 16, 32, 64)


def work(card_id: str, batch: int, steps: int) -> None:
    """One of the processes: train, and print the seconds and bytes of a step."""
    import torch
    from torch import distributed
    from transformers import TrainerCallback

    from zoo import ranks
    from zoo.card import Card
    from zoo.loading import quietly
    from zoo.training import processes
    from zoo.training.callbacks import without_default_output
    from zoo.training.recipes import build_recipe
    from zoo.training.settings import with_settings

    torch.set_num_threads(1)
    settings = ["save_strategy=no", "use_cpu=true", f"max_steps={WARM_UP + steps}"]
    settings += [f"per_device_train_batch_size={batch}", "logging_steps=1000"]
    marks: list[float] = []
    sent = {"coupled": 0, "exchanges": 0}

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == WARM_UP:
                sent.update(coupled=0, exchanges=0)
            if state.global_step >= WARM_UP:
                marks.append(time.perf_counter())

    def counted(name):
        original = getattr(distributed, name)

        def call(first, *others, **options):
            tensors = first if isinstance(first, list) else [first]
            sent["exchanges"] += 1
            sent["coupled"] += sum(each.numel() * each.element_size() for each in tensors)
            return original(first, *others, **options)

        return call

    with tempfile.TemporaryDirectory() as folder, processes.leaving():
        card = with_settings(Card.load(ROOT / "cards" / card_id.partition("/")[2]), settings)
        recipe = build_recipe(card, folder)
        with quietly():
            material = recipe.load(quiet=True)
            model = material.make_model()
        for name in ("all_reduce", "all_gather"):
            setattr(distributed, name, counted(name))
        with processes.together(model):
            trainer = material.trainer(model, rates=recipe.rates, operations=recipe.operations)
            without_default_output(trainer)
            trainer.add_callback(Clock())
            trainer.train()
        gradients = sum(p.numel() * p.element_size() for p in model.parameters())
        if ranks.is_first():
            times = [b - a for a, b in pairwise(marks)]
            each_step = {name: total / steps for name, total in sent.items()}
            found = {"ms": 1000 * median(times), "gradients": gradients, **each_step}
            print(json.dumps(found), flush=True)
    os._exit(
        0
    )  # the work is done; gloo's threads sometimes abort an interpreter that is torn down


def measure(card: str, batch: int, processes: int, steps: int) -> dict[str, float]:
    """What a step takes and sends, in fresh processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += ["--master-port", port, __file__, "--work", card, str(batch), str(steps)]
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | own
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@dataclass
class Network:
    """Links and GPUs, as assumed."""

    gpus_per_node: int
    within: float
    between: float
    latency: float
    overlap: float
    speedup: float

    def ms(self, number: int, sent: dict[str, float], coupled: float, compute: float) -> float:
        """Milliseconds of a step of so many GPUs, each of which computes for `compute`."""
        if number == 1:
            return compute
        speed = 1e6 * (self.within if number <= self.gpus_per_node else self.between)  # B a ms
        passing = 2 * log2(number) * self.latency / 1000
        share = (number - 1) / number
        reduced = 2 * share * sent["gradients"] / speed + passing
        exposed = max(0.0, reduced - self.overlap * compute * 2 / 3)
        return compute + exposed + share * coupled / speed + sent["exchanges"] * passing


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--within", type=float, default=200.0, help="GB/s a GPU, in a machine")
    parser.add_argument("--between", type=float, default=25.0, help="GB/s a GPU, of machines")
    parser.add_argument("--latency", type=float, default=5.0, help="microseconds a hop")
    parser.add_argument("--overlap", type=float, default=0.5, help="of backward")
    parser.add_argument("--speedup", type=float, default=100.0, help="a GPU's, over a core")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work[0], int(asked.work[1]), int(asked.work[2]))
        return
    names = ("gpus_per_node", "within", "between", "latency", "overlap", "speedup")
    network = Network(**{name: getattr(asked, name) for name in names})
    print(describe_machine())
    measured, computed = [], []
    for card, batch in CARDS.items():
        arms = {"half": (batch // 2, 1), "one": (batch, 1), "same": (batch, 2)}
        arms["each"] = (2 * batch, 2)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
        for _ in range(asked.rounds):
            for name, (size, processes) in arms.items():
                found[name].append(measure(card, size, processes, asked.steps))
        ms = {name: median([run["ms"] for run in runs]) for name, runs in found.items()}
        for name, (size, processes) in arms.items():
            rate = size / ms[name] * 1000
            times = rate / (batch / ms["one"] * 1000)
            measured.append([card, str(processes), str(size), f"{ms[name]:.0f}", f"{rate:.0f}",
                             f"{times:.2f}"])  # fmt: skip
        sent = found["same"][0]
        print(
            f"{card}: gradients {sent['gradients'] / 1e6:.2f} MB, coupled "
            f"{sent['coupled'] / 1e3:.1f} kB a step, exchanges {sent['exchanges']:.0f}"
        )
        rising = max(0.0, (ms["one"] - ms["half"]) / (batch / 2)) / network.speedup
        fixed = max(0.0, ms["one"] / network.speedup - rising * batch)
        alone = fixed + rising * batch
        for number in GPUS:
            same = network.ms(number, sent, sent["coupled"], fixed + rising * batch / number)
            each = network.ms(number, sent, sent["coupled"] * number / 2, alone)
            computed.append([card, str(number), f"{same:.3f}", f"{alone / same:.1f}",
                             f"{each:.3f}", f"{number * alone / each:.1f}"])  # fmt: skip
    headings = [
        "measured",
        "processes",
        "batch",
        "ms a step",
        "examples a second",
        "times as fast",
    ]
    print_table(f"CPU, medians of {asked.rounds} rounds", headings, measured)
    headings = ["computed", "GPUs", "ms, same batch", "times", "ms, batch a GPU", "times"]
    print_table(f"assumed: {network}", headings, computed)


if __name__ == "__main__":
    main()
