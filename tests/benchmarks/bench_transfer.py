"""Pulling and pushing a model through a hub on this machine, beside huggingface_hub's own ways.

Run: python tests/benchmarks/bench_transfer.py [--megabytes 200] [--rounds 5]

The hub is the one of the tests, in a process of its own. huggingface_hub checks sizes, genae
hashes every byte; the row `sha256` says what the hashing alone takes.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # before huggingface_hub is imported

from side_by_side import ROOT, PeakMemory, in_fresh_process, median, print_table

HUB = """
import sys
sys.path.insert(0, {root!r})
from tests.hubs.server import HubServer
with HubServer(lfs_from=1000) as hub:
    print(hub.url, flush=True)
    sys.stdin.read()
"""


def make_release(folder: Path, version: str, megabytes: int):
    """A sound model of one large file, another for each version."""
    from zoo.registry.types import File, Release

    count = megabytes * 250_000
    tensor = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
    header = json.dumps({"w": tensor}).encode()
    values = hashlib.shake_128(version.encode()).digest(10**6) * megabytes
    weights = len(header).to_bytes(8, "little") + header + values
    files = {"README.md": b"---\nlicense: mit\n---\n", "config.json": b"{}",
             "model.safetensors": weights}  # fmt: skip
    folder.mkdir(parents=True)
    rows = []
    for path, content in files.items():
        (folder / path).write_bytes(content)
        rows.append(File(path, len(content), hashlib.sha256(content).hexdigest()))
    return Release("alice/bench", version, folder, tuple(rows))


def arms(url: str, scratch: Path, megabytes: int):
    """What is timed: a call that makes its own fresh input, then returns the work."""
    from huggingface_hub import CommitOperationAdd, HfApi, constants, snapshot_download

    from zoo.registry.cache import Cache
    from zoo.registry.hub.hub import Hub

    constants.HF_HUB_DISABLE_XET = True
    number = iter(range(10**6))

    def pull_genae():
        cache = Cache(scratch / f"pull-{next(number)}")
        return lambda: Hub(url, cache=cache).folder("alice/bench", "v1.0.0")

    def pull_peer():
        cache = scratch / f"pull-{next(number)}"
        return lambda: snapshot_download(
            "alice/bench", revision="v1.0.0", cache_dir=cache, endpoint=url
        )

    def push_genae():
        n = next(number)
        release = make_release(scratch / f"push-{n}", f"2.{os.getpid() % 10**6}.{n}", megabytes)
        return lambda: Hub(url, token="tok", cache=Cache(scratch / "none")).push(release)

    def push_peer():
        n = next(number)
        release = make_release(scratch / f"push-{n}", f"2.{os.getpid() % 10**6}.{n}", megabytes)
        api = HfApi(endpoint=url, token="tok")

        def work():
            operations = [
                CommitOperationAdd(f.path, release.folder / f.path) for f in release.files
            ]
            api.create_commit("alice/bench", operations, commit_message=release.tag)
            api.create_tag("alice/bench", tag=release.tag)

        return work

    def sha256():
        path = scratch / "first" / "model.safetensors"

        def work():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")

        return work

    return {"pull, genae": pull_genae, "pull, snapshot_download": pull_peer,
            "push, genae": push_genae, "push, create_commit": push_peer,
            "sha256 of the file": sha256}  # fmt: skip


def measure_memory(url: str, name: str, megabytes: int) -> float:
    """Peak memory of one arm above its start, in a fresh process."""
    return float(in_fresh_process(__file__, "--arm", name, "--url", url, "--megabytes", megabytes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-transfer-"))
    try:
        if given.arm:
            work = arms(given.url, scratch, given.megabytes)[given.arm]()
            with PeakMemory() as memory:
                work()
            print(memory.megabytes)
            return
        compare(given.megabytes, given.rounds, scratch)
    finally:
        shutil.rmtree(scratch)


def compare(megabytes: int, rounds: int, scratch: Path) -> None:
    """All arms in turns, and their memory."""
    from zoo.registry.cache import Cache
    from zoo.registry.hub.hub import Hub

    hub = subprocess.Popen(
        [sys.executable, "-c", HUB.format(root=str(ROOT))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert hub.stdout is not None
    url = hub.stdout.readline().strip()
    try:
        first = make_release(scratch / "first", "1.0.0", megabytes)
        Hub(url, token="tok", cache=Cache(scratch / "none")).push(first)
        table = arms(url, scratch, megabytes)
        wall: dict[str, list[float]] = {name: [] for name in table}
        cpu: dict[str, list[float]] = {name: [] for name in table}
        for _ in range(rounds):
            for name, prepare in table.items():
                work = prepare()
                start, before = time.perf_counter(), time.process_time()
                work()
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - before)
                for folder in scratch.glob("pu*"):
                    shutil.rmtree(folder)
        rows = [
            [name, f"{median(wall[name]):.2f}", f"{median(cpu[name]):.2f}",
             "" if "sha256" in name else f"{measure_memory(url, name, megabytes):.0f}"]
            for name in table
        ]  # fmt: skip
        print_table(f"{megabytes} MB, medians of {rounds}", ["", "s", "CPU s", "MB"], rows)
    finally:
        hub.kill()
        hub.communicate()


if __name__ == "__main__":
    main()
