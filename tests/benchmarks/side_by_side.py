"""What the benchmarks share: interleaved rounds, peak memory of a fresh process, a table."""

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the checkout is measured, installed or not


def interleave(
    arms: dict[str, Callable[[], object]],
    rounds: int,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """CPU milliseconds of every arm in every round; what comes before each is not timed.

    The arms take turns, so that other load on the machine meets all of them. CPU time of the
    whole process and not wall time, because it is the same on a busy machine; with several
    threads it adds them up.
    """
    times: dict[str, list[float]] = {name: [] for name in arms}
    for arm in arms.values():
        before()
        arm()  # warm up
    for _ in range(rounds):
        for name, arm in arms.items():
            before()
            start = time.process_time()
            arm()
            times[name].append(1000 * (time.process_time() - start))
    return times


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def resident_megabytes() -> float:
    """Memory this process holds now, in MB (10^6 bytes); Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class PeakMemory:
    """Most memory held above the start, in MB, looked at every half millisecond."""

    def __enter__(self) -> "PeakMemory":
        self.start = self.most = resident_megabytes()
        self._running = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while self._running:
            self.most = max(self.most, resident_megabytes())
            time.sleep(0.0005)

    def __exit__(self, *exc_info: object) -> None:
        self._running = False
        self._thread.join()

    @property
    def megabytes(self) -> float:
        """The peak above the start."""
        return self.most - self.start


def in_fresh_process(script: str, *arguments: object) -> str:
    """The last line a script prints when run with arguments in a process of its own."""
    command = [sys.executable, script, *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return finished.stdout.strip().splitlines()[-1]


def read_runs(file: Path) -> list[dict]:
    """Finished runs, one line of JSON each; a line that was cut short counts as none."""
    runs = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            runs.append(json.loads(line))
        except ValueError:
            continue
    return runs


def add_run(file: Path, found: dict) -> None:
    """Write a run down, on a line of its own whatever was cut short before it."""
    cut = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as lines:
        lines.write("\n" * cut + json.dumps(found, ensure_ascii=False) + "\n")


def print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Print a table, the first column to the left and numbers to the right."""
    print(f"\n{title}")
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in [headings, *rows]:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]))


def describe_machine() -> str:
    """Versions, threads and load, without which a time means nothing."""
    import torch

    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()}{load}"
    )
