"""`zoo.classify`, `zoo.tag` and `zoo.extract`, and what their verbs print."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import transformers

import convert
import zoo
from convert.heads.labels import read_heads
from zoo.advice import verb_for
from zoo.data.text.parts import SENTENCE_END, cut
from zoo.data.text.schemes import read_entities, spells_entities
from zoo.errors import ConflictError, MissingDependencyError, NotFoundError, UsageError
from zoo.labeling import reading
from zoo.labeling.answers import Relation, Span
from zoo.labeling.tagging import iter_tagged
from zoo.models import (
    BertForEntityPointers,
    BertForMEMMTokenClassification,
    BertForMultiTask,
    BertForRelationPointers,
)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "finetuned"
TEXTS = ["我国中人的", "the play 1", "", "大上我在不了有和这大大上我在不了有 play", "A b,c。"]
LONG = "我国中人的。大上我在,不了有和这大!" * 6


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A converted CRF of BIO labels, which reads 24 tokens."""
    out = tmp_path_factory.mktemp("labeling") / "crf"
    labels = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    heads = read_heads(["crf"], ["lr_multiplier=1000"], None)
    convert.convert_checkpoint(
        FIXTURES / "ner_crf/tf_format/best_model.weights", out,
        config=FIXTURES / "ner_crf/bert_config.json", family="bert", options={"heads": heads},
        vocab=FIXTURES / "ner_crf/vocab.txt",
    )  # fmt: skip
    file = out / "config.json"
    config = json.loads(file.read_text("utf-8"))
    config |= {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }
    file.write_text(json.dumps(config), "utf-8")
    (out / "manifest.json").unlink()  # the labels came later
    return out


@pytest.fixture(scope="module")
def related(tmp_path_factory):
    """A converted half pointer."""
    out = tmp_path_factory.mktemp("labeling") / "half"
    convert.convert_checkpoint(
        FIXTURES / "relation_half_pointer/tf_format/best_model.weights", out,
        config=FIXTURES / "relation_half_pointer/bert_config.json", family="bert",
        options={"heads": read_heads(["half_pointer"], None, None)},
        vocab=FIXTURES / "relation_half_pointer/vocab.txt",
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def made(tagger, tmp_path_factory):
    """`made("name")`: the tagger's backbone with another head, drawn at random."""
    folder = tmp_path_factory.mktemp("labeling")
    config = transformers.BertConfig(
        vocab_size=70, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=24, initializer_range=1.0,
    )  # fmt: skip
    several = {"problem_type": "multi_label_classification", "num_labels": 3}
    tables = {
        "topic": {"kind": "classifier", "labels": ["x", "y", "z"]},
        "slots": {"kind": "crf", "labels": ["B", "I", "O"]},
        "words": {"kind": "token_classifier", "num_labels": 2, "activation": "sigmoid"},
    }
    classes = {
        "classes": (transformers.BertForSequenceClassification, {"num_labels": 3}),
        "sets": (transformers.BertForSequenceClassification, several),
        "number": (transformers.BertForSequenceClassification, {"num_labels": 1}),
        "tokens": (transformers.BertForTokenClassification, {"num_labels": 4}),
        "entities": (BertForEntityPointers, {"heads": {"it": {
            "kind": "global_pointer", "size": 4, "labels": ["A", "B"]}}}),
        "linked": (BertForRelationPointers, {"heads": {"it": {
            "kind": "gplinker", "size": 4, "labels": ["P", "Q"], "threshold": -6.0}}}),
        "markov": (BertForMEMMTokenClassification, {"heads": {"it": {
            "kind": "memm", "hidden_dim": 2, "labels": ["B-X", "I-X", "O"]}}}),
        "many": (BertForMultiTask, {"heads": tables}),
    }  # fmt: skip

    def make(name):
        if not (out := folder / name).exists():
            torch.manual_seed(0)
            kind, settings = classes[name]
            kind(type(config)(**config.to_diff_dict() | settings)).save_pretrained(out)
            for file in tagger.glob("*token*"):
                shutil.copy(file, out)
        return out

    return make


@cache
def loaded(folder):
    return zoo.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)


