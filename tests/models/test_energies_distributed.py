"""Two processes give the gradients of one: scores are computed inside `forward`."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo.models import DDEConfig, DDEModel, MDSMConfig, MDSMModel

WORKER = """
import os, sys, torch
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel
from tests.models.test_energies_distributed import built_model, points
rank, port, out, wrapping = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
found = {}
x, noise = (values[8 * rank :][:8] for values in points())
for name in sys.argv[5:]:
    model = built_model(name)
    if wrapping == "ddp":
        # As the Trainer does: the generator has its turn at some steps only.
        parallel = DistributedDataParallel(model, find_unused_parameters=True)
    else:
        parallel = fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    parallel(x, noise=noise).loss.backward()
    for key, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and wrapping == "fsdp2":
            gradient = gradient.full_tensor()
        if gradient is not None:
            found[f"{name}.{key}"] = gradient.clone()
if rank == 0:
    torch.save(found, out)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""
MODELS = ("mdsm", "dde", "dde-generator")
SETTINGS = {"input_shape": [2], "network": "dense", "hidden_size": 8, "num_hidden_layers": 2}


def built_model(name):
    torch.manual_seed(0)
    if name == "mdsm":
        return MDSMModel(MDSMConfig(**SETTINGS, min_sigma=0.1, max_sigma=1.0)).train()
    settings = {"generator": "residual", "latent_size": 2} if name == "dde-generator" else {}
    return DDEModel(DDEConfig(**SETTINGS, sigma=0.4, **settings)).train()


def points():
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(16, 2, generator=generator) for _ in range(2))


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@pytest.mark.parametrize("wrapping", ["ddp", "fsdp2"])
def test_gradients_equal_those_of_one_process(tmp_path, wrapping):
    models = MODELS if wrapping == "ddp" else MODELS[:2]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    out = tmp_path / "gradients.pt"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen(
            [*command, rank, port, str(out), wrapping, *models], cwd=root, stderr=subprocess.PIPE
        )
        for rank in "01"
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    found = torch.load(out, weights_only=True)
    for name in models:
        model = built_model(name)
        x, noise = points()
        model(x, noise=noise).loss.backward()
        for key, parameter in model.named_parameters():
            if key.startswith("generator"):  # whose noise is each process's own
                continue
            torch.testing.assert_close(
                found[f"{name}.{key}"], parameter.grad, rtol=1e-4, atol=1e-6
            )
        assert not [key for key in found if key.startswith(f"{name}.generator.")]  # not its turn
