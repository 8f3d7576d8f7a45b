"""Metrics of texts: closed forms on models whose predictions are known, floors, and the verb."""

import json
import math

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

import zoo
from tests.training.text_cards import text_card, write_rows
from zoo.data.text import load_texts, train_tokenizer
from zoo.errors import UsageError
from zoo.evaluation import METRICS, evaluate
from zoo.evaluation.measure import measure
from zoo.evaluation.metrics import translation
from zoo.evaluation.planning import Request
from zoo.evaluation.texts import TextContext
from zoo.training import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")


@pytest.fixture(scope="module")
def tokenizer(data):
    texts = load_texts(data, "train", ("text",))
    return train_tokenizer(texts["text"], "characters", 100)


def constant(model, logits):
    """A model that says the same at every place."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.cls.predictions.bias.copy_(logits)
    return model


@pytest.fixture(scope="module")
def context(data, tokenizer):
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes))
    return TextContext(model, tokenizer, text_card(data), quiet=True)


def of(context, data, name, **options):
    return measure(context, Request(name, str(data), "train", options=options))


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(context, data):
    constant(context.model, torch.zeros(context.model.config.vocab_size))
    context._latest.clear()
    found = of(context, data, "perplexity")
    assert found.measured == pytest.approx(context.model.config.vocab_size, rel=1e-5)
    assert found.options == {"num_texts": 40}


def test_the_floors_are_what_a_model_of_frequencies_measures(context, data):
    shares = context._memory.get(("unigram", str(data), None))
    if shares is None:
        of(context, data, "perplexity")
        shares = context._memory["unigram", str(data), None]
    assert shares.sum() == pytest.approx(1)
    constant(context.model, shares.log().float())
    context._latest.clear()
    perplexity, accuracy = (of(context, data, n) for n in ("perplexity", "masked_accuracy"))
    assert perplexity.measured == pytest.approx(perplexity.floor, rel=1e-5)
    assert accuracy.measured == accuracy.floor
    assert 0 < accuracy.floor < 1


def test_masks_are_those_of_the_seed_and_texts_may_be_fewer(context, data):
    requests = [Request("masked_accuracy", str(data), "train", seed=seed) for seed in (0, 0, 1)]
    counted = []
    for request in requests:
        context._latest.clear()
        measure(context, request)
        counted.append(context._latest["predictions"][1].tokens)
    assert torch.equal(counted[0], counted[1])
    assert not torch.equal(counted[0][:20], counted[2][:20])
    assert of(context, data, "perplexity", num_texts=7).options == {"num_texts": 7}
    with pytest.raises(UsageError, match="num_texts must be a whole number, at least 1"):
        of(context, data, "perplexity", num_texts=0)


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory):
    """A trained folder of each task that has a metric of its own."""
    place = tmp_path_factory.mktemp("trained")
    short = ["max_steps=1", "data.max_length=8"]
    changes = {
        "classification": ["max_steps=40"],
        "tags": [*short, "config.heads.tags.kind=token_classifier"],
        "seq2seq": short,
        "causal-lm": short,
    }
    return {
        task: train(text_card(data, task), place / task, overrides=settings, quiet=True)
        for task, settings in changes.items()
    }


def test_texts_of_the_train_split_can_be_left_out(folders, data, tmp_path):
    lines = data.read_text().splitlines()
    changed = [json.loads(line) for line in lines[:9]]
    new = [json.dumps(row | {"text": f"{row['text']} fox"}) for row in changed]
    (tmp_path / "all").mkdir()
    for split, rows in (("train", lines), ("test", [*lines[3:7], *new])):
        (tmp_path / f"all/{split}.jsonl").write_text("\n".join(rows))
    model = folders["classification"]

    def accuracy(where, split, **options):
        more = {"split": split, "options": options, "quiet": True}
        return evaluate(model, data=str(where), metrics=["accuracy"], **more)[0]

    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/train.jsonl").write_text("\n".join(new))
    wanted = accuracy(tmp_path / "alone", "train")
    found = accuracy(tmp_path / "all", "test", exclude_train_texts=True)
    assert found.measured == wanted.measured
    assert found.options == {"num_texts": 9, "exclude_train_texts": True}
    assert accuracy(tmp_path / "all", "test").options == {"num_texts": 13}
    with pytest.raises(UsageError, match=r"all texts of .* train are in its train split"):
        accuracy(tmp_path / "all", "train", exclude_train_texts=True)
    (tmp_path / "alone/train.jsonl").rename(tmp_path / "alone/test.jsonl")
    with pytest.raises(UsageError, match="has no train split whose texts could be left out"):
        accuracy(tmp_path / "alone", "test", exclude_train_texts=True)


def test_perplexity_of_a_model_that_writes_is_that_of_its_loss(folders, data):
    (found,) = evaluate(folders["causal-lm"], split="train", quiet=True)
    model = zoo.from_pretrained(folders["causal-lm"])
    context = TextContext(
        model,
        AutoTokenizer.from_pretrained(folders["causal-lm"]),
        text_card(data, "causal-lm", data="max_length = 8"),
    )
    rows = context.rows(context.read(str(data), "train"))
    nats = count = 0.0
    with torch.no_grad():
        for row in rows:  # one by one: no padding
            ids = torch.tensor([row["input_ids"]])
            if ids.shape[1] > 1:
                nats += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
                count += ids.shape[1] - 1
    assert found.measured == pytest.approx(math.exp(nats / count), rel=1e-4)
    assert found.floor > 1


def test_a_classifier_is_measured_beside_the_most_frequent_label(folders, data):
    accuracy, f1 = evaluate(folders["classification"], split="train", quiet=True)
    assert accuracy.name == "accuracy"
    common = accuracy.floor
    assert common == pytest.approx(26 / 40)
    assert f1.floor == pytest.approx(common / (1 + common))  # of two labels, one is never said
    assert accuracy.measured > common
    assert f1.measured > f1.floor
    tokens = evaluate(folders["tags"], metrics=["accuracy"], split="train", quiet=True)
    assert 0 <= tokens[0].measured <= 1
    with pytest.raises(UsageError, match="num_images is not of this model; use num_texts"):
        evaluate(folders["tags"], metrics=["accuracy"], options={"num_images": 3}, quiet=True)
    with pytest.raises(UsageError, match="perplexity measures bert, "):
        evaluate(folders["tags"], metrics=["perplexity"], quiet=True)


def test_translations_are_scored_by_sacrebleu(folders, data, monkeypatch):
    pytest.importorskip("sacrebleu")
    kept = translation.translate
    bleu, chrf, perplexity = evaluate(folders["seq2seq"], split="train", quiet=True)
    assert [m.name for m in (bleu, chrf, perplexity)] == ["bleu", "chrf", "perplexity"]
    assert 0 <= bleu.measured < 100
    assert bleu.options == {"tokenize": "13a", "num_beams": 1, "num_texts": 40}
    monkeypatch.setattr(translation, "translate", lambda *rest: (kept(*rest)[1],) * 2)
    for name in ("bleu", "chrf"):
        (perfect,) = evaluate(folders["seq2seq"], metrics=[name], split="train", quiet=True)
        assert perfect.measured == pytest.approx(100)
        assert perfect.floor < 95
    with pytest.raises(UsageError, match=r"no tokenize 'zn'; it is one of .*zh"):
        evaluate(folders["seq2seq"], metrics=["bleu"], options={"tokenize": "zn"}, quiet=True)


def test_the_verb_measures_a_folder_of_texts_and_writes_results(folders, run):
    done = run("evaluate", folders["causal-lm"], "--split", "train", "--toml", "-q")
    assert done.code == 0, done.err
    assert 'metric = "perplexity"' in done.out
    assert "# floor, the same of the frequency of tokens in the train split" in done.out
    done = run("evaluate", folders["causal-lm"], "--split", "train", "--json", "-q")
    assert json.loads(done.out)[0]["unit"] == METRICS["perplexity"].unit
    refused = run("evaluate", "genae/tiny-bert")
    assert refused.code == 2
    assert "give a data set with --data" in refused.err
