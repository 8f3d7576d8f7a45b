"""Rates, operations on gradients and averages of weights that a card asks for."""

import os
import re
import signal
import tomllib

import pytest
import torch
from safetensors.torch import load_file

from zoo.card import Card
from zoo.errors import IntegrityError, InterruptedRunError, UsageError
from zoo.models import AEModel, VAEModel
from zoo.training import explain, train
from zoo.training.optimizing import AVERAGE_FILE, CHAIN_FILE
from zoo.training.trainer import ImageTrainer

EVERYTHING = """
gradient_accumulation_steps = 2
ema = { decay = 0.9 }
gradients = [
    { op = "centralize" },
    { op = "noise", eta = 0.01, exclude = "*.bias" },
    { op = "drop", probability = 0.1 },
    { op = "finite_guard" },
]

[train.rates]
layer_decay = 0.8

[[train.rates.rules]]
pattern = "decoder.*.bias"
freeze = true
"""


def weights(folder, variant=""):
    return load_file(folder / f"model{variant and '.'}{variant}.safetensors")


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


def trained(card, folder, *settings, **options):
    return weights(train(card, folder, overrides=settings, quiet=True), **options)


@pytest.mark.parametrize("saved", ["instead", "beside"])
def test_an_interrupted_run_with_everything_on_ends_where_a_whole_one_does(
    card, tmp_path, monkeypatch, saved
):
    made = card(
        extra=f"save_strategy = 'no'\n{EVERYTHING.replace('0.9', f'0.9, saved = {saved!r}')}"
    )
    whole = train(made, tmp_path / "whole", quiet=True)
    original = ImageTrainer.training_step
    seen = []

    def training_step(self, *args, **kwargs):
        seen.append(self.state.global_step)
        if seen.count(4) == 1 and seen[-1] == 4:  # in the first half of an accumulated batch
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageTrainer, "training_step", training_step)
        with pytest.raises(InterruptedRunError):
            train(made, tmp_path / "cut", quiet=True)
    (checkpoint,) = (tmp_path / "cut.training").glob("checkpoint-*")
    assert {CHAIN_FILE, AVERAGE_FILE} <= {file.name for file in checkpoint.iterdir()}
    cut = train(made, tmp_path / "cut", resume=True, quiet=True)
    for variant in ("", "ema") if saved == "beside" else ("",):
        assert_equal(weights(cut, variant), weights(whole, variant))


