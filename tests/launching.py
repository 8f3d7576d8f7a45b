"""Processes that torchrun starts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The end of a script whose `found` has what a process computed: the first saves the mean losses.
SAVING = """
for one in found.values():  # the loss of all is the mean of theirs
    dist.all_reduce(one["losses"])
    one["losses"] /= dist.get_world_size()
if dist.get_rank() == 0:
    torch.save(found, sys.argv[1])
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


def free_port():
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def started(count, *words, seconds=300):
    """What so many processes do that no launcher watches: exit codes and errors, by rank.

    Args:
        count: number of processes.
        *words: for Python.
        seconds: that they have.
    """
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count)}
    own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    running = [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | own | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        told = [each.communicate(timeout=seconds)[1] for each in running]
    finally:
        for each in running:
            each.kill()
    return [(each.returncode, text) for each, text in zip(running, told, strict=True)]


def launched(count, *words, settings=(), seconds=1000):
    """What so many processes do that torchrun starts with these words: exit code and streams.

    Args:
        count: number of processes.
        *words: of the command.
        settings: names and values of variables.
        seconds: that they have.
    """
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | dict(settings)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    return subprocess.run(
        [*command, "--master-port", free_port(), *map(str, words)],
        env=os.environ | own, cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip
