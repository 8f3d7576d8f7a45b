"""Every head of annotated texts: it learns from a card, is scored, and finds what it learned."""

import json
import random

import pytest
import torch

import zoo
from tests.training.text_cards import BERT, text_card, write_rows
from zoo import scores
from zoo.data.text import TASKS, load_texts
from zoo.errors import UsageError
from zoo.training import train
from zoo.training.recipes import build_recipe
from zoo.training.scoring import SCORES
from zoo.training.validating import validate

#: Task, and the table of its head.
HEADS = [
    ("tags", 'kind = "crf"\nlr_multiplier = 10'),
    ("tags", 'kind = "memm"\nhidden_dim = 3'),
    ("tags", 'kind = "token_classifier"'),
    ("entities", 'kind = "efficient_global_pointer"\nsize = 8\nloss = "sparse"'),
    ("entities", 'kind = "global_pointer"\nsize = 8\nloss = "dense"'),
    ("relations", 'kind = "gplinker"\nsize = 8'),
    ("relations", 'kind = "gplinker"\nsize = 8\nloss = "dense"'),
    ("relations", 'kind = "half_pointer"'),
    ("pairs", 'kind = "vectors"\npooling = "cls"'),
]
NAMES = [f"{task}-{number}" for number, (task, _) in enumerate(HEADS)]
every_head = pytest.mark.parametrize(("task", "table"), HEADS, ids=NAMES)
SIZES = BERT.replace("= 8", "= 64").replace("= 16", "= 64")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")


def card_of(data, task, table, sizes=BERT, **sections):
    return text_card(data, task, config=f"{sizes}\n[config.heads.it]\n{table}", **sections)


@every_head
def test_a_head_learns_from_its_labels_and_is_scored(data, task, table, tmp_path):
    recipe = build_recipe(card_of(data, task, table), tmp_path)
    kind = table.split('"')[1]
    assert recipe.in_words()["Texts"].startswith(f"{task}, by a head of kind {kind}: up to 16")
    material = recipe.load(quiet=True)
    torch.manual_seed(0)
    model = material.make_model()
    assert type(model).__name__ == f"Bert{TASKS[task].heads[kind].ending}"
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        losses.append(material.loss(model))
        optimizer.zero_grad()
        model.train()(**material.inputs("cpu")).loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    material.finish(model)
    rows = list(material.rows)[:8]
    if kind == "half_pointer":
        with pytest.raises(UsageError, match="choose metric_for_best_model = 'validation_loss'"):
            validate(model, task, rows, lambda part: material._batch(part, "cpu"))
        return
    found = validate(model, task, rows, lambda part: material._batch(part, "cpu"))
    assert found.keys() == {"validation_loss", *SCORES[task].names}


@pytest.mark.parametrize(("task", "table"), HEADS[3:7], ids=NAMES[3:7])
def test_labels_that_are_found_score_1(data, task, table, tmp_path):
    material = build_recipe(card_of(data, task, table), tmp_path).load(quiet=True)
    model, inputs = material.make_model(), material.inputs("cpu")
    outputs = model.eval()(**inputs)
    true = [one for one, _ in SCORES[task].pairs(model, outputs, inputs)]
    assert any(true)
    (score,) = SCORES[task].scores(true, true).values()
    assert score == 1
    assert SCORES[task].scores(true, [[] for _ in true]).popitem()[1] == 0


def test_a_table_that_its_class_does_not_read_is_refused(data, tmp_path):
    wrong = card_of(data, "classification", 'kind = "classifier"\npooling = "mean"')
    with pytest.raises(UsageError, match=r"reads nothing of .*architecture = 'genae_bert'"):
        build_recipe(wrong, tmp_path)
    with pytest.raises(UsageError, match="entities is not learned by a head of kind 'crf'; there"):
        build_recipe(card_of(data, "entities", 'kind = "crf"'), tmp_path)
    two = 'kind = "crf"\n[config.heads.other]\nkind = "crf"'
    with pytest.raises(UsageError, match="heads has it, other, and tags trains"):
        build_recipe(card_of(data, "tags", two), tmp_path)


def test_several_labels_by_the_loss_of_all_at_once(data, tmp_path):
    table = 'kind = "classifier"\npooling = "mean"\nloss = "multilabel_cross_entropy"'
    card = text_card(data, "multilabel", architecture="genae_bert",
                     config=f"{BERT}\n[config.heads.it]\n{table}")  # fmt: skip
    material = build_recipe(card, tmp_path).load(quiet=True)
    model = material.make_model()
    assert model.settings.activation == "linear"
    assert material.loss(model) > 0
    rows = list(material.rows)[:8]
    found = validate(model, "multilabel", rows, lambda part: material._batch(part, "cpu"))
    assert {"accuracy", "micro_f1", "macro_f1"} < found.keys()


def test_a_model_of_pairs_has_the_pooling_that_it_learned(data, tmp_path):
    folder = train(
        card_of(data, "pairs", 'kind = "vectors"\npooling = "cls"'),
        tmp_path / "out", overrides=["max_steps=1"], quiet=True,
    )  # fmt: skip
    texts = ["the lazy dog", "a quick red fox"]
    usual = zoo.embed(folder, texts)
    assert torch.equal(usual, zoo.embed(folder, texts, pooling="cls"))
    assert not torch.equal(usual, zoo.embed(folder, texts, pooling="last-avg"))


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Twenty Chinese texts with people, places, and who is where."""
    draw = random.Random(2)
    people, places = ["张三", "李小四", "王五", "欧阳修"], ["北京", "上海市", "厦门", "金门岛"]
    rows = []
    for number in range(20):
        who, where = draw.choice(people), draw.choice(places)
        form = ["{}昨天去了{}。", "听说{}住在{},是吗?", "早上{}在{}开会!"][number % 3]
        text = form.format(who, where)
        spans = [(text.index(one), len(one), kind) for one, kind in ((who, "PER"), (where, "LOC"))]
        rows.append(
            {
                "text": text,
                "entities": [
                    {"start": at, "end": at + length, "type": kind} for at, length, kind in spans
                ],
                "spo_list": [
                    {"subject": who, "predicate": "去" if "去" in text else "在", "object": where}
                ],
            }
        )
    file = tmp_path_factory.mktemp("marked") / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file, rows


@pytest.mark.slow
@pytest.mark.parametrize(("task", "table"), HEADS[:-1], ids=NAMES[:-1])
def test_what_was_learned_is_found(marked, task, table, tmp_path):
    file, rows = marked
    overrides = ["max_steps=150", "train.per_device_train_batch_size=20"]
    card = card_of(file, task, table, SIZES)
    folder = train(card, tmp_path / "out", overrides=overrides, quiet=True)
    texts = load_texts(file, "train", ("text",))["text"]
    if task == "relations":
        true = [{(s["subject"], s["predicate"], s["object"]) for s in row["spo_list"]}
                for row in rows]  # fmt: skip
        found = [
            {(one.subject.text, one.predicate, one.object.text) for one in each.relations}
            for each in zoo.extract(folder, texts)
        ]
        counts = scores.relation_counts(true, found)
    else:
        ask = zoo.tag if task == "tags" else zoo.extract
        true = [{(e["type"], e["start"], e["end"]) for e in row["entities"]} for row in rows]
        found = [{(e.type, e.start, e.end) for e in each.entities} for each in ask(folder, texts)]
        counts = scores.entity_counts(true, found)
    assert scores.micro(counts).f1 == 1
