"""Several processes train as one does: each loss that couples a batch, and whole runs."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.launching import SAVING, launched, started
from tests.training.processes_law import FEW, VARIANTS, course
from zoo import ranks
from zoo.errors import ConflictError, LeftError, NotFoundError, UsageError
from zoo.models.images.distributed import alone, is_spread, whole_batch_norms
from zoo.training import processes

ROOT = Path(__file__).parents[2]
WORKER = (
    """
import os, sys, torch
from torch import distributed as dist
from tests.training.processes_law import BATCH, FEW, VARIANTS, course
torch.set_num_threads(1)
dist.init_process_group("gloo")
size = BATCH // dist.get_world_size()
rows = slice(size * dist.get_rank(), size * (dist.get_rank() + 1))
two = dist.get_world_size() == 2
found = {one: course(*one, rows) for one in (VARIANTS if two else FEW)}
if two:
    found["accumulated"] = course("eae", "convolutional", rows, accumulated=2)
"""
    + SAVING
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """`computed(count)`: what so many processes computed."""
    known = {}

    def compute(count):
        if count not in known:
            folder = tmp_path_factory.mktemp(f"processes-{count}")
            (folder / "worker.py").write_text(WORKER)
            done = launched(count, folder / "worker.py", folder / "found.pt")
            assert done.returncode == 0, done.stderr
            known[count] = torch.load(folder / "found.pt", weights_only=True)
        return known[count]

    return compute


def agrees(found, wanted):
    torch.testing.assert_close(found["losses"], wanted["losses"], rtol=1e-5, atol=1e-5)
    for part, tolerance in (("first", 1e-5), ("last", 1e-4)):
        assert found[part].keys() == wanted[part].keys()
        for key, value in wanted[part].items():
            torch.testing.assert_close(
                found[part][key].double(), value.double(), rtol=tolerance, atol=tolerance,
                msg=lambda text, key=key, part=part: f"{part} {key}: {text}",
            )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("count", "name", "variant"),
    [*((2, *one) for one in VARIANTS), *((4, *one) for one in FEW)],
)
def test_losses_gradients_and_weights_are_those_of_one_process(computed, count, name, variant):
    agrees(computed(count)[name, variant], course(name, variant))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_and_so_they_are_with_gradients_accumulated_on_top(computed):
    agrees(computed(2)["accumulated"], course("eae", "convolutional", accumulated=2))


#: A second process that is killed after the third step, at the first try.
KILLED = """
import os, signal, sys
from zoo.cli import app
from zoo.training.processes import RankCallback
def kill(self, args, state, control, **kwargs):
    if state.global_step == 3 and os.environ["RANK"] == "1":
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
RankCallback.on_step_end = kill
app(sys.argv[1:], prog_name="genae")
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed"])
def test_a_whole_run_is_that_of_one_process_and_the_first_alone_writes(run, tmp_path, killed):
    words = ["train", "genae/ae-examples", "--set", "max_steps=6", "--set", "optim=sgd"]
    words += ["--set", "train.samplers=[]", "--set", "learning_rate=1e-5"]
    script = ["-m", "zoo"]
    if killed:
        (tmp_path / "killed").mkdir()
        (tmp_path / "killed/run.py").write_text(KILLED)
        script = ["--max-restarts", "1", tmp_path / "killed/run.py"]
    done = launched(2, *script, *words, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'two'}\n"
    assert done.stderr.count("try: genae evaluate") == 1
    assert run(*words, "--output", tmp_path / "one", "-q").code == 0
    names = [sorted(p.name for p in (tmp_path / each).iterdir()) for each in ("one", "two")]
    assert names[0] == names[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*["killed"] * killed, "one", "two"]
    one, two = (load_file(tmp_path / each / "model.safetensors") for each in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-4, msg=key)
    logs = [
        json.loads((tmp_path / each / "training.json").read_bytes()) for each in ("one", "two")
    ]
    assert logs[1]["log"][-1]["loss"] == pytest.approx(logs[0]["log"][-1]["loss"], rel=1e-5)
    assert len(logs[1]["log"]) == len(logs[0]["log"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_process_that_no_launcher_ends_ends_after_another_was_killed(tmp_path):
    script = f"import os\nos.environ['TORCHELASTIC_RESTART_COUNT'] = '0'\n{KILLED}"
    (tmp_path / "run.py").write_text(script)
    words = ["train", "genae/ae-examples", "--set", "max_steps=6", "--output", tmp_path / "out"]
    (code, text), (killed, _) = started(2, tmp_path / "run.py", *words)
    assert (code, killed) == (1, -signal.SIGKILL)
    assert "genae: another process has ended before its part was done" in text
    assert "Traceback" not in text
    assert (tmp_path / "out.training/checkpoint-2").is_dir()


def test_a_connection_that_breaks_is_told_and_other_errors_are_as_they_were(two):
    with pytest.raises(LeftError, match="start all of them again"), processes.leaving():
        raise RuntimeError("[/pytorch/gloo/transport/tcp/pair.cc:537] Connection reset by peer")
    with pytest.raises(RuntimeError, match="shapes"), processes.leaving():
        raise RuntimeError("shapes")


@pytest.fixture
def four(monkeypatch):
    """The environment of the second of four processes."""
    told = {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "4"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def two(monkeypatch):
    """The environment of the second of two processes."""
    for name, value in {"LOCAL_RANK": "0", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of a scheduler's job, which is none of ours
    assert (ranks.count(), ranks.rank(), ranks.is_first()) == (1, 0, True)
    assert processes.arguments({}) == {}


def test_the_launcher_says_which_process_it_is(four, monkeypatch):
    assert (ranks.count(), ranks.rank(), ranks.is_first()) == (4, 1, False)
    told = processes.arguments({"use_cpu": True})
    assert told["ddp_backend"] == "gloo"
    assert told["accelerator_config"] == {"split_batches": True}
    assert ranks.restarts() == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert ranks.restarts() == 1


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can(four):
    found = SimpleNamespace(
        per_device_train_batch_size=33, train_batch_size=32, dataloader_drop_last=False
    )
    with pytest.raises(UsageError, match="--set per_device_train_batch_size=32"):
        processes.check_batch(found, "card.toml")
    with pytest.raises(UsageError, match=r"leaves 8 for the last .*dataloader_drop_last=true"):
        processes.check_last(40, found, "mnist train")
    processes.check_last(64, found, "mnist train")


def test_another_number_of_processes_does_not_resume(four, tmp_path):
    (tmp_path / "rng_state.pth").touch()
    with pytest.raises(
        ConflictError, match=r"written by 1 process, .* 4 processes: .*`genae train"
    ):
        processes.check_checkpoint(tmp_path)
    processes.check_checkpoint(None)


@pytest.mark.parametrize(
    ("own", "others", "message"),
    [
        ("run/checkpoint-2", [("checkpoint-2", "")], None),
        ("run/checkpoint-2", [("", "")], "process 0, on a, nothing: --output has to lie in a"),
        ("run/checkpoint-2", [("", "in the way")], "process 0, on a, refuses: in the way"),
        (NotFoundError("nothing"), [("checkpoint-2", "")], r"1, on b, sees nothing .*share"),
        (NotFoundError("nothing"), [("", "")], "^nothing$"),
        (ConflictError("in the way"), [("", "")], "^in the way$"),
    ],
    ids=["agreed", "unseen", "refused", "seen-elsewhere", "by-none", "refuses"],
)
def test_processes_resume_from_what_all_of_them_see(two, monkeypatch, own, others, message):
    monkeypatch.setattr("socket.gethostname", lambda: "b")

    def gather(found, value):
        found[:] = [(*others[0], "a"), value]

    def find():
        if isinstance(own, Exception):
            raise own
        return own

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    if message is None:
        assert processes.agreed(find) == own
        return
    with pytest.raises((ConflictError, NotFoundError), match=message):
        processes.agreed(find)


def test_norms_come_back_and_keep_what_they_learnt():
    made = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm1d(3), nn.LayerNorm(3)))
    kinds = [type(each) for each in made.modules()]
    with whole_batch_norms(made, [made[1][0]]):
        assert [type(each) for each in made.modules()] != kinds
        assert type(made[1][0]) is nn.BatchNorm1d
        made[0](torch.randn(4, 2, 3, 3))
    assert [type(each) for each in made.modules()] == kinds
    assert made[0].num_batches_tracked == 1
    assert not is_spread()
    with alone():
        assert not is_spread()
