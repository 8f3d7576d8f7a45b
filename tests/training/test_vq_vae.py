"""Training with discrete codes: codebook and prior in one run, resumed to the bit."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.errors import InterruptedRunError, UsageError
from zoo.registry import load_card
from zoo.training import train
from zoo.training.trainer import ImageTrainer

ALONE = ["train.samplers=[]", "prior_hidden_size=8", "prior_num_layers=1"]


def test_a_resumed_run_has_the_codebook_and_the_prior_of_an_uninterrupted_one(
    card, tmp_path, monkeypatch
):
    made = card("vq_vae", extra="save_strategy = 'no'\n")
    settings = [*ALONE, "num_codes=12", "restart_threshold=0.5"]
    whole = load_file(
        train(made, tmp_path / "whole", overrides=settings, quiet=True) / "model.safetensors"
    )
    step = ImageTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 6:
            signal.raise_signal(signal.SIGINT)
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageTrainer, "training_step", interrupted)
        with pytest.raises(InterruptedRunError, match="stopped at step 7 of 15"):
            train(made, tmp_path / "cut", overrides=settings, quiet=True)
    torch.manual_seed(99)  # whatever happened in between
    cut = train(made, tmp_path / "cut", overrides=settings, resume=True, quiet=True)
    found = load_file(cut / "model.safetensors")
    assert found.keys() == whole.keys()
    assert not [name for name in whole if not torch.equal(found[name], whole[name])]
    assert whole["codebook.updates"] == 15
    assert (whole["codebook.usage"] > 0).all()


def test_samplers_that_the_model_lacks_are_refused_before_the_first_step(card, tmp_path):
    with pytest.raises(
        UsageError, match=r"samplers names 'gaussian', .*--set train.samplers=\[\]"
    ):
        train(card("vq_vae"), tmp_path / "out", quiet=True)


def test_the_recipe_of_clothes_takes_its_first_steps(tmp_path):
    settings = ["dataset=examples-fashion-mnist", "data.sha256={}", "use_cpu=true", "max_steps=8"]
    settings += ["per_device_train_batch_size=16", "warmup_steps=0", "width_multiplier=0.05"]
    card = load_card("cards/vq-vae-fashion-mnist")
    folder = train(card, tmp_path / "out", overrides=settings, quiet=True)
    model = zoo.from_pretrained(folder)
    assert model.sample(2, seed=0).shape == (2, 1, 28, 28)
    log = json.loads((folder / "training.json").read_text("utf-8"))
    assert log["loss_after"] < log["loss_before"] - 50
    assert log["log"][-1].keys() >= {"reconstruction_loss", "commitment_loss", "prior_loss"}
    assert log["log"][-1]["perplexity"] > 1
