"""Processes that keep a part of a text model each train it as one process trains the whole."""

import functools
import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.launching import SAVING
from tests.tiny import TINY
from tests.training.fsdp_law import FEW, VARIANTS, built, course
from tests.training.test_processes import agrees, launched
from tests.training.text_cards import text_card, write_rows
from zoo import catalog
from zoo.errors import ConflictError, UsageError
from zoo.training import EMA, fsdp
from zoo.training.recipes import build_recipe

WORKER = (
    """
import os, sys, torch
from torch import distributed as dist
from tests.training.fsdp_law import BATCH, FEW, VARIANTS, course
torch.set_num_threads(1)
dist.init_process_group("gloo")
size = BATCH // dist.get_world_size()
rows = slice(size * dist.get_rank(), size * (dist.get_rank() + 1))
cases = VARIANTS if dist.get_world_size() == 2 else FEW
found = {one: course(*one, rows) for one in cases}
"""
    + SAVING
)
#: Ctrl-C in the second of two processes, behind the third step.
INTERRUPTED = """
import os, signal, sys
from zoo.cli import app
from zoo.training.processes import RankCallback
def interrupt(self, args, state, control, **kwargs):
    if state.global_step == 2 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGINT)
RankCallback.on_step_end = interrupt
app(sys.argv[1:], prog_name="genae")
"""
TRAIN = """
optim = "sgd"
optim_args = "momentum=0.9"
gradients = [{ op = "centralize" }, { op = "clip_norm", max_norm = 0.5 }]
rates = { layer_decay = 0.8 }
ema = { decay = 0.8 }
"""
WITHOUT_DROPOUT = "n_embd = 8\nn_layer = 2\nn_head = 2\nn_positions = 16\n" + "\n".join(
    f"{name}_pdrop = 0.0" for name in ("resid", "embd", "attn")
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """`computed(count)`: what so many processes computed."""

    @functools.cache
    def compute(count):
        folder = tmp_path_factory.mktemp(f"sharded-{count}")
        (folder / "worker.py").write_text(WORKER)
        done = launched(count, folder / "worker.py", folder / "found.pt")
        assert done.returncode == 0, done.stderr
        return torch.load(folder / "found.pt", weights_only=True)

    return compute


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("count", "name", "variant"),
    [*((2, *one) for one in VARIANTS), *((4, *one) for one in FEW)],
)
def test_losses_gradients_and_weights_are_those_of_one_process(computed, count, name, variant):
    agrees(computed(count)[name, variant], course(name, variant))


@pytest.fixture
def card_file(tmp_path):
    """A card of texts that are packed, so that each process has as many tokens."""
    rows = write_rows(tmp_path / "rows.jsonl")
    card = text_card(rows, "causal-lm", config=WITHOUT_DROPOUT, data="packing = true", train=TRAIN)
    (tmp_path / "card").mkdir()
    (tmp_path / "card/card.toml").write_text(card.text)
    return tmp_path / "card"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [2, 4])
