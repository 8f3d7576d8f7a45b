"""Annotated texts: every public form of files, and what becomes of them, token by token."""

# ruff: noqa: RUF001 (Chinese punctuation)

from itertools import pairwise
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.text import TASKS, TextOptions, train_tokenizer
from zoo.data.text.annotated.normal import Entity, Relation, Tag, disjoint, join, spell
from zoo.data.text.annotated.reading import Reading, load_annotated
from zoo.data.text.marked_collators import EntitiesCollator, SubjectCollator
from zoo.data.text.marking import encode_entities, encode_tags
from zoo.data.text.masking import IGNORED
from zoo.data.text.parts import pieces
from zoo.data.text.schemes import SCHEMES, complete, follows, read_entities, scheme_of
from zoo.errors import NotFoundError, UsageError
from zoo.models.text.losses_multilabel import pointer_loss, sparse_pointer_loss

HEADS = Path(__file__).resolve().parents[2] / "fixtures" / "heads"
#: Files in the forms in which data sets are published: name, content, and what is read.
FORMS = {
    "msra": (
        "msra_train_bio.txt",
        "当 O\n希 O\n望 O\n\n中\tB-ORG\n共\tI-ORG\n在 O\n北 B-LOC\n京 I-LOC\n",
        [("当希望", []), ("中共在北京", [(0, 2, "ORG"), (3, 5, "LOC")])],
    ),
    "people's daily": (
        "example.train",
        "海 O\n钓 O\n厦 B-LOC\n门 I-LOC\n\n\n金 B-LOC\n门 I-LOC\n。 O",
        [("海钓厦门", [(2, 4, "LOC")]), ("金门。", [(0, 2, "LOC")])],
    ),
    "conll 2003": (
        "eng.conll",
        "-DOCSTART- -X- -X- O\n\nPeter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER\n\n"
        "BRUSSELS NNP B-NP B-LOC\n1996-08-22 CD I-NP O\n",
        [("Peter Blackburn", [(0, 15, "PER")]), ("BRUSSELS 1996-08-22", [(0, 8, "LOC")])],
    ),
    "resume": (
        "train.char.bmes",
        "常 B-NAME\n建 M-NAME\n良 E-NAME\n男 O\n汉 S-RACE\n",
        [("常建良男汉", [(0, 3, "NAME"), (4, 5, "RACE")])],
    ),
    "cluener": (
        "train.json",
        '{"text": "彭小军认为，国内银行现在走的是台湾的发卡模式，", "label": {"address": {"台湾": '
        '[[15, 16]]}, "name": {"彭小军": [[0, 2]]}}}\n{"text": "没有"}\n',
        [
            (
                "彭小军认为，国内银行现在走的是台湾的发卡模式，",
                [(0, 3, "name"), (15, 17, "address")],
            ),
            ("没有", []),
        ],
    ),
    "cmeee": (
        "CMeEE_train.json",
        '[{"text": "（5）房室结消融和起搏器植入", "entities": [{"start_idx": 3, "end_idx": 7, '
        '"type": "pro", "entity": "房室结消融"}]}]',
        [("（5）房室结消融和起搏器植入", [(3, 8, "pro")])],
    ),
    "cmeee 2": (
        "CMeEE-V2_train.json",
        '[{"text": "苯丙酮尿症筛查", "entities": [{"start_idx": 0, "end_idx": 5, "type": "dis", '
        '"entity": "苯丙酮尿症"}]}]',
        [("苯丙酮尿症筛查", [(0, 5, "dis")])],
    ),
    "ccks": (
        "ccks.jsonl",
        '{"originalText": "患者腹痛。", "entities": [{"label_type": "症状", "start_pos": 2, '
        '"end_pos": 4}, {"label_type": "句", "start_pos": 0, "end_pos": 5}]}',
        [("患者腹痛。", [(0, 5, "句"), (2, 4, "症状")])],
    ),
    "doccano": (
        "doccano.jsonl",
        '{"text": "EU rejects", "label": [[0, 2, "ORG"], [3, 10, "V"]]}',
        [("EU rejects", [(0, 2, "ORG"), (3, 10, "V")])],
    ),
    "hub": (
        "hub.jsonl",
        '{"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}',
        [("EU rejects", [(0, 2, "ORG")])],
    ),
}


