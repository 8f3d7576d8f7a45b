"""Runs whose output is an address: a store has what a folder has, and any machine resumes."""

import os
import shutil
import signal
from pathlib import Path

import fsspec
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

import zoo
from tests.training.text_cards import text_card, write_rows
from zoo.errors import (
    ConflictError,
    InterruptedRunError,
    MissingDependencyError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from zoo.training import remote, train
from zoo.training.text_trainer import CollatingTrainer

STEPS = ["max_steps=5", "save_strategy=steps", "save_steps=2"]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    data = write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")
    return text_card(data, "causal-lm", data="streaming = true")


@pytest.fixture(scope="module")
def whole(card, tmp_path_factory):
    return train(card, tmp_path_factory.mktemp("out") / "run", overrides=STEPS, quiet=True)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`machine(name)`: from now on this is a machine of that name, with a cache of its own."""

    def become(name):
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / name))

    become("first")
    return become


@pytest.fixture
def address(request):
    yield f"memory://runs-{request.node.name}/run"
    files = fsspec.filesystem("memory")
    files.rm(f"/runs-{request.node.name}", recursive=True)


def stored(address):
    files, root = fsspec.core.url_to_fs(address)
    return sorted(path.removeprefix(root)[1:] for path in files.find(root))


def equal(address, whole, tmp_path):
    files, root = fsspec.core.url_to_fs(address)
    shutil.rmtree(tmp_path / "fetched", ignore_errors=True)
    files.get(root, str(tmp_path / "fetched"), recursive=True)
    one, other = (load_file(f / "model.safetensors") for f in (whole, tmp_path / "fetched"))
    return all(torch.equal(one[name], other[name]) for name in one)


def fail_at(monkeypatch, step, error):
    """A run that does something in the middle, once."""
    original, done = CollatingTrainer.training_step, []

    def training_step(self, *args, **kwargs):
        if self.state.global_step == step and not done:
            done.append(error())
        return original(self, *args, **kwargs)

    monkeypatch.setattr(CollatingTrainer, "training_step", training_step)


def test_a_store_has_the_files_of_a_folder(card, whole, machine, address, tmp_path):
    assert train(card, f"{address}/", overrides=STEPS, quiet=True) == address
    assert stored(address) == sorted(path.name for path in whole.iterdir())
    assert not stored(f"{address}.training")
    assert equal(address, whole, tmp_path)
    assert not [*(tmp_path / "first").rglob("*.safetensors")]
    zoo.from_pretrained(tmp_path / "fetched")
    with pytest.raises(ConflictError, match="exists already; choose another --output"):
        train(card, address, overrides=STEPS, quiet=True)


def test_another_machine_resumes(card, whole, machine, address, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError, match=f"nothing to resume in {address}.training"):
        train(card, address, overrides=STEPS, resume=True, quiet=True)
    fail_at(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError, match=f"saved in {address}.training; the same"):
        train(card, address, overrides=STEPS, quiet=True)
    assert not stored(address)
    there = stored(f"{address}.training")
    assert {"card.toml", "checkpoint-3/trainer_state.json"} <= {*there}
    assert not [name for name in there if name.startswith("checkpoint-2")]  # kept no longer
    machine("second")
    with pytest.raises(ConflictError, match=f"{address}.training holds an interrupted run"):
        train(card, address, overrides=STEPS, quiet=True)
    with pytest.raises(ConflictError, match=f"the run in {address}.training was started from"):
        train(card, address, overrides=[*STEPS, "seed=4"], resume=True, quiet=True)
    assert train(card, address, overrides=STEPS, resume=True, quiet=True) == address
    assert equal(address, whole, tmp_path)
    assert not stored(f"{address}.training")


@pytest.mark.slow
def test_a_model_that_is_there_in_part_is_made_again(
    card, whole, machine, address, tmp_path, monkeypatch
):
    """The manifest is put last: without it the run is not over."""
    put, manifest = remote.Place.put, remote.MANIFEST_FILE

    def broken(self, file, name):
        if name == manifest:
            raise UnreachableError("the cable")
        put(self, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(remote.Place, "put", broken)
        with pytest.raises(UnreachableError, match="the cable"):
            train(card, address, overrides=STEPS, quiet=True)
    assert "model.safetensors" in stored(address)
    assert train(card, address, overrides=STEPS, resume=True, quiet=True) == address
    assert equal(address, whole, tmp_path)


@pytest.mark.slow
def test_a_checkpoint_that_is_there_in_part_does_not_count(
    card, machine, address, monkeypatch, tmp_path
):
    put = remote.Place.put

    def broken(self, file, name):
        if name == "trainer_state.json":
            raise UnreachableError("the cable")
        put(self, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(remote.Place, "put", broken)
        with pytest.raises(UnreachableError, match="the cable"):
            train(card, address, overrides=STEPS, quiet=True)
    assert [name for name in stored(f"{address}.training") if name.startswith("checkpoint-2")]
    with pytest.raises(NotFoundError, match="nothing to resume"):
        train(card, address, overrides=STEPS, resume=True, quiet=True)
    assert train(card, address, overrides=STEPS, quiet=True) == address


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ("nowhere://bucket/run", UsageError, "is no address that fsspec knows"),
        ("adl://bucket", (UsageError, MissingDependencyError), "adl://bucket"),
        ("memory:///", UsageError, "names no folder; add one"),
    ],
)
def test_addresses_that_cannot_be_written_to(card, machine, output, error, message):
    with pytest.raises(error, match=message):
        train(card, output, overrides=STEPS, quiet=True)


def test_an_address_of_this_machine_is_a_folder(tmp_path):
    assert remote.destination(f"file://{tmp_path}/run") == tmp_path / "run"
    assert remote.destination("~/run") == Path.home() / "run"
