"""Two processes take the step that one process takes with the whole batch."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo.models import EAEConfig, EAEModel, InfoMaxConfig, InfoMaxModel, VQVAEConfig, VQVAEModel

WORKER = """
import os, sys, torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.models.test_distributed import built_model, images, told
rank, port, out, name = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
torch.manual_seed(rank)  # draws of locations must agree all the same
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
model = built_model(name)
parallel = DistributedDataParallel(model)  # kept: its hooks die with it
output = parallel(images(name)[8 * rank :][:8])
output.loss.backward()
if rank == 0:
    torch.save({n: p.grad for n, p in model.named_parameters()} | dict(model.named_buffers()) | {
        "told": told(output).detach()}, out)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


def built_model(name):
    seed = torch.initial_seed()
    torch.manual_seed(0)
    if name == "eae":
        config = EAEConfig(image_size=4, network="dense", hidden_sizes=[8], latent_size=3)
        model = EAEModel(config).train()
    elif name == "vq_vae":  # with as many codes as restart, and as stay
        config = VQVAEConfig(
            image_size=8, width_multiplier=0.02, latent_size=3, num_codes=12, restart_threshold=5,
            codebook_decay=0.5, prior_hidden_size=4, prior_num_layers=1,
        )  # fmt: skip
        model = VQVAEModel(config).train()
    else:
        config = InfoMaxConfig(
            image_size=16, num_channels=1, latent_size=3, width_multiplier=0.0625, feature_size=4,
            score_size=4, alpha=0.5, num_locations=2,
        )  # fmt: skip
        model = InfoMaxModel(config).train()
        model.encoder.eval()  # its batch norm is each process's own unless made synchronous
    torch.manual_seed(seed)
    return model


def images(name):
    size = {"eae": 4, "vq_vae": 8}.get(name, 16)
    return torch.rand(16, 1, size, size, generator=torch.Generator().manual_seed(1))


def told(output):
    """What the whole batch says and a part of it does not; of codes their buffers say it."""
    if "codes" in output:
        return torch.zeros(())
    return output.entropy if "entropy" in output else output.local_information


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@pytest.mark.parametrize("name", ["eae", "infomax", "vq_vae"])
def test_gradients_and_statistics_equal_those_of_one_process(tmp_path, name):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    out = tmp_path / "gradients.pt"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*command, rank, port, str(out), name], cwd=root, stderr=subprocess.PIPE)
        for rank in "01"
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors

    torch.manual_seed(0)  # as the first process, whose draw of locations holds for all
    model = built_model(name)
    output = model(images(name))
    output.loss.backward()
    found = torch.load(out, weights_only=True)
    assert found["told"].item() == pytest.approx(told(output).item(), abs=1e-4)
    for buffer, value in model.named_buffers():
        assert torch.allclose(found[buffer].double(), value.double(), atol=1e-6), buffer
    for parameter, value in model.named_parameters():
        assert torch.allclose(found[parameter], value.grad, atol=1e-5), parameter
