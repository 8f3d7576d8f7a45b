"""Entities, relations, tags and similarities measured as users get them, beside their floors."""

import json
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForTokenClassification

import zoo
from tests.training.text_cards import BERT, text_card, write_rows
from zoo.data.text import train_tokenizer
from zoo.data.text.annotated.normal import Entity, Relation
from zoo.errors import UsageError
from zoo.evaluation import evaluate
from zoo.evaluation.measure import measure
from zoo.evaluation.metrics.extraction import dictionary, lookup, lookup_pairs, pairs_of
from zoo.evaluation.metrics.table import defaults
from zoo.evaluation.planning import Request, check, fitting_metrics
from zoo.evaluation.texts import TextContext
from zoo.scores import (
    Counts,
    accuracy,
    character_overlap,
    label_counts,
    macro_f1,
    micro,
    spearman,
)
from zoo.training import train


def test_the_dictionary_has_the_usual_type_of_each_text():
    rows = [
        ("紐約在紐約州", [Entity(0, 2, "LOC"), Entity(3, 6, "LOC")]),
        ("紐約贏了", [Entity(0, 2, "TEAM")]),
        ("紐約", [Entity(0, 2, "LOC")]),
        ("", []),
    ]
    assert dictionary(rows) == {"紐約": "LOC", "紐約州": "LOC"}


def test_the_longest_entity_that_is_known_is_found_first_and_none_overlap():
    types = {"紐約": "LOC", "紐約時報": "ORG", "時報周刊": "ORG", "報": "X"}
    assert lookup("看紐約時報周刊在紐約", types) == [
        Entity(1, 5, "ORG"), Entity(8, 10, "LOC")
    ]  # fmt: skip
    assert lookup("沒有", types) == lookup("", types) == lookup("紐約", {}) == []


def test_known_entities_are_no_parts_of_latin_words():
    types = {"IT": "ORG", "1": "NUM", "New York": "LOC"}
    assert lookup("WITH IT, 11 IT1 New Yorkers New York", types) == [
        Entity(5, 7, "ORG"), Entity(28, 36, "LOC")
    ]  # fmt: skip
    assert lookup("在IT部", types) == [Entity(1, 3, "ORG")]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.just("T"), max_size=5),
       st.text("abc ", max_size=12))  # fmt: skip
def test_what_is_looked_up_is_known_and_in_order(types, text):
    found = lookup(text, types)
    assert all(text[one.start : one.end] in types for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_known_relations_are_found_where_both_texts_occur():
    rows = [
        ("李白作靜夜思", [Relation(0, 2, "作者", 3, 6)]),
        ("靜夜思者李白", [Relation(4, 6, "作者", 0, 3), Relation(4, 6, "朝代", 0, 3)]),
    ]
    pairs = pairs_of(rows)
    assert pairs == {"李白": {"靜夜思": ["作者", "朝代"]}}
    assert lookup_pairs("人云李白李白靜夜思", pairs) == [
        Relation(2, 4, "作者", 6, 9), Relation(2, 4, "朝代", 6, 9)
    ]  # fmt: skip
    assert lookup_pairs("李白", pairs) == lookup_pairs("靜夜思", pairs) == []


@pytest.mark.parametrize("known", [{}, {"a": {}}], ids=["nothing", "no object"])
def test_without_relations_none_are_found(known):
    assert lookup_pairs("a b", known) == []


#: What a tagger says of a character, whatever stands around it.
SAYS = {"紐": "B-LOC", "約": "I-LOC", "李": "B-PER", "白": "I-PER", "大": "B-LOC"}
#: Texts with the entities that are there; the floor knows those of the train split.
TRAIN = [("紐約很大", ["B-LOC", "I-LOC", "O", "O"]), ("李白", ["B-PER", "I-PER"]),
         ("大雁塔", ["B-LOC", "I-LOC", "I-LOC"])]  # fmt: skip
TEST = [("李白在紐約", ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]),
        ("大白鵝", ["O", "O", "O"]), ("大雁塔", ["B-LOC", "I-LOC", "I-LOC"])]  # fmt: skip


