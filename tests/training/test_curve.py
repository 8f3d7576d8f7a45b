"""What a training leaves of its course: a file, a plot, lines; and a card that finds its data."""

import json
import os
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from tests.training.test_train import interrupt_at
from zoo import registry
from zoo.card import Card
from zoo.data.identity import WHOLE, same_data
from zoo.errors import InterruptedRunError, NotFoundError, UsageError
from zoo.evaluation import evaluate
from zoo.training import train
from zoo.training.curve import MAX_RECORDS, Curve, CurveCallback

HELD = ["validation_split=train[32:]", "train_split=train[:32]"]  # 4 batches of 8


def curve_of(folder):
    return json.loads((folder / "training.json").read_text())


@pytest.fixture
def trained(card, tmp_path, capsys):
    """A folder, and what was said."""
    folder = train(card(), tmp_path / "out", overrides=HELD)
    return folder, capsys.readouterr()


def test_the_curve_goes_along_with_the_model(trained):
    folder, said = trained
    curve = curve_of(folder)
    assert [record["step"] for record in curve["log"]] == [4, 8, 12]
    for record in curve["log"]:
        assert record["loss"] == pytest.approx(
            record["reconstruction_loss"] + record["kl"], rel=1e-4
        )
        assert {"validation_loss", "learning_rate", "epoch", "seconds"} <= record.keys()
    seconds = [record["seconds"] for record in curve["log"]]
    assert seconds == sorted(seconds)
    assert curve["loss_after"] != curve["loss_before"]
    with Image.open(folder / "training.png") as plot:
        assert plot.size == (480, 240)
    assert "](training.png)" in (folder / "README.md").read_text()
    assert registry.verify(folder).ok
    lines = said.err.splitlines()
    for line, record, number in zip(lines[:-1], curve["log"], (1, 2, 3), strict=True):
        held = record["validation_loss"]
        assert line.startswith(f"epoch {number} of 3: loss {record['loss']:.4g}, ")
        assert f", validation {held:.4g}, rate " in line
    assert lines[-1].startswith("12 steps, 3 epochs, ")
    assert f"loss {curve['loss_after']:.4g}, before training" in lines[-1]
    assert not said.out


def test_validating_changes_no_weight(trained, card, tmp_path, capsys):
    plain = train(card(), tmp_path / "plain", overrides=HELD[1:], quiet=True)
    assert not any("validation_loss" in record for record in curve_of(plain)["log"])
    assert not capsys.readouterr().err
    first, other = (load_file(f / "model.safetensors") for f in (trained[0], plain))
    assert not [name for name in first if not torch.equal(first[name], other[name])]


def test_a_resumed_run_keeps_the_curve_before_it(card, tmp_path, monkeypatch):
    made, output = card(extra="logging_steps = 2\n"), tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(InterruptedRunError):
            train(made, output, quiet=True)
    log = curve_of(train(made, output, resume=True, quiet=True))["log"]
    steps = [record["step"] for record in log]
    assert steps == sorted(set(steps))
    assert {2, 4, 5, 6, 8, 10, 12, 14, 15} <= set(steps)
    assert [r["seconds"] for r in log] == sorted(r["seconds"] for r in log)


def test_a_split_to_validate_on_that_is_absent_is_told(card, tmp_path, capsys):
    settings = ["validation_split=dev", "num_train_epochs=1"]
    train(card("ae"), tmp_path / "out", overrides=settings)
    said = capsys.readouterr().err
    assert "no validation loss: data set" in said
    assert "has no split 'dev', only train" in said


def test_steps_that_are_none_are_refused(card, tmp_path):
    with pytest.raises(UsageError, match="max_steps = 0 trains nothing"):
        train(card(), tmp_path / "out", overrides=["max_steps=0"], quiet=True)


def record(step, **rest):
    return {"step": step, "epoch": step / 100, "loss": float(step), "seconds": float(step), **rest}


def test_a_long_epoch_has_a_line_each_tenth():
    said = []
    callback = CurveCallback(lambda model: None, said.append)
    state = TrainerState(max_steps=100, num_train_epochs=1)
    callback.on_train_begin(None, state, None)
    for step in range(5, 101, 5):
        state.global_step = step
        state.log_history.append(record(step, learning_rate=0.5))
        callback.on_log(None, state, TrainerControl())
    assert len(said) == 9
    assert said[1].startswith("step 20 of 100: loss 17.5, rate 0.5, ")  # of steps 15 and 20


def test_a_very_long_curve_is_thinned_out_and_ends_with_the_last_step():
    curve = Curve.of([record(step) for step in range(1, 2 * MAX_RECORDS + 2)], 1.0, 0.5)
    assert MAX_RECORDS / 2 < len(curve.records) <= MAX_RECORDS
    assert curve.records[-1]["step"] == 2 * MAX_RECORDS + 1


def test_the_copy_of_a_card_finds_the_data_wherever_it_is_read(
    card, image_folder, tmp_path, monkeypatch
):
    (tmp_path / "mine").mkdir()
    shutil.copytree(image_folder, tmp_path / "mine" / "images")
    text = card("ae").text.replace(f'"{image_folder}"', '"images"  # mine')
    (tmp_path / "mine" / "card.toml").write_text(text)
    monkeypatch.chdir(image_folder)
    made = Card.load(tmp_path / "mine")
    folder = train(made, tmp_path / "out" / "ae", overrides=[], quiet=True)
    copy = Card.load(folder)
    assert copy.data.dataset == "../../mine/images"
    assert "# mine" in copy.text
    assert same_data(str(folder / copy.data.dataset), str(image_folder))
    (found,) = evaluate(folder, metrics=["reconstruction_mse"], quiet=True)
    shutil.move(tmp_path / "mine" / "images", tmp_path / "moved")
    with pytest.raises(NotFoundError, match=r"no data set at .*/mine/images: .* --data"):
        evaluate(folder, quiet=True)
    again = evaluate(
        folder,
        metrics=["reconstruction_mse"],
        data=os.path.relpath(tmp_path / "moved"),
        quiet=True,
    )
    assert [m.dataset for m in again] == [copy.data.dataset] == [found.dataset]
    assert set(copy.data.sha256) == {WHOLE}