def outputs_of(folder, *texts):
    """What the model itself gives for a text or a pair, and the tokenizer's encoding."""
    model, tokenizer = loaded(folder)
    inputs = tokenizer(*texts, return_tensors="pt")
    with torch.no_grad():
        return model, model(**inputs), inputs["attention_mask"], inputs.encodings[0]


def test_labels_of_texts_are_those_of_the_model_itself(made):
    found = zoo.classify(made("classes"), TEXTS, number=3)
    assert [one.text for one in found] == TEXTS
    for one in found:
        _, output, _, _ = outputs_of(made("classes"), one.text)
        wanted = output.logits[0].softmax(-1)
        order = wanted.argsort(descending=True).tolist()
        assert [each.label for each in one.labels] == [f"LABEL_{place}" for place in order]
        assert [each.probability for each in one.labels] == pytest.approx(
            wanted[order].tolist(), abs=2e-6
        )
    best = zoo.classify(made("classes"), TEXTS)
    assert [one.labels for one in best] == [one.labels[:1] for one in found]


def test_pairs_are_read_as_pairs(made):
    ((first, second), other) = pairs = [("我国", "the play"), ("the play", "我国")]
    found = zoo.classify(made("classes"), pairs)
    assert [(one.text, one.second) for one in found] == [(first, second), other]
    _, output, _, _ = outputs_of(made("classes"), first, second)
    (label,) = found[0].labels
    assert label.probability == pytest.approx(output.logits.softmax(-1).max().item(), abs=2e-6)


def test_several_labels_may_hold(made):
    least = zoo.classify(made("sets"), TEXTS, threshold=0)
    for one in least:
        _, output, _, _ = outputs_of(made("sets"), one.text)
        wanted = output.logits[0].sigmoid().sort(descending=True).values
        assert [each.probability for each in one.labels] == pytest.approx(
            wanted.tolist(), abs=2e-6
        )
    for one, all_of_it in zip(zoo.classify(made("sets"), TEXTS), least, strict=True):
        assert one.labels == [each for each in all_of_it.labels if each.probability >= 0.5]


@pytest.mark.parametrize("name", ["classes", "tokens", "entities", "tagger"])
def test_answers_do_not_depend_on_the_batch(name, made, tagger):
    verb = {"classes": zoo.classify, "entities": zoo.extract}.get(name, zoo.tag)
    folder = tagger if name == "tagger" else made(name)
    texts = [*TEXTS, LONG]
    alone, together = (verb(folder, texts, batch_size=size) for size in (1, 4))
    assert [one.text for one in alone] == texts
    for one, other in zip(alone, together, strict=True):
        if name == "classes":
            assert one.labels[0].label == other.labels[0].label
            one, other = (each.labels[0].probability for each in (one, other))
            assert one == pytest.approx(other, abs=2e-6)
        else:
            assert one == other


def test_a_text_that_is_cut_off_is_marked(made):
    whole, short = zoo.classify(made("classes"), [LONG, TEXTS[0]])
    assert (whole.truncated, short.truncated) == (True, False)
    (begun,) = zoo.classify(made("classes"), [LONG[:22]])
    assert (begun.labels, begun.truncated) == (whole.labels, False)
    (shorter,) = zoo.classify(made("classes"), [LONG], max_length=10)
    (begun,) = zoo.classify(made("classes"), [LONG[:8]])
    assert (begun.labels, shorter.truncated) == (shorter.labels, True)