def read(place, kind, told=None, **said):
    """The rows of a file as texts and tuples."""
    note = None if told is None else told.append
    table = load_annotated(str(place), "train", kind, Reading(**said), note=note)
    return [(row["text"], [tuple(one.values()) for one in row[kind]]) for row in table]


@pytest.mark.parametrize("form", FORMS)
def test_entities_of_every_public_form(form, write):
    name, content, expected = FORMS[form]
    assert read(write(name, content), "entities") == expected


@pytest.mark.parametrize("form", FORMS)
def test_tags_of_every_public_form_spell_the_same_entities(form, write):
    name, content, expected = FORMS[form]
    for (text, tags), (_, spans) in zip(read(write(name, content), "tags"), expected, strict=True):
        found = [
            (tags[first][0], tags[last][1], kind)
            for kind, first, last in read_entities([label for *_, label in tags])
        ]
        kept, _ = disjoint([Entity(*span) for span in spans])
        assert found == [tuple(span) for span in kept]
        assert "".join(text[start:end] for start, end, _ in tags) == text.replace(" ", "")


def test_words_apart_by_spaces_are_tags_of_characters(write):
    file = write("pku_training.utf8", "迈向  充满  希望  的  新  世纪  \n中共中央  总书记  、\n")
    (_, first), (text, tags) = read(file, "tags")
    assert "".join(label for *_, label in first) == "BEBEBESSBE"
    assert (text, "".join(label for *_, label in tags)) == ("中共中央总书记、", "BMMEBMES")
    (_, first), _ = read(file, "tags", scheme="BIO")
    assert "".join(label for *_, label in first) == "BIBIBIBBBI"


