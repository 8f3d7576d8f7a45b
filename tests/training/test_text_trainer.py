"""The Trainer with objectives and an average: the same sums, resumed and saved."""

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from zoo.errors import IntegrityError, UsageError
from zoo.training import (
    EMA,
    FGM,
    PGD,
    Accumulate,
    Free,
    GradientPenalty,
    Lookahead,
    Objective,
    RDrop,
    TextTrainer,
    VirtualAdversarial,
)

STEPS = 6
OBJECTIVES = {
    "plain": None,
    "fgm": FGM(0.1, clean=1),
    "pgd": PGD(num_steps=2),
    "free": Free(num_passes=2),
    "virtual": VirtualAdversarial(),
    "penalty": GradientPenalty(),
    "r-drop": RDrop(),
}
#: All but three are slow.
QUICK_OR_ALL = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in ("plain", "pgd", "r-drop")))
    for name in OBJECTIVES
]


def classifier(dropout=0.1):
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertForSequenceClassification(config)


def texts(number=48):
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(1, 30, (number, 6), generator=generator)
    mask = torch.ones_like(ids)
    return [
        {"input_ids": i, "attention_mask": m, "labels": i.sum() % 2}
        for i, m in zip(ids, mask, strict=True)
    ]


def trainer(folder, model=None, objective=None, ema=False, optimizers=(None, None), **settings):
    model = model if model is not None else classifier()
    options = {
        name: settings.pop(name) for name in ("evaluate_ema", "save_ema") if name in settings
    }
    settings = {
        "per_device_train_batch_size": 8,
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "seed": 3,
    } | settings
    return TextTrainer(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **settings),
        train_dataset=texts(),
        eval_dataset=texts(16),
        objective=objective,
        ema=EMA(model, 0.8) if ema else None,
        optimizers=optimizers,
        **options,
    )


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def average(run):
    with run.ema.applied():
        return weights(run.model)


