"""Start-up of the command line, beside the interpreter's and that of its two libraries.

Run: python tests/benchmarks/bench_cli.py [--rounds 9]
"""

import argparse
import resource
import subprocess
import sys
import time

from side_by_side import ROOT, median, print_table

HEAVY = ("torch", "transformers", "numpy", "huggingface_hub", "datasets", "PIL")
GENAE = "import sys; from zoo.cli import app; sys.argv = ['genae', *{}]; app()"
ARMS = {
    "python": "pass",
    "typer, rich and tomllib": "import typer, rich.table, rich.console, tomllib",
    "genae --version": GENAE.format(["--version"]),
    "genae list": GENAE.format(["list"]),
    "genae list --json": GENAE.format(["list", "--json"]),
    "genae info": GENAE.format(["info", "genae/eae-mnist"]),
    "transformers' AutoConfig": "from transformers import AutoConfig",
}
LOADED = (
    "import atexit, sys; atexit.register(lambda: print('loaded', *[n for n in {} if n in "
    "sys.modules], file=sys.stderr)); "
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter from the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )


def children_seconds() -> float:
    """CPU time of the processes that have ended so far, the same on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    wall: dict[str, list[float]] = {name: [] for name in ARMS}
    cpu: dict[str, list[float]] = {name: [] for name in ARMS}
    heavy = {}
    for name, code in ARMS.items():  # also warms the file cache
        last = run(LOADED.format(HEAVY) + code).stderr.strip().splitlines()[-1]
        heavy[name] = last.removeprefix("loaded").strip() or "none"
    for _ in range(rounds):
        for name, code in ARMS.items():
            start, before = time.perf_counter(), children_seconds()
            run(code)
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(children_seconds() - before)
    rows = [
        [
            name,
            f"{median(times):.3f}",
            f"{min(times):.3f}",
            f"{median(cpu[name]):.3f}",
            heavy[name],
        ]
        for name, times in wall.items()
    ]
    print_table(
        "a fresh process each", ["arm", "median s", "best s", "CPU s", "heavy imports"], rows
    )


if __name__ == "__main__":
    main()
