"""A training that begins with given weights: which are taken, which fresh, what is said."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.test_texts import interrupt_at
from tests.training.text_cards import BERT, text_card, write_rows
from zoo.card import Card
from zoo.errors import ConflictError, InterruptedRunError, NotFoundError, UsageError
from zoo.registry import manifest
from zoo.training import explain, train
from zoo.training.beginning import new_card
from zoo.training.recipes import build_recipe

BACKBONE = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")


@pytest.fixture(scope="module")
def start(data, tmp_path_factory):
    """A small masked language model."""
    out = tmp_path_factory.mktemp("start") / "masked"
    return train(text_card(data), out, overrides=["max_steps=2"], quiet=True)


@pytest.fixture(scope="module")
def classifier(data, start, tmp_path_factory):
    """A classifier with the labels common and rare that began with it."""
    out = tmp_path_factory.mktemp("start") / "classifier"
    return train(started(data, start), out, quiet=True)


def started(rows, start, task="classification", *, config="", train="", **sections):
    """A card without a tokenizer that begins with a model."""
    lines = f'start_from = "{start}"\n{train}'
    return text_card(rows, task, config=config, train=lines, tokenizer="", **sections)


def begun(card):
    torch.manual_seed(0)
    return build_recipe(card).load(quiet=True).make_model()


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_all_below_the_head_is_the_start_and_the_head_is_fresh(data, start):
    card = started(data, start, config="hidden_dropout_prob = 0.3")
    recipe = build_recipe(card)
    model, said = recipe.begin()
    given, own = weights(start), model.state_dict()
    shared = given.keys() & own.keys()
    assert len(shared) == 21
    assert not [name for name in shared if not torch.equal(given[name], own[name])]
    assert {name for name in own if name not in given} == {
        *("bert.pooler.dense.weight", "bert.pooler.dense.bias"),
        *("classifier.weight", "classifier.bias"),
    }
    assert own["classifier.weight"].std() > 0
    assert said == (
        f"{start} 0.1.0; fresh: bert.pooler.dense, classifier; left out: cls.predictions"
    )
    assert said in explain(card)
    assert model.config.hidden_dropout_prob == 0.3
    assert model.config.hidden_size == 8
    assert recipe.tokenizer.get_vocab() == build_recipe(text_card(data)).load(
        quiet=True
    ).recipe.tokenizer.get_vocab()  # fmt: skip


def test_the_folder_says_which_weights_it_began_with(data, start, tmp_path, capsys):
    folder = train(started(data, start), tmp_path / "out")
    err = capsys.readouterr().err
    assert err.count(f"begins with {start} 0.1.0; fresh: bert.pooler.dense, classifier") == 1
    record = manifest.read(folder)["made"]["start"]
    sums = manifest.sha256(start / "model.safetensors")
    assert record == {
        "id": "local/masked", "version": "0.1.0", "files": {"model.safetensors": sums},
    }  # fmt: skip
    assert sums in (folder / "README.md").read_text()
    named = started(data, "genae/tiny-bert", data="max_length = 16")
    folder = train(named, tmp_path / "named", overrides=["max_steps=1"], quiet=True)
    assert 'base_model: "genae/tiny-bert"' in (folder / "README.md").read_text()


def test_a_head_is_kept_by_the_same_labels_alone(data, classifier):
    given = weights(classifier)["classifier.weight"]
    same = begun(started(data, classifier)).classifier.weight
    assert torch.equal(same, given)
    other = started(data, classifier, data='labels = ["rare", "common"]')
    model, said = build_recipe(other).load(quiet=True).recipe.begin()
    assert model.classifier.weight.shape == given.shape
    assert not torch.equal(model.classifier.weight, given)
    assert torch.equal(model.get_parameter(BACKBONE), weights(classifier)[BACKBONE])
    assert said.endswith("; fresh: classifier; left out: classifier")


def test_predictions_go_on_from_those_of_the_start(data, start):
    name = "cls.predictions.bias"
    assert torch.equal(
        begun(started(data, start, "masked-lm")).get_parameter(name), weights(start)[name]
    )


def test_adapters_begin_with_the_start(data, start):
    pytest.importorskip("peft")
    card = started(data, start, train="[train.lora]\nrank = 2")
    material = build_recipe(card).load(quiet=True)
    model = material.finish(material.make_model())
    given, own = weights(start), model.state_dict()
    for name in given.keys() & own.keys():
        torch.testing.assert_close(own[name], given[name])


def test_a_resumed_run_equals_an_uninterrupted_one(data, start, tmp_path, monkeypatch):
    own = tmp_path / "start"
    shutil.copytree(start, own, ignore=shutil.ignore_patterns("manifest.json"))
    card = started(data, own, train="[train.ema]\ndecay = 0.5\n[train.rates]\nlayer_decay = 0.5")
    whole = train(card, tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(InterruptedRunError, match="stopped at step 2 of 4"):
            train(card, tmp_path / "cut", quiet=True)
    changed = weights(own) | {BACKBONE: torch.zeros(8, 8)}
    kept = (own / "model.safetensors").read_bytes()
    save_file(changed, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConflictError, match="began with other weights than start_from"):
        train(card, tmp_path / "cut", resume=True, quiet=True)
    (own / "model.safetensors").write_bytes(kept)
    cut = train(card, tmp_path / "cut", resume=True, quiet=True)
    first, second = weights(whole), weights(cut)
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    first, second = (json.loads((f / "training.json").read_text()) for f in (whole, cut))
    assert first["loss_before"] == second["loss_before"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "hidden_size = 16"}, r"\[config\] hidden_size is 16, and the weights .* of 8"),
        ({"config": "num_hidden_layers = 2"}, "num_hidden_layers is 2, .* of 1; leave it out"),
        ({"config": "vocab_size = 99999"}, "vocab_size is 99999, and the weights"),
        ({"architecture": "electra"}, "is bert, and the card's is electra; make them one"),
    ],
    ids=["width", "depth", "vocabulary", "architecture"],
)
def test_what_contradicts_the_start_is_refused(start, changes, message):
    changes = dict(changes)
    card = started("absent.txt", start, **changes)
    with pytest.raises(UsageError, match=message) as caught:
        build_recipe(card)
    assert "\n" not in str(caught.value)


def test_what_is_no_start_is_refused(data, start, tmp_path):
    with pytest.raises(NotFoundError, match=r"\[train\] start_from: no model.*nowhere"):
        build_recipe(started(data, "genae/nowhere"))
    with pytest.raises(UsageError, match="the architecture of genae/vae-mnist is vae"):
        build_recipe(started(data, "genae/vae-mnist"))
    empty = tmp_path / "empty"
    shutil.copytree(start, empty)
    (empty / "model.safetensors").unlink()
    (empty / "manifest.json").unlink()
    with pytest.raises(NotFoundError, match="has no weights to begin with; train it first"):
        explain(started(data, empty))
    bare = tmp_path / "bare"
    shutil.copytree(start, bare, ignore=shutil.ignore_patterns("token*", "manifest.json"))
    with pytest.raises(UsageError, match="has no tokenizer; name one by 'id'"):
        build_recipe(started(data, bare))
    with pytest.raises(UsageError, match="has other tokens than"):
        build_recipe(text_card(data, tokenizer='id = "genae/tiny-bert"', config="",
                               train=f'start_from = "{start}"'))  # fmt: skip
    with pytest.raises(UsageError, match=r"'kind' in \[tokenizer\] makes new tokens"):
        text_card(data, config="", train='start_from = "x/y"')
    with pytest.raises(UsageError, match=r"'start_from' in \[train\] is about texts"):
        Card.parse(re.sub('task = "masked-lm"\n', "", started(data, start, "masked-lm").text))
    with pytest.raises(UsageError, match="labels names 'a' twice"):
        build_recipe(started(data, start, data='labels = ["a", "a"]'))
    with pytest.raises(UsageError, match="tells no classes apart; leave labels out"):
        build_recipe(text_card(data, data='labels = ["a", "b"]', config=BERT))


def test_weights_of_another_shape_are_refused(data, start, tmp_path):
    odd = tmp_path / "odd"
    shutil.copytree(start, odd, ignore=shutil.ignore_patterns("manifest.json"))
    save_file(
        weights(odd) | {BACKBONE: torch.zeros(4, 8)},
        odd / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(UsageError, match=r"of shape \[4, 8\], and with \[config\] it is \[8, 8\]"):
        begun(started(data, odd))


def test_a_card_beside_its_start_names_it_by_a_path(data, start, tmp_path):
    shutil.copytree(start, tmp_path / "masked")
    file = tmp_path / "card.toml"
    file.write_text(started(data, "masked").text)
    assert torch.equal(begun(Card.load(file)).get_parameter(BACKBONE), weights(start)[BACKBONE])
    assert Card.parse(Card.load(file).text).to_dict() == Card.load(file).to_dict()


def test_a_first_card_begins_with_a_model(data, start, tmp_path):
    table = Card.parse(new_card("mood", str(data), start=str(start)))
    assert (table.architecture, table.data.task) == ("bert", "classification")
    assert (table.config, table.tokenizer, table.train.start_from) == ({}, {}, str(start))
    folder = train(table, tmp_path / "out", overrides=["max_steps=1", "use_cpu=true"], quiet=True)
    assert manifest.read(folder)["made"]["start"]["version"] == "0.1.0"
    with pytest.raises(UsageError, match="--start is of texts, and genae/vae-mnist is a model of"):
        new_card("mood", str(data), start="genae/vae-mnist")
    with pytest.raises(UsageError, match="is a model of the architecture bert, not albert"):
        new_card("mood", str(data), "albert", start=str(start))