@pytest.mark.parametrize("name", ["tagger", "markov"])
def test_tokens_have_the_labels_of_the_best_path(name, tagger, made):
    folder = tagger if name == "tagger" else made(name)
    config = zoo.from_pretrained(folder).config
    names = config.id2label if name == "tagger" else config.heads["it"]["labels"]
    for one in zoo.tag(folder, TEXTS):
        model, output, mask, encoding = outputs_of(folder, one.text)
        (path,) = model.decode(output, mask)
        assert [token.label for token in one.tokens] == [names[label] for label in path[1:-1]]
        assert [(token.start, token.end) for token in one.tokens] == encoding.offsets[1:-1]
        rows = [(each.type, each.start, each.end) for each in one.entities]
        assert rows == [
            (kind, one.tokens[first].start, one.tokens[last].end)
            for kind, first, last in read_entities([token.label for token in one.tokens])
        ]
        for each in (*one.tokens, *one.entities):
            assert one.text[each.start : each.end] == each.text
    assert any(one.entities for one in zoo.tag(folder, TEXTS))


def test_labels_of_another_kind_spell_nothing(made):
    (one,) = zoo.tag(made("tokens"), TEXTS[:1])
    assert len(one.tokens) == 5
    assert one.entities == []


def test_long_texts_are_read_whole(tagger, made):
    one, empty = zoo.tag(tagger, [LONG, ""])
    assert one.parts > 3
    assert "".join(token.text for token in one.tokens) == LONG
    assert (empty.tokens, empty.parts) == ([], 1)
    (found,) = zoo.extract(made("entities"), [LONG], threshold=-1e9)
    starts = {each.start for each in found.entities}
    assert starts == set(range(len(LONG)))  # every token is in a part, with the spans it begins
    assert len(set(found.entities)) == len(found.entities)


def test_entities_are_the_spans_of_the_pointer(made):
    for threshold in (None, 1.0):
        for one in zoo.extract(made("entities"), TEXTS, threshold=threshold):
            model, output, mask, encoding = outputs_of(made("entities"), one.text)
            (spans,) = model.decode(output, mask, threshold=threshold or 0.0)
            wanted = {
                (kind, encoding.offsets[first][0], encoding.offsets[last][1])
                for kind, first, last in spans
            }
            assert {
                ("AB".index(each.type), each.start, each.end) for each in one.entities
            } == wanted
            assert [one.text[each.start : each.end] for each in one.entities] == [
                each.text for each in one.entities
            ]


@pytest.mark.parametrize("name", ["half", "linked"])
def test_relations_are_the_triples_of_the_model_itself(name, related, made):
    folder = related if name == "half" else made(name)
    names = [f"LABEL_{number}" for number in range(9)] if name == "half" else ["P", "Q"]
    found = zoo.extract(folder, TEXTS)
    assert any(one.relations for one in found)
    for one in found:
        model, output, mask, encoding = outputs_of(folder, one.text)
        (triples,) = model.decode(output, mask)

        def span(first, last, text=one.text, places=encoding.offsets):
            start, end = places[first][0], places[last][1]
            return Span(text[start:end], start, end)

        assert one.entities == []
        assert set(one.relations) == {
            Relation(span(*triple[:2]), names[triple[2]], span(*triple[3:])) for triple in triples
        }


def test_the_head_that_can_is_asked(made):
    (one,) = zoo.classify(made("many"), ["我国"])
    assert {one.labels[0].label} <= {"x", "y", "z"}
    (slots,), (words,) = (zoo.tag(made("many"), ["我国 play"], head=h) for h in ("slots", "words"))
    assert {token.label for token in slots.tokens} <= {"B", "I", "O"}
    assert all(each in ("", "LABEL_0", "LABEL_1", "LABEL_0|LABEL_1") for each in
               (token.label for token in words.tokens))  # fmt: skip
    with pytest.raises(UsageError, match=r"several heads for `genae tag` \(slots, words\)"):
        zoo.tag(made("many"), ["a"])
    with pytest.raises(UsageError, match="no head 'slots' for `genae classify`; it has topic"):
        zoo.classify(made("many"), ["a"], head="slots")