def write_tagged(folder, **splits):
    """A folder of texts whose characters have tags."""
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        lines = [json.dumps({"tokens": [*text], "tags": tags}) for text, tags in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A model that labels each character by itself, as `SAYS` has it, and its texts."""
    place = write_tagged(tmp_path_factory.mktemp("tagged") / "data", train=TRAIN, test=TEST)
    tokenizer = train_tokenizer([text for text, _ in [*TRAIN, *TEST]], "characters", 100)
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=len(labels),
        num_hidden_layers=0,
        num_attention_heads=1,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            parameter.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1)
        model.classifier.weight.copy_(torch.eye(len(labels)))
        model.classifier.bias.zero_()
        for character, number in tokenizer.get_vocab().items():
            label = labels.index(SAYS.get(character, "O"))
            model.bert.embeddings.word_embeddings.weight[number, label] = 1
    return TextContext(model, tokenizer, text_card(place, "tags"), quiet=True), place


def of(tagger, name, **options):
    context, place = tagger
    return measure(context, Request(name, str(place), "test", options=options))


def test_tags_are_judged_unit_by_unit(tagger):
    found = of(tagger, "accuracy")  # wrong of 大 in 大白鵝, whose 白 is I-PER; of 雁塔
    assert found.measured == pytest.approx(7 / 11)
    # By the train split, 大 is B-LOC, 白 I-PER, and what is not in it, as 在 and 鵝, B-LOC or O.
    assert found.by_kind["B-LOC"] == Counts(2, 3, 2)
    assert found.by_kind["O"] == Counts(2, 4, 4)
    all_but_o = of(tagger, "micro_f1")
    assert all_but_o.measured == pytest.approx(2 * 5 / (7 + 7))
    f1 = [2 * 2 / (3 + 2), 2 * 1 / (1 + 3), 2 * 1 / (1 + 1), 2 * 1 / (2 + 1), 2 * 2 / (4 + 4)]
    assert of(tagger, "macro_f1").measured == pytest.approx(sum(f1) / 5)
    assert found.options == all_but_o.options == {"num_texts": 3}


def test_entities_that_labels_spell_are_compared_whole(tagger):
    found = of(tagger, "entity_f1")
    # 李白 and 紐約 are right; 大, 白 and the 大 of 大雁塔 are none.
    assert found.by_kind == {"LOC": Counts(1, 3, 2), "PER": Counts(1, 2, 1)}
    assert found.measured == pytest.approx(2 * 2 / (5 + 3))
    # All of the train split that occur: 李白, 紐約 and 大雁塔 are all there are.
    assert found.floor == 1
    assert of(tagger, "entity_f1", num_texts=1).options == {"num_texts": 1}


def test_a_tagger_is_measured_by_what_its_labels_are(tagger):
    context, place = tagger
    fitting = ["accuracy", "macro_f1", "micro_f1", "entity_f1"]
    assert fitting_metrics(context) == fitting
    assert defaults("bert", None, context.can) == ["accuracy", "macro_f1", "entity_f1"]
    with pytest.raises(UsageError, match="triple_f1 is of a head that this 'bert' model does not"):
        check(context, Request("triple_f1", str(place), "test"))
    labels, context.model.config.id2label = context.model.config.id2label, {0: "noun", 1: "verb"}
    try:
        assert fitting_metrics(context) == fitting[:-1]
        with pytest.raises(UsageError, match=r"entity_f1: its labels \(noun, verb\) spell no ent"):
            check(context, Request("entity_f1", str(place), "test"))
    finally:
        context.model.config.id2label = labels


SHORT = ["max_steps=1", "data.max_length=16"]
POINTER = 'size = 4, threshold = -0.1, loss = "sparse"'


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of models that were hardly trained, by task, and their data."""
    place = tmp_path_factory.mktemp("trained")
    data = write_rows(place / "rows.jsonl")
    tables = {
        "entities": f'heads.of = {{kind = "efficient_global_pointer", {POINTER}}}',
        "relations": f'heads.of = {{kind = "gplinker", {POINTER}}}',
        "multilabel": "", "pairs": "",
    }  # fmt: skip
    return {
        task: train(
            text_card(data, task, config=f"{BERT}\n{table}"),
            place / task, overrides=SHORT, quiet=True,
        )
        for task, table in tables.items()
    }, data  # fmt: skip


@pytest.mark.parametrize(
    ("task", "metric"), [("entities", "entity_f1"), ("relations", "triple_f1")]
)
def test_what_the_verb_finds_is_all_right_where_it_is_what_is_true(
    trained, task, metric, tmp_path
):
    folders, data = trained
    lines = data.read_text("utf-8").splitlines()[:12]
    texts = [json.loads(line)["text"].replace(" ", "")[:7] for line in lines]
    answers = zoo.extract(folders[task], texts)
    things = [
        [{"start": e.start, "end": e.end, "type": e.type} for e in answer.entities]
        or [
            {"subject_start": r.subject.start, "subject_end": r.subject.end,
             "predicate": r.predicate,
             "object_start": r.object.start, "object_end": r.object.end}
            for r in answer.relations
        ]
        for answer in answers
    ]  # fmt: skip
    assert sum(map(len, things)) > 12
    own = tmp_path / "own.jsonl"
    rows = [{"text": text, task: each} for text, each in zip(texts, things, strict=True)]
    own.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (found,) = evaluate(folders[task], metrics=[metric], data=str(own), split="train", quiet=True)
    assert (found.measured, found.options["num_texts"]) == (1, 12)
    for row in rows[:6]:
        row[task] = []
    own.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (found,) = evaluate(folders[task], metrics=[metric], data=str(own), split="train", quiet=True)
    right, all_found = (
        len({json.dumps([at, one]) for at, each in enumerate(part) for one in each})
        for part in (things[6:], things)
    )
    assert found.measured == pytest.approx(2 * right / (right + all_found))


def test_relations_are_compared_as_they_are_written_when_asked(trained):
    folders, _ = trained
    (found,) = evaluate(
        folders["relations"], metrics=["triple_f1"], split="train",
        options={"match": "texts", "num_texts": 4}, quiet=True,
    )  # fmt: skip
    assert found.options["match"] == "texts"
    assert found.floor > 0.9  # the pairs of the same texts, but for those that are not meant
    with pytest.raises(UsageError, match="match is spans or texts, got 'words'"):
        evaluate(
            folders["relations"], metrics=["triple_f1"], options={"match": "words"}, quiet=True
        )


def test_several_labels_are_those_that_classify_gives(trained):
    folders, data = trained
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    answers = zoo.classify(folders["multilabel"], [row["text"] for row in rows])
    found = [[each.label for each in answer.labels] for answer in answers]
    true = [row["labels"] for row in rows]
    measured = evaluate(
        folders["multilabel"], metrics=["accuracy", "macro_f1", "micro_f1"], split="train",
        quiet=True,
    )  # fmt: skip
    counts = label_counts(true, found)
    expected = [accuracy(true, found), macro_f1(counts), micro(counts).f1]
    assert [each.measured for each in measured] == pytest.approx(expected)
    often = max(sum(name in labels for labels in true) for name in ("dog", "fox"))
    assert measured[2].floor == pytest.approx(2 * often / (40 + sum(map(len, true))))


def test_similarities_are_cosines_of_what_embed_gives(trained):
    folders, data = trained
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    first, second = (
        zoo.embed(folders["pairs"], [row[f"sentence{side}"] for row in rows], normalized=True)
        for side in (1, 2)
    )
    scores = [row["score"] for row in rows]
    (found,) = evaluate(folders["pairs"], split="train", quiet=True)
    assert found.name == "spearman"
    assert found.measured == pytest.approx(spearman(scores, (first * second).sum(-1).tolist()))
    overlaps = [character_overlap(row["sentence1"], row["sentence2"]) for row in rows]
    assert found.floor == pytest.approx(spearman(scores, overlaps))