RELATED = [
    ("a.json", '{"text": "《网游》，作者是江山", "spo_list": [{"predicate": "作者", '
     '"object_type": "人物", "subject_type": "图书", "object": "江山", "subject": "网游"}]}',
     [(1, 3, "作者", 8, 10)]),
    ("b.json", '{"text": "王菲唱《红豆》在春晚", "spo_list": [{"predicate": "歌手", '
     '"subject": "红豆", "object": {"@value": "王菲", "onDate": "春晚"}}]}',
     [(4, 6, "歌手", 0, 2), (4, 6, "歌手_onDate", 8, 10)]),
    ("c.jsonl", '{"text": "倪金德，1916年生", "spo_list": [{"predicate": "生于", '
     '"subject": [0, 3], "object": [4, 9]}, {"predicate": "x", '
     '"subject": [0, 3], "object": [4, 10]}]}',
     [(0, 3, "x", 4, 10), (0, 3, "生于", 4, 9)]),
    ("d.jsonl", '{"text": "发动机盖抖动", "spo_list": [{"h": {"name": "发动机盖", "pos": [0, 4]}, '
     '"t": {"name": "抖动", "pos": [4, 6]}, "relation": "故障"}]}',
     [(0, 4, "故障", 4, 6)]),
    ("e.jsonl", '{"text": "Ann met Bob", "entities": [{"id": 1, "label": "P", "start_offset": 0, '
     '"end_offset": 3}, {"id": 2, "label": "P", "start_offset": 8, "end_offset": 11}], '
     '"relations": [{"id": 9, "from_id": 1, "to_id": 2, "type": "met"}]}',
     [(0, 3, "met", 8, 11)]),
    ("f.jsonl", '{"text": "a b", "triples": [["a", "r", "b"]]}', [(0, 1, "r", 2, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "expected"), RELATED, ids=[name for name, *_ in RELATED]
)
def test_relations_of_every_public_form(name, content, expected, write):
    ((_, found),) = read(write(name, content), "relations")
    assert found == expected


def test_normal_form_is_read_as_it_is(write):
    rows = [{"text": "ab cd", "entities": [{"start": 0, "end": 2, "type": "x"}]}]
    table = datasets.Dataset.from_list(rows)
    options = TextOptions(labels=("x",))
    tokenizer = train_tokenizer(["ab cd"], "characters", 50)
    (row,) = TASKS["entities"].prepare(table, tokenizer, options)
    assert row["spans"] == [0, 1, 2]
    file = write("a.parquet", b"")
    table.to_parquet(file)
    assert read(file, "entities") == [("ab cd", [(0, 2, "x")])]


TOLD = [
    ("a.txt", "a O\nb I-X\n", "tags", {},
     ["read as columns", "1 tags do not follow their scheme"]),
    ("a.jsonl", '{"text": "abc", "entities": [[0, 2, "x"]]}', "entities", {},
     ["ends of spans are taken as exclusive, since nothing tells; data.ends = 'inclusive'"]),
    ("a.jsonl", '{"text": "abc", "entities": [[0, 0, "x"]]}', "entities", {},
     ["taken as inclusive, since some have one place for both; data.ends = 'exclusive'"]),
    ("a.jsonl", '{"text": "abc", "entities": [[1, 1, "x"]]}', "entities", {"ends": "exclusive"},
     ["1 spans have no characters, and are left out"]),
    ("a.jsonl", '{"text": "abcd", "entities": [{"start": 0, "end": 2, "type": "x", "text": "ab"},'
     '{"start": 1, "end": 3, "type": "x", "text": "zz"}]}', "entities", {},
     ["1 spans are not the text that is written beside them"]),
    ("a.jsonl", '{"text": "abc", "entities": [[0, 3, "x"], [1, 2, "y"]]}', "tags", {},
     ["1 spans overlap others, longer ones"]),
    ("a.jsonl", '{"text": "ab", "spo_list": [{"subject": "z", "predicate": "p", "object": "b"}]}',
     "relations", {}, ["1 subjects or objects do not occur in their text"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "kind", "said", "expected"), TOLD)
def test_what_is_odd_is_counted_and_told(name, content, kind, said, expected, write):
    told: list[str] = []
    read(write(name, content), kind, told, **said)
    assert len(told) == len(expected)
    for line, part in zip(told, expected, strict=True):
        assert part in line
        assert "the first:" in line or "ends" in line or name in line


REFUSED = [
    ("a.txt", "one word\nmore\n\nwords of\n\tthis\n", "tags", {}, "neither columns .* layout ="),
    ("a.conll", "a O\nb\n", "tags", {}, r"line 2: 'b' has 1 column,.* 2 columns as before; mend"),
    ("a.conll", b"a O\n\xff O\n", "tags", {}, "is not UTF-8 .byte 0xff."),
    ("a.jsonl", '{"text": "ab"}\n{"text": ', "entities", {}, "line 2: is not JSON"),
    ("a.jsonl", "[1]", "entities", {}, "item 0: is 1, not an object"),
    ("a.jsonl", '{"text": "ab"}', "entities", {}, "line 1: has no entities, only text; name"),
    ("a.jsonl", '{"text": 3, "entities": []}', "entities", {}, "line 1: 3 is no text"),
    ("a.jsonl", '{"text": "ab", "entities": [[0, 9, "x"]]}', "entities", {},
     r"line 1: the span 0 to 9 \(x\) reaches outside its text of 2 characters"),
    ("a.jsonl", '{"text": "ab", "entities": [[0, "x"]]}', "entities", {}, "is no span of a type"),
    ("a.jsonl", '{"text": "ab", "entities": [[0, "1", "x"]]}', "entities", {}, "no span of a"),
    ("a.jsonl", '{"text": "ab", "relations": [{"subject": "a"}]}', "relations", {}, "no relation"),
    ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["N"]}', "tags", {}, "2 words and 1 labels"),
    ("a.jsonl", '{"tokens": ["a"], "tags": ["N"]}', "entities", {}, "spell no entities .N.; B-L"),
    ("a.jsonl", '{"text": "a", "mine": []}', "entities", {"label": "other"}, "in 'other', only"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "kind", "said", "expected"), REFUSED)
def test_what_is_wrong_is_said_with_its_place(name, content, kind, said, expected, write):
    with pytest.raises(UsageError, match=expected) as caught:
        read(write(name, content), kind, **said)
    assert "\n" not in str(caught.value)


def test_folders_have_splits(write, tmp_path):
    write("set/train.txt", "a B\nb O\n")
    write("set/dev.txt", "c B\n\nd O\n")
    place = str(tmp_path / "set")
    assert [text for text, _ in read(place, "tags")] == ["ab"]
    table = load_annotated(place, "validation[1:]", "tags", Reading())
    assert table["text"] == ["d"]
    with pytest.raises(UsageError, match="has no split 'test', only"):
        load_annotated(place, "test", "tags", Reading())
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="has no files"):
        load_annotated(str(tmp_path / "empty"), "train", "tags", Reading())


def test_annotated_texts_at_an_address_are_those_of_the_files(write):
    memory = fsspec.filesystem("memory")
    row = '{"text": "ab", "entities": [{"start": 0, "end": 1, "type": "X"}]}'
    for name, content in (
        ("ner/ner.train", "a B\nb O\n"),
        ("ner/ner.dev", "c B\n\nd O\n"),
        ("ner/README", "not read"),
        ("lines/train.jsonl", row),
    ):
        memory.put(str(write(name, content)), f"/annotated/{name}")
    there = load_annotated("memory://annotated/ner", "validation[1:]", "tags", Reading())
    assert list(there["text"]) == ["d"]
    assert len(load_annotated("memory://annotated/lines", "train", "entities", Reading())) == 1
    with pytest.raises(UsageError, match="has no split 'test', only"):
        load_annotated("memory://annotated/ner", "test", "tags", Reading())


def test_units_are_joined_as_they_are_written():
    assert join(["他", "用", "Mac", "OS", "。"])[0] == "他用Mac OS。"
    assert join(["Peter", "'s", "dog"])[0] == "Peter 's dog"
    assert join(list("iPhone12")) == ("iPhone12", [(at, at + 1) for at in range(8)])


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_is_known_by_its_labels_and_read_back(name):
    scheme = SCHEMES[name]
    labels = [label for length in (1, 2, 4) for label in scheme.spell("A", length)]
    assert scheme_of({*labels, "O"}) == scheme
    assert set(labels) <= set(complete(labels, scheme))
    assert [last - first for _, first, last in read_entities(labels)] == [0, 1, 3]
    assert all(follows(*pair) for pair in pairwise(labels))
    assert scheme_of(["N", "V"]) is None


@pytest.fixture(scope="module")
def tokenizers(poems):
    texts = [*poems, "a１ 2😀bc 😀"]
    return [train_tokenizer(texts, "characters", 500), train_tokenizer(texts, "bytes", 300),
            train_tokenizer(texts, "wordpiece", 120)]  # fmt: skip


LETTERS = st.text("月光ab １2😀。! \n", min_size=1, max_size=40)
SPANS = st.lists(st.tuples(st.integers(0, 39), st.integers(1, 5), st.sampled_from("xy")))


def entities_in(text, spans):
    """Spans of a text, without white space at their ends."""
    found = set()
    for start, length, kind in spans:
        inner = text[start : start + length]
        if inner.strip():
            begin = start + len(inner) - len(inner.lstrip())
            found.add(Entity(begin, begin + len(inner.strip()), kind))
    return sorted(found)


def as_cell(marks):
    return [one._asdict() for one in marks]


@settings(max_examples=30, deadline=None)
@given(LETTERS, SPANS, st.sampled_from([9, 128]), st.integers(0, 2))
def test_spans_come_back_from_tokens(tokenizers, text, spans, max_length, which):
    tokenizer, wanted = tokenizers[which], entities_in(text, spans)
    options = TextOptions(labels=("x", "y"), max_length=max_length)
    rows = encode_entities([[text], [as_cell(wanted)]], tokenizer, options)
    (parts,) = pieces(tokenizer, [text], max_length)
    found = set()
    for part, flat in zip(parts, rows["spans"], strict=True):
        for kind, first, last in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            assert part.inner.start <= first <= last < part.inner.stop
            start, end = part.places[first][0], part.places[last][1]
            inner = text[start:end]
            begin = start + len(inner) - len(inner.lstrip())
            found.add(Entity(begin, begin + len(inner.strip()), options.labels[kind]))
    # Every span is there, or counted: wider than it was, or whole in no part.
    bent, lost = sum(rows["bent"]), sum(rows["lost"])
    assert len(found - set(wanted)) <= bent
    assert len(set(wanted) - found) <= bent + lost
    assert max(map(len, rows["input_ids"])) <= max_length
    if which == 0 and max_length == 128:
        assert found == set(wanted)


@settings(max_examples=30, deadline=None)
@given(LETTERS, SPANS, st.sampled_from([*SCHEMES]), st.sampled_from([9, 128]), st.integers(0, 2))
def test_tags_come_back_from_tokens(tokenizers, text, spans, name, max_length, which):
    tokenizer, scheme = tokenizers[which], SCHEMES[name]
    wanted, _ = disjoint(entities_in(text, spans))
    labels = complete(["B-x", "B-y"], scheme)
    options = TextOptions(labels=labels, max_length=max_length, head={"kind": "crf"})
    rows = encode_tags([[text], [as_cell(spell(text, wanted, scheme))]], tokenizer, options)
    (parts,) = pieces(tokenizer, [text], max_length)
    names: list[str] = []
    places: list[tuple[int, int]] = []
    for part, row in zip(parts, rows["labels"], strict=True):
        assert row[: part.inner.start] == [0] * part.inner.start
        assert len(row) == len(part.places)
        names += [labels[row[at]] for at in part.own]
        places += [part.places[at] for at in part.own]
    found = []
    for kind, first, last in read_entities(names):
        start, end = places[first][0], places[last][1]
        inner = text[start:end]
        begin = start + len(inner) - len(inner.lstrip())
        found.append(Entity(begin, begin + len(inner.strip()), kind))
    if not sum(rows["bent"]) and not sum(rows["lost"]):
        assert found == wanted
    else:
        assert which


def test_tokens_of_several_characters_are_tagged_whole():
    tokenizer = train_tokenizer(["x2020年 abab"] * 9, "wordpiece", 99)
    ids = tokenizer("2020年", add_special_tokens=False).tokens()
    assert len(ids) < 5
    tags = [Tag(at, at + 1, label) for at, label in enumerate("BMMES")]
    options = TextOptions(labels=complete("BMES", SCHEMES["BMES"]), head={"kind": "crf"})
    rows = encode_tags([["2020年"], [as_cell(tags)]], tokenizer, options)
    names = [options.labels[each] for each in rows["labels"][0]]
    expected = SCHEMES["BMES"].spell("", len(ids) - 1)
    assert names == ["S", *expected, "S", "S"]  # both ends as single, as there is no O
    plain = TextOptions(labels=("N", "V"), head={"kind": "token_classifier"})
    rows = encode_tags([["ab 年"], [as_cell([Tag(0, 2, "V"), Tag(3, 4, "N")])]], tokenizer, plain)
    assert rows["labels"][0][0] == rows["labels"][0][-1] == IGNORED
    assert set(rows["labels"][0][1:-2]) == {1}


def rows_of(task, table, tokenizer, **options):
    made = TASKS[task].options("", options)
    made = TextOptions(**{**made.__dict__, "labels": TASKS[task].classes(table, made)})
    rows = TASKS[task].prepare(table, tokenizer, made)
    return list(rows), TASKS[task].collator(tokenizer, made)


def test_relations_become_the_labels_of_three_pointers(characters):
    marks = [Relation(0, 2, "p", 3, 4), Relation(0, 2, "q", 3, 4), Relation(1, 2, "p", 4, 5)]
    table = datasets.Dataset.from_list(
        [{"text": "月光月光月", "relations": as_cell(marks)}, {"text": "月", "relations": []}]
    )
    rows, collator = rows_of("relations", table, characters)
    assert rows[0]["spans"] == [1, 2, 0, 4, 4, 1, 2, 1, 4, 4, 2, 2, 0, 5, 5]
    labels = collator(rows)["labels"]
    assert labels["entity"].tolist()[0] == [[[1, 2], [2, 2]], [[4, 4], [5, 5]]]
    assert labels["head"].tolist()[0] == [[[1, 4], [2, 5]], [[1, 4], [0, 0]]]
    assert labels["tail"].tolist()[0] == [[[2, 4], [2, 5]], [[2, 4], [0, 0]]]
    assert not any(labels[name][1].any() for name in labels)
    dense = {"kind": "gplinker", "head": {"loss": "dense"}}
    rows, collator = rows_of("relations", table, characters, head=dense)
    labels = collator(rows)["labels"]
    assert labels["head"].nonzero().tolist() == [[0, 0, 1, 4], [0, 0, 2, 5], [0, 1, 1, 4]]
    assert labels["tail"].shape == (2, 2, 2, 2)


def test_a_half_pointer_learns_the_objects_of_a_subject_that_is_drawn(characters):
    marks = [Relation(0, 1, "p", 3, 5), Relation(2, 3, "q", 0, 1), Relation(2, 3, "q", 3, 4)]
    table = datasets.Dataset.from_list(
        [{"text": "月光月光月", "relations": as_cell(marks)}, {"text": "月", "relations": []}]
    )
    rows, collator = rows_of("relations", table, characters, head={"kind": "half_pointer"})
    assert isinstance(collator, SubjectCollator)
    padded = collator.pad(rows)
    seen = {}
    for seed in range(20):
        made = collator.finish(padded, torch.Generator().manual_seed(seed))
        again = collator.finish(padded, torch.Generator().manual_seed(seed))
        assert torch.equal(made["subject_ids"], again["subject_ids"])
        assert made["subject_ids"][1].tolist() == [0, 0]
        assert made["labels"]["subject"].nonzero().tolist() == [
            [0, 1, 0], [0, 1, 1], [0, 3, 0], [0, 3, 1]
        ]  # fmt: skip
        subject = tuple(made["subject_ids"][0].tolist())
        seen[subject] = made["labels"]["object"].nonzero().tolist()
    assert seen == {
        (1, 1): [[0, 4, 0, 0], [0, 5, 0, 1]],
        (3, 3): [[0, 1, 1, 0], [0, 1, 1, 1], [0, 4, 1, 0], [0, 4, 1, 1]],
        (1, 3): [],  # a start and an end of different ones, as in bert4keras's recipe
    }


@pytest.mark.parametrize("name", ["ner_efficient_global_pointer", "ner_global_pointer"])
def test_labels_of_pointers_give_the_recorded_losses(name, characters):
    recorded = np.load(HEADS / f"{name}.npz")
    logits = torch.tensor(recorded["out_logits"])
    rows = [
        {
            "input_ids": [7] * logits.shape[-1],
            "spans": [
                int(number)
                for head, slots in enumerate(each)
                for start, end in slots
                if start or end
                for number in (head, start, end)
            ],
        }
        for each in recorded["labels"]
    ]
    labels = tuple(map(str, range(logits.shape[1])))
    for kind, loss in (("dense", pointer_loss), ("sparse", sparse_pointer_loss)):
        collator = EntitiesCollator(characters, TextOptions(labels=labels, head={"loss": kind}))
        found = loss(logits, collator(rows)["labels"])
        torch.testing.assert_close(
            found, torch.tensor(recorded[f"out_loss_{kind}"]), rtol=2e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    ("cells", "separator", "names", "expected"),
    [
        ([["b", "a"], [], ["b"]], None, ("a", "b"), [[1, 1], [0, 0], [0, 1]]),
        (["b|a, c", "", "b"], None, ("a, c", "b"), [[1, 1], [0, 0], [0, 1]]),
        (["b, a", "a", "b"], None, ("a", "b"), [[1, 1], [1, 0], [0, 1]]),
        (["b;a", "a", "b"], ";", ("a", "b"), [[1, 1], [1, 0], [0, 1]]),
        ([[2, 0], [0], [1]], None, ("0", "1", "2"), [[1, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)
def test_a_text_may_have_several_labels(cells, separator, names, expected, characters):
    table = datasets.Dataset.from_dict({"text": ["月", "光", "月光"], "labels": cells})
    rows, collator = rows_of("multilabel", table, characters, separator=separator)
    assert collator.options.labels == names
    assert collator(rows)["labels"].tolist() == expected


def test_both_texts_of_a_pair_follow_each_other(characters):
    columns = {"sentence1": ["月", "光", " "], "sentence2": ["光月", "月", "月"]}
    table = datasets.Dataset.from_dict({**columns, "label": [1, 0.5, 0]})
    rows, collator = rows_of("pairs", table, characters)
    batch = collator(rows)
    wanted = [characters(text)["input_ids"] for text in ("月", "光月", "光", "月")]
    assert [
        ids[: len(each)] for ids, each in zip(batch["input_ids"].tolist(), wanted, strict=True)
    ] == wanted
    assert batch["labels"].tolist() == [1, 0.5]
    with pytest.raises(UsageError, match="label has 'good' where a number should be"):
        rows_of(
            "pairs", datasets.Dataset.from_dict({**columns, "label": ["good"] * 3}), characters
        )
