"""Several processes train texts as one does: every head of every architecture, every objective."""

import pytest
import torch

from tests.training.test_processes import agrees, launched
from tests.training.text_processes_law import ACCUMULATED, CASES, FEW, course
from zoo.training.whole_batch import shares

WORKER = """
import os, sys, torch
from torch import distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo")
from tests.training.text_processes_law import CASES, FEW, course
found = {one: course(*one) for one in (CASES if dist.get_world_size() == 2 else FEW)}
if dist.get_rank() == 0:
    torch.save(found, sys.argv[1])
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """`computed(count)`: what so many processes computed."""
    known = {}

    def compute(count):
        if count not in known:
            folder = tmp_path_factory.mktemp(f"processes-{count}")
            (folder / "worker.py").write_text(WORKER)
            own = {"TMPDIR": str(folder)}
            done = launched(count, folder / "worker.py", folder / "found.pt", settings=own)
            assert done.returncode == 0, done.stderr
            known[count] = torch.load(folder / "found.pt", weights_only=True)
        return known[count]

    return compute


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("count", "case"),
    [*((2, one) for one in CASES), *((4, one) for one in FEW)],
    ids=lambda value: "-".join(filter(None, value)) if isinstance(value, tuple) else None,
)
def test_losses_gradients_and_weights_are_those_of_one_process(computed, count, case):
    agrees(computed(count)[case], course(*case))


@pytest.mark.parametrize(
    ("task", "architecture"), [("masked-lm", "genae_bert"), ("causal-lm", "gpt2")]
)
def test_accumulated_batches_of_tokens_are_one_large_batch(task, architecture):
    parts = course(architecture, task, "", ACCUMULATED, steps=2, batch=4)
    whole = course(architecture, task, "", steps=2, batch=8)
    agrees(parts, whole)


def test_a_batch_without_a_label_changes_nothing_and_is_no_error():
    counts = torch.tensor([0, 3])
    assert shares(counts).tolist() == [0, 2]
    assert shares(counts * 0).tolist() == [0, 0]
