"""The best checkpoint by a score, stopping early, and weights of labels: laws and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

import zoo
from tests.training.test_texts import interrupt_at
from tests.training.text_cards import BERT, text_card, write_rows
from zoo.errors import ConflictError, InterruptedRunError, UsageError
from zoo.training import explain, train
from zoo.training.class_weights import class_weights, weighted_loss
from zoo.training.recipes import build_recipe
from zoo.training.settings import with_settings
from zoo.training.variants import with_data

SPLITS = ["data.train_split=train[:32]", "data.validation_split=train[32:]"]
CONSTANT = ["lr_scheduler_type=constant", "learning_rate=3e-3", "save_strategy=epoch"]
EPOCHS = [*SPLITS, *CONSTANT, "max_steps=-1", "num_train_epochs=6"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")


@pytest.fixture
def classifier(data):
    """`classifier(train lines)`: a card of a classifier."""
    return lambda lines="": text_card(data, "classification", train=lines)


def weights(folder):
    return load_file(folder / "model.safetensors")


def curve(folder):
    return json.loads((folder / "training.json").read_text())


def accuracies(folder):
    return {r["step"]: r["accuracy"] for r in curve(folder)["log"] if "accuracy" in r}


def assert_equal(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


def scoring(monkeypatch, values):
    """Have the validations give these accuracies in turn."""
    left = iter(values)
    monkeypatch.setattr(
        "zoo.training.texts.validate",
        lambda *_: {"validation_loss": 1.0, "accuracy": next(left), "macro_f1": 0.5},
    )


@pytest.mark.parametrize(
    "average",
    ["", pytest.param("[train.ema]\ndecay = 0.5", marks=pytest.mark.slow)],
    ids=["weights", "average"],
)
def test_the_model_is_that_of_the_best_validation(classifier, tmp_path, monkeypatch, average):
    card = classifier(average)
    short = train(card, tmp_path / "short", overrides=[*EPOCHS, "max_steps=8"], quiet=True)
    values = [0.5, 0.75, 0.7, 0.75, 0.6, 0.1]
    scoring(monkeypatch, values)
    best = [*EPOCHS, "metric_for_best_model=accuracy"]
    folder = train(card, tmp_path / "best", overrides=best, quiet=True)
    assert curve(folder)["best"] == {"step": 8, "score": "accuracy", "value": 0.75}
    assert accuracies(folder) == dict(zip(range(4, 25, 4), values, strict=True))
    assert_equal(folder, short)


@pytest.mark.parametrize(
    "step",
    [9, pytest.param(11, marks=pytest.mark.slow)],
    ids=["within an epoch", "at its end"],
)
def test_an_interrupted_run_keeps_the_best_so_far(classifier, tmp_path, monkeypatch, step):
    values = [0.5, 0.75, 0.7, 0.72, 0.6, 0.1]
    card = classifier("[train.ema]\ndecay = 0.5")
    settings = [*EPOCHS, "metric_for_best_model=accuracy"]
    with monkeypatch.context() as patch:
        scoring(patch, values)
        whole = train(card, tmp_path / "whole", overrides=settings, quiet=True)
    with monkeypatch.context() as patch:
        scoring(patch, values[: (step + 1) // 4])
        interrupt_at(patch, step)
        with pytest.raises(InterruptedRunError):
            train(card, tmp_path / "cut", overrides=settings, quiet=True)
    scoring(monkeypatch, values[(step + 1) // 4 :])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "cut.training").rename(moved / "cut.training")
    cut = train(card, moved / "cut", overrides=settings, resume=True, quiet=True)
    assert_equal(cut, whole)
    assert accuracies(cut) == accuracies(whole) == dict(zip(range(4, 25, 4), values, strict=True))
    assert curve(cut)["best"] == curve(whole)["best"]


def test_a_run_whose_best_checkpoint_is_gone_is_not_resumed(classifier, tmp_path, monkeypatch):
    settings = [*EPOCHS, "metric_for_best_model=accuracy"]
    scoring(monkeypatch, [0.9, 0.5])
    with monkeypatch.context() as patch:
        interrupt_at(patch, 9)
        with pytest.raises(InterruptedRunError):
            train(classifier(), tmp_path / "out", overrides=settings, quiet=True)
    shutil.rmtree(tmp_path / "out.training/checkpoint-4")
    with pytest.raises(ConflictError, match=r"checkpoint-4, the best checkpoint .* is gone"):
        train(classifier(), tmp_path / "out", overrides=settings, resume=True, quiet=True)


def test_training_ends_when_it_gets_no_better(classifier, tmp_path, monkeypatch, capsys):
    scoring(monkeypatch, [0.5, 0.6, 0.6, 0.55, 0.9])
    settings = [*EPOCHS, "metric_for_best_model=accuracy", "early_stopping_patience=2"]
    folder = train(classifier(), tmp_path / "out", overrides=settings)
    assert [record["step"] for record in curve(folder)["log"]] == [4, 8, 12, 16]
    assert curve(folder)["best"]["step"] == 8
    err = capsys.readouterr().err
    assert "no better accuracy in 2 validations: the training ends here" in err
    assert "epoch 2 of 6: loss" in err
    assert ", accuracy 0.6, macro_f1 0.5, rate" in err
    assert "; kept is step 8, accuracy 0.6\n" in err


def test_scores_are_those_of_the_whole_validation_split(classifier, tmp_path):
    settings = [
        *SPLITS,
        "max_steps=6",
        "learning_rate=3e-2",
        "eval_strategy=steps",
        "eval_steps=3",
    ]
    folder = train(classifier(), tmp_path / "out", overrides=settings, quiet=True)
    scored = [record for record in curve(folder)["log"] if "accuracy" in record]
    assert [record["step"] for record in scored] == [3, 6]
    assert "best" not in curve(folder)
    material = build_recipe(with_settings(classifier(), settings)).load(quiet=True)
    model = zoo.from_pretrained(folder)
    rows = material.validation
    with torch.no_grad():
        logits = torch.cat([model(**material.collator([row])).logits for row in rows])
    true = torch.tensor([row["labels"] for row in rows])
    found = logits.argmax(1)
    wanted = {
        "accuracy": (true == found).double().mean().item(),
        "macro_f1": f1_score(true, found, average="macro"),
        "validation_loss": float(cross_entropy(logits, true)),
    }
    assert {name: scored[-1][name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_images_have_the_loss(card, tmp_path):
    settings = [*SPLITS, "metric_for_best_model=validation_loss"]
    folder = train(card(), tmp_path / "out", overrides=settings, quiet=True)
    losses = {record["step"]: record["validation_loss"] for record in curve(folder)["log"]}
    best = curve(folder)["best"]
    assert best["step"] == min(losses, key=losses.get)
    assert best["value"] == losses[best["step"]]
    with pytest.raises(UsageError, match="'accuracy' is no score of this card, which has valid"):
        train(card(), tmp_path / "no", overrides=[*SPLITS, "metric_for_best_model=accuracy"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["metric_for_best_model=accuracy"], "metric_for_best_model needs .* a validation_split"),
        (["early_stopping_patience=2"], "early_stopping_patience needs .* a validation_split"),
        ([*SPLITS, "metric_for_best_model=acuracy"], "is no score .* Did you mean 'accuracy'"),
        (
            [*SPLITS, "metric_for_best_model=accuracy"],
            "'no' keeps other checkpoints than",
        ),
        (["early_stopping_patience=0"], "'early_stopping_patience' in .train. must be a whole"),
        (["class_weights=balance"], "'class_weights' in .train. must be .balanced., or a table"),
        (["class_weights.common=0"], "'class_weights' in .train. must be"),
        (["class_weights.comon=2"], "no label is 'comon'. Did you mean 'common'"),
        (["class_weights=balanced", "label_smoothing_factor=0.1"], "exclude each other"),
        (["class_weights=balanced", "streaming=true"], "count the labels of a stream"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value)[-40:],
)
def test_wrong_settings_are_refused(classifier, tmp_path, settings, message):
    with pytest.raises(UsageError, match=message) as caught:
        train(classifier(), tmp_path / "out", overrides=settings, quiet=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_recipe_for_other_data_asks_for_no_validation(data, classifier):
    card = with_settings(classifier(), [*SPLITS, "metric_for_best_model=accuracy"])
    own = with_data(card, str(data))
    assert own.data.validation_split is None
    assert not build_recipe(own).arguments.load_best_model_at_end


def test_a_model_of_tokens_has_no_weights_of_labels(data):
    with pytest.raises(UsageError, match="masked-lm is not trained by the cross-entropy of one"):
        build_recipe(text_card(data, train='class_weights = "balanced"'))


def test_balanced_weights_are_those_of_scikit_learn(data, classifier):
    card = classifier('class_weights = "balanced"')
    material = build_recipe(card).load(quiet=True)
    labels = material.rows["labels"]
    wanted = compute_class_weight("balanced", classes=np.arange(2), y=list(labels))
    torch.testing.assert_close(material.class_weights.double(), torch.tensor(wanted))
    assert "Weights of labels\nbalanced" in explain(card)
    softmax = f'{BERT}\n[config.heads.tags]\nkind = "token_classifier"'
    tagger = text_card(data, "tags", config=softmax, train='class_weights = "balanced"')
    rows = build_recipe(tagger).load(quiet=True).rows
    every = [label for row in rows["labels"] for label in row if label >= 0]
    wanted = compute_class_weight("balanced", classes=np.arange(2), y=every)
    found = class_weights(tagger, ("e", "other"), rows)
    torch.testing.assert_close(found.double(), torch.tensor(wanted))
    unseen = class_weights(card, ("common", "rare", "never"), material.rows)
    assert unseen[2] == 1.0
    assert class_weights(
        classifier("class_weights = { rare = 3.0 }"), ("common", "rare"), None
    ).tolist() == [1, 3]


def test_the_weighted_loss_is_its_formula():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(3, (2, 5))
    labels[0, 1] = -100
    weights = torch.tensor([0.5, 2.0, 1.0])
    by_hand = [
        -weights[label] * logits[row, place].float().log_softmax(-1)[label]
        for row in range(2)
        for place in range(5)
        if (label := labels[row, place]) >= 0
    ]
    torch.testing.assert_close(weighted_loss(logits, labels, weights), torch.stack(by_hand).mean())
    ones = torch.ones(3)
    plain = cross_entropy(logits.float().flatten(0, 1), labels.flatten())
    torch.testing.assert_close(weighted_loss(logits, labels, ones), plain)
    nothing = weighted_loss(logits, torch.full_like(labels, -100), weights)
    assert nothing == 0


def test_weights_of_one_change_no_bit_and_others_do(classifier, tmp_path):
    plain, ones, other = (
        train(classifier(lines), tmp_path / name, overrides=["max_steps=2"], quiet=True)
        for name, lines in (
            ("plain", ""),
            ("ones", "class_weights = { rare = 1.0 }"),
            ("other", 'class_weights = "balanced"'),
        )
    )
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(ones)[name], tensor, rtol=1e-4, atol=1e-6)
    name = "classifier.weight"
    assert not torch.allclose(weights(other)[name], weights(plain)[name], rtol=1e-3)
