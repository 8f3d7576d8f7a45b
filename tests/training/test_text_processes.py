"""Several processes train texts as one does: every head of every architecture, every objective."""

import json

import pytest
import torch

from tests.training.test_processes import agrees, launched
from tests.training.text_processes_law import ACCUMULATED, CASES, EACH_ONCE, FEW, course
from zoo.training.whole_batch import shares

WORKER = """
import json, os, sys, torch
from torch import distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo")
from tests.training.text_processes_law import course
found = [course(*one) for one in json.loads(sys.argv[2])]
if dist.get_rank() == 0:
    torch.save(found, sys.argv[1])
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""
PARTS = 4  # of a list of cases, so that several can be computed at once
LISTS = {
    "each-once": (2, EACH_ONCE, ()),
    "four-processes": (4, FEW, ()),
    "all": (2, CASES, pytest.mark.soak),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("count", "cases"),
    [
        pytest.param(count, cases[part::PARTS], marks=mark, id=f"{name}-{part}")
        for name, (count, cases, mark) in LISTS.items()
        for part in range(PARTS)
    ],
)
def test_losses_gradients_and_weights_are_those_of_one_process(count, cases, tmp_path, subtests):
    script, found = tmp_path / "worker.py", tmp_path / "found.pt"
    script.write_text(WORKER)
    done = launched(count, script, found, json.dumps(cases), settings={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    for case, result in zip(cases, torch.load(found, weights_only=True), strict=True):
        with subtests.test(case="-".join(filter(None, case))):
            agrees(result, course(*case))


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