@pytest.mark.parametrize(
    ("verb", "name", "options", "message"),
    [
        (zoo.classify, "tokens", {}, "it labels tokens of texts: genae tag "),
        (zoo.tag, "classes", {}, "it predicts labels of images or texts: genae classify "),
        (zoo.extract, "tokens", {}, "it labels tokens of texts: genae tag "),
        (zoo.classify, "number", {}, "gives a number for a text, no label"),
        (zoo.classify, "classes", {"threshold": 0.5}, "leave threshold out"),
        (zoo.classify, "sets", {"number": 2}, "give threshold, not number"),
        (zoo.classify, "sets", {"threshold": 2}, "threshold must be 0 to 1, got 2"),
        (zoo.classify, "classes", {"number": 0}, "number must be at least 1, got 0"),
        (zoo.tag, "tokens", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (zoo.tag, "tokens", {"max_length": 2}, "of 2 tokens at once 2 stand for no text"),
        (zoo.classify, "classes", {"max_length": 0}, "max_length must be at least 1, got 0"),
        (zoo.tag, "tokens", {"head": "x"}, "no head 'x' for `genae tag`, which has one"),
    ],
)
def test_what_cannot_be_asked(verb, name, options, message, made):
    with pytest.raises(UsageError, match=message):
        verb(made(name), ["a"], **options)


def test_wrong_texts_and_models(made, related, tmp_path):
    with pytest.raises(UsageError, match="put it into a list"):
        zoo.tag(made("tokens"), "a text")
    with pytest.raises(UsageError, match="text 1 is 3; pass texts or pairs of texts"):
        zoo.classify(made("classes"), ["a", 3])
    with pytest.raises(UsageError, match=r"text 0 is \('a', 'b', 'c'\); pass"):
        zoo.classify(made("classes"), [("a", "b", "c")])
    with pytest.raises(UsageError, match=r"text 0 is \('a', 'b'\); pass texts"):
        zoo.tag(made("tokens"), [("a", "b")])
    with pytest.raises(UsageError, match="half a character"):
        zoo.tag(made("tokens"), ["a", "b\ud800"])
    with pytest.raises(UsageError, match="single ones or pairs, not both"):
        zoo.classify(made("classes"), ["a", ("b", "c")])
    with pytest.raises(UsageError, match="thresholds of their own"):
        zoo.extract(related, ["a"], threshold=1)
    with pytest.raises(UsageError, match="needs a model of texts"):
        zoo.classify("genae/vae-mnist", ["a"])
    shutil.copytree(made("tokens"), tmp_path / "bare")
    (tmp_path / "bare/tokenizer.json").unlink()
    with pytest.raises(NotFoundError, match=r"no tokenizer\.json"):
        zoo.tag(tmp_path / "bare", ["a"])
    for verb in (zoo.classify, zoo.tag, zoo.extract):
        name = {zoo.classify: "classes", zoo.tag: "tokens", zoo.extract: "entities"}[verb]
        assert verb(made(name), []) == []


@pytest.mark.parametrize(
    ("labels", "entities"),
    [
        ("O B-X I-X I-X O", [("X", 1, 3)]),
        ("B-X B-X I-Y I-Y", [("X", 0, 0), ("X", 1, 1), ("Y", 2, 3)]),
        ("I-X O I-X", [("X", 0, 0), ("X", 2, 2)]),
        ("B-X M-X E-X I-X S-Y", [("X", 0, 2), ("X", 3, 3), ("Y", 4, 4)]),
        ("B M E S B E", [("", 0, 2), ("", 3, 3), ("", 4, 5)]),
        ("B_x I_x L_x U_y O", [("x", 0, 2), ("y", 3, 3)]),
        ("B-a-b I-a-b", [("a-b", 0, 1)]),
        ("", []),
    ],
)
def test_labels_spell_entities(labels, entities):
    assert spells_entities(["O", "B", *labels.split()])
    assert read_entities(labels.split()) == entities


@pytest.mark.parametrize("names", [["O", "LOC"], ["B", "noun"], ["O"], ["LABEL_0"]])
def test_other_labels_spell_none(names):
    assert not spells_entities(names)


@pytest.mark.parametrize("room", [1, 2, 7, 22, 60])
@pytest.mark.parametrize("text", [LONG, "a" * 100, "。" * 50, "我。" + "国" * 90 + "!我", "我"])
def test_parts_cover_a_text_once(text, room):
    parts = cut(text, [(place, place + 1) for place in range(len(text))], room)
    owned = [place for part in parts for place in range(part.own_start, part.own_end)]
    assert owned == list(range(len(text)))
    ends = {found.end() for found in SENTENCE_END.finditer(text)} | {len(text)}
    for part in parts:
        assert 0 <= part.start <= part.own_start <= part.own_end <= part.end <= part.start + room
    sentences = sorted({0} | ends)
    longest = max(b - a for a, b in pairwise(sentences))
    if longest <= room // 4:
        assert {part.end for part in parts} <= ends
    if len(parts) > 1 and room >= 22:
        assert all(b.start < a.end for a, b in pairwise(parts))


def test_files_of_all_formats_give_the_same_lines(made, run, tmp_path):
    import datasets

    texts = TEXTS
    table = datasets.Dataset.from_dict({"body": texts, "rank": list(range(len(texts)))})
    table.to_parquet(tmp_path / "a.parquet")
    table.to_json(tmp_path / "a.jsonl")
    table.to_csv(tmp_path / "a.csv")
    (tmp_path / "a.txt").write_text("\n".join(texts), "utf-8")
    wanted = [asdict(one) for one in zoo.classify(made("classes"), texts)]
    for name in ("a.parquet", "a.jsonl", "a.csv", "a.txt"):
        out = tmp_path / f"{name}.out"
        column = ("--column", "text" if name == "a.txt" else "body")
        done = run("classify", made("classes"), "--data", tmp_path / name, *column, "-o", out)
        assert (done.code, done.out) == (0, f"{out}\n")
        assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == wanted
    done = run("classify", made("classes"), "--data", tmp_path / "a.jsonl", "--column", "rank")
    assert (done.code, done.err.count("row 0: rank is 0, not a text")) == (2, 1)
    both = ("--column", "body", "--column", "body", "--json")
    done = run("classify", made("classes"), "--data", tmp_path / "a.jsonl", *both)
    assert [one["second"] for one in json.loads(done.out)] == texts


def test_verbs_answer_as_the_functions(made, tagger, run, tmp_path):
    for verb, folder in (("tag", tagger), ("extract", made("entities"))):
        done = run(verb, folder, *TEXTS, "--json")
        wanted = [asdict(one) for one in getattr(zoo, verb)(folder, TEXTS)]
        assert json.loads(done.out) == wanted
        shown = run(verb, folder, "我国中人的", LONG)
        assert "1 of 2 are longer than what is read at once; read in parts" in shown.err
        assert shown.tried[0].endswith("--json")
    assert "1 of 1 are longer" in run("classify", made("classes"), LONG).err
    done = run("classify", made("classes"), "我", "国", "人", "的", "--pairs", "--json")
    assert [(one["text"], one["second"]) for one in json.loads(done.out)] == [
        ("我", "国"), ("人", "的"),
    ]  # fmt: skip


def test_a_file_is_written_whole_or_not_at_all(made, run, tmp_path):
    out = tmp_path / "answers.jsonl"
    assert run("tag", made("classes"), "a", "-o", out).code == UsageError.exit_code
    assert not out.exists()
    out.write_text("mine")
    done = run("tag", made("tokens"), "a", "-o", out)
    assert (done.code, out.read_text()) == (ConflictError.exit_code, "mine")
    for words in ((), ("a", "--data", "b.txt"), ("a", "--column", "x")):
        assert run("tag", made("tokens"), *words).code == UsageError.exit_code
    assert run("classify", made("classes"), "a", "b", "c", "--pairs").code == UsageError.exit_code


@pytest.fixture
def narrow(monkeypatch):
    """Windows of three texts."""
    monkeypatch.setattr(reading, "WINDOW", 3)
    monkeypatch.setattr(reading, "BATCHES", 1)


@pytest.mark.parametrize("verb", ["classify", "tag", "extract"])
def test_answers_do_not_depend_on_windows(verb, made, narrow, monkeypatch):
    name = {"classify": "classes", "tag": "tokens", "extract": "entities"}[verb]
    texts = [*TEXTS, LONG, *TEXTS]
    found = getattr(zoo, verb)(made(name), texts, batch_size=2)
    monkeypatch.setattr(reading, "WINDOW", 4096)
    wanted = getattr(zoo, verb)(made(name), texts, batch_size=2)
    assert [one.text for one in found] == texts
    if verb != "classify":
        assert found == wanted
        return
    for one, other in zip(found, wanted, strict=True):  # probabilities are rounded
        assert [each.label for each in one.labels] == [each.label for each in other.labels]
        assert [each.probability for each in one.labels] == pytest.approx(
            [each.probability for each in other.labels], abs=2e-6
        )


def test_texts_are_taken_a_window_at_a_time(made, narrow):
    taken = []
    texts = (taken.append(text) or text for text in TEXTS * 4)
    answers = iter_tagged(made("tokens"), texts, batch_size=2)
    assert taken == []
    for number, answer in enumerate(answers):
        assert answer.text == TEXTS[number % len(TEXTS)]
        assert len(taken) <= 3 * (number // 3 + 1)
    assert number == 4 * len(TEXTS) - 1


def test_a_row_that_cannot_be_read_leaves_no_file(made, run, tmp_path):
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "a", "n": 1}), "utf-8")
    out = tmp_path / "out" / "answers.jsonl"
    done = run("tag", made("tokens"), "--data", tmp_path / "b.jsonl", "--column", "n", "-o", out)
    assert (done.code, list(out.parent.iterdir())) == (UsageError.exit_code, [])
    done = run("tag", made("tokens"), "--data", tmp_path / "b.jsonl", "-o", out)
    assert (done.code, list(out.parent.iterdir())) == (0, [out])