@pytest.mark.parametrize("name", QUICK_OR_ALL)
def test_a_resumed_run_is_bit_equal(name, tmp_path):
    settings = {"objective": OBJECTIVES[name], "ema": True}
    whole = trainer(tmp_path / "a", **settings)
    whole.train()
    half = trainer(tmp_path / "b", save_strategy="steps", save_steps=3, **settings)
    half.train()
    resumed = trainer(tmp_path / "b", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-3"))
    assert same(weights(resumed.model), weights(whole.model))
    assert same(average(resumed), average(whole))
    assert resumed.ema.num_updates == STEPS
    assert not same(average(whole), weights(whole.model))


@pytest.mark.parametrize("name", QUICK_OR_ALL)
def test_accumulated_batches_are_one_large_batch(name, tmp_path):
    objective = OBJECTIVES[name] or Objective()
    runs = []
    for size, parts in ((8, 1), (4, 2)):
        torch.manual_seed(0)
        model = classifier(dropout=0.0)
        run = trainer(
            tmp_path / str(size),
            model,
            objective,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=parts,
            optimizers=(torch.optim.SGD(model.parameters(), lr=1.0), None),
            max_grad_norm=0,
        )
        run.train()
        runs.append(weights(run.model))
    starts = weights(classifier())
    moves = [
        torch.cat([(run[n] - starts[n]).flatten() for n in run if run[n].is_floating_point()])
        for run in runs
    ]
    if name in ("plain", "r-drop"):
        torch.testing.assert_close(*moves, atol=1e-6, rtol=1e-4)
    else:  # the two halves are attacked each for itself
        ratio = (moves[1].norm() / moves[0].norm()).item()
        assert 0.8 < ratio < 1.25
        assert torch.cosine_similarity(*moves, dim=0) > 0.9


@pytest.mark.parametrize("name", OBJECTIVES)
def test_bfloat16_goes_through_accelerate(name, tmp_path):
    run = trainer(tmp_path, objective=OBJECTIVES[name], bf16=True, max_steps=2)
    before = weights(run.model)
    result = run.train()
    assert torch.isfinite(torch.tensor(result.training_loss))
    assert not same(weights(run.model), before)
    assert all(p.dtype == torch.float32 for p in run.model.parameters())


def test_an_objective_is_for_training_alone(tmp_path):
    plain = trainer(tmp_path).evaluate()["eval_loss"]
    assert trainer(tmp_path, objective=FGM(5)).evaluate()["eval_loss"] == plain


def test_without_objective_and_average_it_is_the_trainer(tmp_path):
    run = trainer(tmp_path, max_grad_norm=0.0)
    run.train()
    plain = Trainer(classifier(), run.args, train_dataset=texts())
    plain.train()
    assert same(weights(run.model), weights(plain.model))


def test_gradients_are_clipped_as_the_trainer_clips_them(tmp_path):
    run = trainer(tmp_path, max_grad_norm=0.1)
    run.train()
    arguments = TrainingArguments(**run.args.to_dict() | {"max_grad_norm": 0.1})
    plain = Trainer(classifier(), arguments, train_dataset=texts())
    plain.train()
    for name, value in weights(run.model).items():
        torch.testing.assert_close(value, plain.model.state_dict()[name], atol=1e-5, rtol=0)


def test_evaluation_is_with_the_average_or_without(tmp_path):
    run = trainer(tmp_path, ema=True)
    run.train()
    before = weights(run.model)
    found = [run.evaluate()["eval_loss"]]
    assert same(weights(run.model), before)
    run.evaluate_ema = False
    found.append(run.evaluate()["eval_loss"])
    run.ema = None
    assert run.evaluate()["eval_loss"] == found[1]
    assert found[0] != found[1]


def test_evaluation_with_the_average_does_not_change_the_run(tmp_path):
    runs = []
    for evaluate_ema in (False, True):
        settings = {"eval_strategy": "steps", "eval_steps": 2, "evaluate_ema": evaluate_ema}
        runs.append(trainer(tmp_path, ema=True, **settings))
        runs[-1].train()
    plain, watched = runs
    assert same(weights(watched.model), weights(plain.model))
    assert same(average(watched), average(plain))
    losses = [
        [log["eval_loss"] for log in run.state.log_history if "eval_loss" in log] for run in runs
    ]
    assert len(losses[0]) == 3
    assert losses[0] != losses[1]


@pytest.mark.parametrize("save", ["instead", "beside", "no"])
def test_the_average_is_saved_instead_or_beside(save, tmp_path):
    run = trainer(tmp_path, ema=True, save_ema=save)
    run.train()
    run.save_model(str(tmp_path / "out"))
    load = AutoModelForSequenceClassification.from_pretrained
    expected = average(run) if save == "instead" else weights(run.model)
    assert same(weights(load(tmp_path / "out")), expected)
    assert (tmp_path / "out/model.ema.safetensors").is_file() == (save == "beside")
    if save == "beside":
        assert same(weights(load(tmp_path / "out", variant="ema")), average(run))


def test_the_best_model_brings_its_average(tmp_path):
    run = trainer(
        tmp_path,
        ema=True,
        learning_rate=0.5,  # gets worse
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=2,
        save_steps=2,
        save_only_model=True,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
    )
    run.train()
    assert run.evaluate()["eval_loss"] == pytest.approx(run.state.best_metric)
    assert run.ema.num_updates == run.state.best_global_step


def test_lookahead_and_the_average_go_with_any_optimizer_given(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 3}

    def make(folder, **more):
        model = classifier()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        Lookahead(2, 0.5).attach(optimizer)
        return trainer(folder, model, ema=True, optimizers=(optimizer, None), **more)

    whole = make(tmp_path / "a")
    whole.train()
    make(tmp_path / "b", **settings).train()
    resumed = make(tmp_path / "b")
    resumed.train(resume_from_checkpoint=str(tmp_path / "b/checkpoint-3"))
    assert same(weights(resumed.model), weights(whole.model))
    assert same(average(resumed), average(whole))


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(UsageError, match="save_ema is 'both'"):
        trainer(tmp_path, ema=True, save_ema="both")
    run = trainer(tmp_path)
    with pytest.raises(UsageError, match="set gradient_accumulation_steps=3"):
        TextTrainer(run.model, run.args, operations=[Accumulate(3)])
    with pytest.raises(UsageError, match="another model"):
        TextTrainer(run.model, run.args, train_dataset=texts(), ema=EMA(nn.Linear(1, 1)))
    trainer(tmp_path, save_strategy="steps", save_steps=3).train()
    with pytest.raises(IntegrityError, match=r"ema\.safetensors is missing"):
        trainer(tmp_path, ema=True).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    (tmp_path / "checkpoint-3/ema.safetensors").write_bytes(b"no header")
    with pytest.raises(IntegrityError, match=r"damaged .*header"):
        trainer(tmp_path, ema=True).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
