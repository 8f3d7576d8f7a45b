"""An EAE trained on two processes takes the step that one process takes with the whole batch."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo.models import EAEConfig, EAEModel

WORKER = """
import os, sys, torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.models.test_distributed import built_model, pictures
rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
model = built_model()
parallel = DistributedDataParallel(model)  # kept: its hooks die with it
output = parallel(pictures()[8 * rank :][:8])
output.loss.backward()
if rank == 0:
    torch.save({n: p.grad for n, p in model.named_parameters()} | {
        "running_var": model.code_norm.running_var, "entropy": output.entropy.detach()}, out)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


def built_model():
    torch.manual_seed(0)
    config = EAEConfig(image_size=4, network="dense", hidden_sizes=[8], latent_size=3)
    return EAEModel(config).train()


def pictures():
    return torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_gradients_and_statistics_equal_those_of_one_process(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    out = tmp_path / "gradients.pt"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*command, rank, port, str(out)], cwd=root, stderr=subprocess.PIPE)
        for rank in "01"
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors

    model = built_model()
    output = model(pictures())
    output.loss.backward()
    found = torch.load(out, weights_only=True)
    assert found["entropy"].item() == pytest.approx(output.entropy.item(), abs=1e-4)
    assert torch.allclose(found["running_var"], model.code_norm.running_var, atol=1e-6)
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name], parameter.grad, atol=1e-5), name