def test_a_device_is_chosen_by_name(made, run):
    wanted = run("tag", made("tokens"), *TEXTS, "--json").out
    for device in ("cpu", "auto"):
        assert run("tag", made("tokens"), *TEXTS, "--json", "--device", device).out == wanted
    for verb in ("classify", "tag", "extract"):
        name = {"classify": "classes", "tag": "tokens", "extract": "entities"}[verb]
        done = run(verb, made(name), "a", "--device", "meta")
        assert done.code == MissingDependencyError.exit_code
        assert "device meta cannot be used" in done.err
        assert run(verb, made(name), "a", "--device", "gpu9").code == UsageError.exit_code


@pytest.mark.slow
def test_a_killed_run_leaves_no_file(made, tmp_path):
    out = tmp_path / "out" / "answers.jsonl"
    (tmp_path / "a.txt").write_text("我国中人的 play\n" * 200_000, "utf-8")
    code = "import sys; from zoo.cli import app; sys.argv[0] = 'genae'; sys.exit(app())"
    words = ["tag", made("tokens"), "--data", tmp_path / "a.txt", "-o", out]
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)])
    try:
        for _ in range(600):
            if any(file.stat().st_size for file in out.parent.glob(".*/answers.jsonl")):
                break
            time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert not out.exists()


def test_a_model_says_which_verb_fits(made):
    wanted = {"classes": "classify", "tokens": "tag", "entities": "extract", "many": "tag"}
    for name, verb in wanted.items():
        config = json.loads((made(name) / "config.json").read_text("utf-8"))
        head = ("--head", "slots") if name == "many" else ()
        assert verb_for(config)[1:] == (verb, "TEXT", *head)