def test_a_checkpoint_without_its_average_is_refused(card, tmp_path, monkeypatch):
    made = card(extra=EVERYTHING)
    monkeypatch.setattr("zoo.training.images.ImageMaterial.finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(made, tmp_path / "out", quiet=True)
    (checkpoint,) = (tmp_path / "out.training").glob("checkpoint-*")
    (checkpoint / AVERAGE_FILE).unlink()
    with pytest.raises(IntegrityError, match=r"ema\.safetensors is missing or damaged"):
        train(made, tmp_path / "out", resume=True, quiet=True)


def test_an_average_is_saved_instead_of_the_weights_or_beside_them(card, tmp_path):
    made = card("ae", "none")
    last = trained(made, tmp_path / "last", "samplers=[]")
    average = trained(made, tmp_path / "a", "samplers=[]", "train.ema.decay=0.9")
    both = train(
        made, tmp_path / "b", quiet=True,
        overrides=["samplers=[]", "train.ema.decay=0.9", "train.ema.saved=beside"],
    )  # fmt: skip
    assert_equal(weights(both), last)
    assert_equal(weights(both, "ema"), average)
    assert not torch.equal(average["encoder.output.weight"], last["encoder.output.weight"])
    first, second = AEModel.from_pretrained(both), AEModel.from_pretrained(both, variant="ema")
    assert torch.equal(first.encoder.output.weight, last["encoder.output.weight"])
    assert torch.equal(second.encoder.output.weight, average["encoder.output.weight"])
    assert Card.load(both).train.ema == {"decay": 0.9, "saved": "beside"}


def test_a_frozen_layer_stays_and_a_slow_one_moves_less(card, tmp_path):
    torch.manual_seed(3)
    rules = (
        "train.rates.rules=[{pattern='encoder.*', freeze=true},"
        "{pattern='decoder.input.*', scale=1e-3}]"
    )
    moved = trained(card(), tmp_path / "a", "max_steps=1", rules)
    other = trained(card(), tmp_path / "b", "max_steps=2", rules)
    same = [name for name in moved if torch.equal(moved[name], other[name])]
    assert {name for name in moved if name.startswith("encoder.output")} <= set(same)
    steps = {name: (other[name] - moved[name]).abs().max() for name in moved}
    *_, last = (
        name for name in moved if name.startswith("decoder.convolutions") and "bias" in name
    )
    assert 0 < steps["decoder.input.weight"] < 1e-2 * steps[last]


def test_clipping_is_the_chains_last_operation(card, tmp_path):
    argument = trained(card(), tmp_path / "a", "max_grad_norm=0.01")
    operation = trained(
        card(), tmp_path / "b", 'gradients=[{op="clip_global_norm", max_norm=0.01}]'
    )
    assert_equal(argument, operation)
    free = trained(card(), tmp_path / "c", "max_grad_norm=0.0")
    assert not torch.equal(free["encoder.output.weight"], argument["encoder.output.weight"])


def test_accumulation_is_the_trainers(card, tmp_path):
    argument = trained(card(), tmp_path / "a", "gradient_accumulation_steps=2")
    assert_equal(argument, trained(card(), tmp_path / "b", 'gradients=[{op="accumulate", k=2}]'))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.rates.layer_decay=1.5"], "'layer_decay' in .*must be a number above 0"),
        (["train.rates.layer_deca=0.5"], r"Nearest: train\.rates\.layer_decay"),
        (["train.rates.rules=[{patern='*'}]"], "Did you mean 'pattern'"),
        (["train.rates.rules=[{pattern='*embeddings*', scale=0.1}]"], "matches no parameter"),
        (["train.rates.rules=[{pattern='*'}]"], "needs something that sets anything"),
        (["train.ema.decay=1.0"], "'decay' in .*must be a number from 0, below 1"),
        (["train.ema.saved=beside"], "missing key 'decay'"),
        (["gradients=[{op='clip_nrom', max_norm=1.0}]"], "Did you mean 'clip_norm'"),
        (["gradients=[{op='clip_norm', max_nrom=1.0}]"], "Did you mean 'max_norm'"),
        (["gradients=[{op='clip_norm', max_norm=-1}]"], "max_norm is -1; give a number"),
        (["gradients=[{op='clip_norm', max_norm=1.0, only='*attention*'}]"], "attention"),
        (["gradients=[{op='apply'}]"], "use it from Python"),
        (["gradients=[{max_norm=1.0}]"], "each with its op"),
        (
            ["gradients=[{op='clip_global_norm', max_norm=1.0}, {op='noise', eta=1.0}]"],
            "longer than the global clip allows",
        ),
        (["train.rate.layer_decay=0.9"], r"Nearest: train\.rates\.layer_decay"),
        (["learning_rate=0"], "learning_rate = 0 trains nothing"),
        (["weight_decay=abc"], "weight_decay must be a number of at least 0, got 'abc'"),
        (["adam_beta1=2"], r"\[train\] Invalid beta parameter"),
        (["adam_epsilon=-1"], r"\[train\] Invalid epsilon value"),
        (["optim_args=abc"], r"\[train\] .*mend the setting"),
        (["lr_scheduler_type=cosine_with_min_lr"], "min_lr_rate should be set"),
        (["lr_scheduler_kwargs={min_lr=1e-4}"], "'linear' with lr_scheduler_kwargs.*'min_lr'"),
        (["lr_scheduler_kwargs=abc"], "lr_scheduler_kwargs 'abc'"),
        (["activation_checkpointing=true"], "does not support activation checkpointing"),
        (
            ["gradients=[{op='accumulate', k=2}]", "gradient_accumulation_steps=2"],
            "two words for one thing",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_the_data_is_read(card, tmp_path, settings, message):
    elsewhere = [*settings, f"dataset={tmp_path / 'nowhere'}"]
    with pytest.raises(UsageError, match=message) as caught:
        train(card(), tmp_path / "out", overrides=elsewhere, quiet=True)
    assert "any_order" not in str(caught.value)  # which a card cannot give
    with pytest.raises(UsageError, match=message):
        explain(card(), elsewhere)
    assert not list(tmp_path.iterdir())


def test_what_the_chain_did_is_logged(card, tmp_path, monkeypatch):
    lines = []
    original = ImageTrainer.log

    def log(self, logs, *args, **kwargs):
        original(self, logs, *args, **kwargs)
        lines.append(self.state.log_history[-1])

    monkeypatch.setattr(ImageTrainer, "log", log)
    settings = [
        "logging_steps=1",
        "gradients=[{op='clip_norm', max_norm=1e-4}, {op='finite_guard'}]",
    ]
    train(card(), tmp_path / "out", overrides=settings, quiet=True)
    steps = [line for line in lines if "loss" in line]
    assert all(line["skipped"] == 0 and line["clip_norm/clipped"] > 0.5 for line in steps)


def test_the_plan_is_printed_and_nothing_is_trained(card, tmp_path, run):
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "card.toml").write_text(card(extra=EVERYTHING).text)
    result = run(
        "train", folder, "--explain", "-o", tmp_path / "out", "--set", "warmup_steps=0.5",
        "--set", "lr_scheduler_type=constant_with_warmup", "--set", "max_grad_norm=0.5",
    )  # fmt: skip
    assert result.code == 0
    shown = result.out
    for words in (
        "encoder.output.weight", "layer_decay", "frozen", "Rule('decoder.*.bias', freeze=True)",
        "3 epochs in batches of 2 x 8, adamw_torch_fused, constant_with_warmup",
        "1. Centralize()", "4. FiniteGuard()", "5. ClipGlobalNorm(max_norm=0.5)",
        "decay 0.9, warm-up unbiased, saved instead of the last weights",
    ):  # fmt: skip
        assert words in shown
    top = [line for line in shown.splitlines() if line.endswith("0.01")]
    assert top  # the rate at the end of the schedule
    assert [path.name for path in tmp_path.iterdir()] == ["card"]


def test_the_model_of_a_card_with_rates_is_the_same_class(card, tmp_path):
    folder = train(card(extra=EVERYTHING), tmp_path / "out", quiet=True)
    assert VAEModel.from_pretrained(folder).sample(2, seed=0).shape == (2, 1, 8, 8)
    again = Card.load(folder)
    assert again == Card.of(again.to_dict())


def test_the_tables_of_the_page_fit_a_card(root):
    page = (root / "zoo/training/README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (block,) = (found for found in map(tomllib.loads, blocks) if "rates" in found["train"])
    table = Card.load(root / "cards/vae-mnist").to_dict()
    table["train"] |= block["train"]
    shown = explain(Card.of(table))
    for words in (
        "Rule('encoder.*', scale=0.1)",
        "Centralize()",
        "only='*.weight'",
        "decay 0.999",
    ):
        assert words in shown