def test_a_run_is_that_of_one_process_and_goes_on_where_it_was_interrupted(
    run, tmp_path, card_file, count
):
    """By as many processes as before; another number is refused."""
    words = ["train", card_file, "--set", "fsdp=true"]
    done = launched(count, "-m", "zoo", *words, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'two'}\n"
    assert run("train", card_file, "--output", tmp_path / "one", "-q").code == 0
    (tmp_path / "run.py").write_text(INTERRUPTED)
    stopped = launched(count, tmp_path / "run.py", *words, "--output", tmp_path / "three")
    assert stopped.returncode
    assert "stopped at step 2 of 4" in stopped.stderr
    assert (tmp_path / "three.training/checkpoint-2" / fsdp.WEIGHTS_FILE).is_file()
    words += ["--output", tmp_path / "three", "--resume"]
    refused = launched(6 - count, "-m", "zoo", *words)
    assert f"was written by {count} processes, and this is {6 - count} processes" in refused.stderr
    assert launched(count, "-m", "zoo", *words).returncode == 0
    one, two, three = (
        load_file(tmp_path / each / "model.safetensors") for each in ("one", "two", "three")
    )
    names = [{p.name for p in (tmp_path / each).iterdir()} for each in ("one", "two", "three")]
    assert names[0] == names[1] == names[2]
    assert not list(tmp_path.glob("*.training"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-4, msg=key)
        assert torch.equal(three[key], two[key]), key
    logs = [json.loads((tmp_path / n / "training.json").read_bytes()) for n in ("one", "two")]
    for first, second in zip(*(log["log"] for log in logs), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)


@pytest.fixture
def two(monkeypatch):
    """The environment of the first of two processes, and what must not outlive a test."""
    for name, value in {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for name in ("FSDP_CPU_RAM_EFFICIENT_LOADING", "FSDP_STATE_DICT_TYPE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_one_process_has_nothing_to_spread(tmp_path):
    card = text_card(write_rows(tmp_path / "rows.jsonl"), train="fsdp = true")
    with pytest.raises(UsageError, match=r"fsdp .*this is one; .*torchrun"):
        build_recipe(card, tmp_path / "work")


def test_models_of_images_are_not_cut(two):
    with pytest.raises(UsageError, match="fsdp is for large models of texts"):
        fsdp.prepare(text_card("rows.jsonl", train="fsdp = true"), of_texts=False)


def test_objectives_that_move_all_embeddings_are_refused_by_name(two, tmp_path):
    train = 'fsdp = true\nadversarial = { kind = "fgm" }'
    with pytest.raises(UsageError, match=r"\[train.adversarial\] fgm moves the whole matrix"):
        fsdp.prepare(text_card("rows.jsonl", train=train), of_texts=True)
    train = train.replace("fgm", "r-drop")
    fsdp.prepare(text_card("rows.jsonl", train=train), of_texts=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": 1}, "--fsdp_version 2"),
        ({"state_dict_type": "SHARDED_STATE_DICT"}, "contains a pickle"),
        ({"activation_checkpointing": True}, "activation_checkpointing = true there"),
        ({"cpu_offload": True}, "parts that wait in the CPU's memory"),
        ({}, None),
    ],
    ids=["outdated", "shards", "checkpointing", "offload", "fits"],
)
def test_settings_that_do_not_fit_are_refused_with_those_that_do(two, settings, message):
    told = {"fsdp_version": 2, "state_dict_type": "FULL_STATE_DICT"}
    told |= {"fsdp_version" if key == "version" else key: v for key, v in settings.items()}
    arguments = SimpleNamespace(fsdp_plugin_args=told)
    if message is None:
        fsdp.check(arguments, "card.toml")
        return
    with pytest.raises(UsageError, match=message):
        fsdp.check(arguments, "card.toml")


def test_the_launcher_can_ask_for_it(two, monkeypatch):
    arguments = SimpleNamespace(fsdp_plugin_args=None)
    fsdp.check(arguments, "card.toml")
    monkeypatch.setenv(fsdp.LAUNCHED, "true")
    assert fsdp.is_asked({})
    with pytest.raises(UsageError, match="version 1 is outdated"):
        fsdp.check(arguments, "card.toml")
    monkeypatch.setenv("FSDP_VERSION", "2")
    fsdp.prepare(text_card("rows.jsonl"), of_texts=True)
    fsdp.check(arguments, "card.toml")


def test_a_checkpoint_goes_on_as_it_was_begun(tmp_path):
    with pytest.raises(ConflictError, match=r"written without fsdp, .* run is with"):
        fsdp.check_checkpoint(tmp_path, {"fsdp": True})
    (tmp_path / fsdp.WEIGHTS_FILE).touch()
    with pytest.raises(ConflictError, match=r"written with fsdp, .* run is without"):
        fsdp.check_checkpoint(tmp_path, {})
    fsdp.check_checkpoint(tmp_path, {"fsdp": True})


@pytest.mark.parametrize("name", ["bert", "t5", "synthesizer"])
def test_an_emptied_model_is_filled_again_and_keeps_what_is_tied(name):
    model = built(name, next(iter(TINY[name])))
    empty = fsdp.emptied(model)
    own = [each.data_ptr() for each in (*model.parameters(), *empty.parameters())]
    assert len(set(own)) == len(own)
    assert len(list(empty.parameters())) == len(list(model.parameters()))
    empty.load_state_dict(model.state_dict())
    for key, value in model.state_dict().items():
        assert torch.equal(empty.state_dict()[key], value), key
    assert len(list(fsdp.layers(model))) >= model.config.num_hidden_layers


@pytest.mark.parametrize("entry", catalog.TEXTS, ids=lambda entry: entry.name)
def test_a_model_names_layers_that_it_has(entry):
    model = built(entry.name, next(iter(TINY[entry.name])))
    kinds = {type(each).__name__ for each in model.modules()}
    assert set(model._no_split_modules or ()) <= kinds
    if entry.own:
        assert {type(each).__name__ for each in fsdp.layers(model)} & set(model._no_split_modules)


def test_an_average_moves_to_another_model():
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    average = EMA(model, decay=0.5)
    average.update()
    moved = average.moved_to(other)
    assert moved.num_updates == 1
    with moved.applied(), average.applied():
        assert torch.equal(other.weight, model.weight)
