"""Two processes change gradients as one does: averaged ones, and sharded ones."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.gradient_operations import MADE, Network, start, two_runs

pytestmark = pytest.mark.slow  # two processes that import torch

WORKER = """
import os, sys, torch
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial
from torch.nn.parallel import DistributedDataParallel
from tests.training.gradient_operations import MADE, Network, batch, losses, start, two_runs
from zoo.errors import UsageError
from zoo.training import Chain, ClipGlobalNorm, ClipNorm, FiniteGuard, Project
from zoo.training.gradients.sharding import check
rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)

rows = slice(4 * rank, 4 * rank + 4)
torch.manual_seed(rank)  # what a process draws for itself must not matter
mesh = dist.init_device_mesh("cpu", (2,))
models = {
    "averaged": DistributedDataParallel(Network(torch.float64)),
    "sharded": fully_shard(Network(torch.float64), mesh=mesh),
}
found = {}
for way, model in models.items():
    given = start(model, rows)
    names = [name for name in MADE if (way, name) != ("sharded", "project")]
    found[way] = {name: two_runs(name, model, given, rows) for name in names}

for name, parameter in model.named_parameters():
    parameter.grad = given[name].clone()
weight = model.head.weight.grad.to_local()
if rank == 1:  # one process alone sees it, both skip
    weight[0, 0] = float("nan")
chain = Chain([ClipNorm(0.1, float("inf")), ClipGlobalNorm(0.1, float("inf")), FiniteGuard()])
found["skips"] = chain.apply(model).skip
try:
    Chain([Project()]).backward(losses(model, batch(rows)), model)
except UsageError as error:
    found["refused"] = str(error)
sum(losses(models["averaged"], batch(rows))).backward()  # which waits for one backward a step

try:
    check("weight", DTensor.from_local(torch.ones(2), mesh, [Partial()]))
except UsageError as error:
    found["partial"] = str(error)

torch.save(found, f"{out}/{rank}.pt")
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of two processes found, in one start for all operations."""
    if not torch.distributed.is_available():
        pytest.skip("torch without distributed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    out = tmp_path_factory.mktemp("processes")
    command, root = [sys.executable, "-c", WORKER], Path(__file__).parents[2]
    workers = [
        subprocess.Popen([*command, rank, port, str(out)], cwd=root, stderr=subprocess.PIPE)
        for rank in "01"
    ]
    errors = [worker.communicate(timeout=200)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in "01"]


@pytest.fixture
def expected():
    """`expected(name)`: what one process makes of the whole batch."""

    def make(name):
        model = Network(torch.float64)
        return two_runs(name, model, start(model))

    return make


def check(found, expected):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("name", MADE)
def test_averaged_gradients_become_those_of_one_process(name, processes, expected):
    for each in processes:
        check(each["averaged"][name], expected(name))


@pytest.mark.parametrize("name", [name for name in MADE if name != "project"])
def test_sharded_gradients_become_those_of_one_process(name, processes, expected):
    first, second = (each["sharded"][name] for each in processes)
    assert first.keys() == second.keys()
    check({n: torch.cat([first[n], second[n]]) for n in first}, expected(name))


def test_projection_is_refused_where_tensors_are_sharded(processes):
    for each in processes:
        assert "fully_shard" in each["refused"]


def test_a_sum_still_to_be_made_is_refused_by_name(processes):
    for each in processes:
        assert "gradient of weight is neither whole nor cut" in each["partial"]


def test_all_processes_skip_what_one_of_them_sees(processes):
    assert [each["skips"] for each in processes] == [True, True]
