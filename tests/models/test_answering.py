"""`zoo.answer` and `genae answer`, held to what the model itself says of each window."""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import transformers

import zoo
from zoo.advice import verb_for
from zoo.errors import UsageError
from zoo.labeling.windows import _own, _spans
from zoo.models import BertForMultiTask

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "cards" / "tiny-bert"
CASE = ROOT.parent / "shared" / "cases" / "head_squad"
TEXT = "我在人中。the play 1 了不在大国上 2。"
LONG = "我在人中,大国上了不。the play 1 and 2!不了有和" * 4
QUESTION = "中国 play"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`made("squad")`: a tiny model, drawn at random, that answers questions."""
    folder = tmp_path_factory.mktemp("answering")
    config = transformers.BertConfig(
        vocab_size=83, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, initializer_range=1.0,
    )  # fmt: skip
    tables = {"topic": {"kind": "classifier"}, "where": {"kind": "span"}}
    classes = {
        "squad": (transformers.BertForQuestionAnswering, {}),
        "many": (BertForMultiTask, {"heads": tables}),
    }

    def make(name):
        if not (out := folder / name).exists():
            torch.manual_seed(1)
            kind, settings = classes[name]
            kind(type(config)(**config.to_diff_dict() | settings)).save_pretrained(out)
            for file in TINY.glob("*token*"):
                shutil.copy(file, out)
        return out

    return make


def scored(folder, text, question, *, longest=30, stride=None):
    """Every span's best score by its characters, and the least score of no answer, by hand."""
    model = zoo.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = tokenizer(question)["input_ids"]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, places = encoded["input_ids"], encoded["offset_mapping"]
    room = 32 - len(asked) - 1
    spans = list(_spans(len(ids), room, stride or min(128, room // 2)))
    found, nulls = {}, []
    for number, span in enumerate(spans):
        row = [*asked, *ids[span.start : span.stop], asked[-1]]
        segments = [0] * len(asked) + [1] * (len(row) - len(asked))
        with torch.no_grad():
            output = model(torch.tensor([row]), token_type_ids=torch.tensor([segments]))
        logits = getattr(output, "logits", None)
        if logits is None:
            start, end = output.start_logits[0].double(), output.end_logits[0].double()
        else:
            start, end = logits["where"][0].double().unbind(-1)
        nulls.append((start[0] + end[0]).item())
        for first in span:
            if most_around(spans, first) != number:
                continue
            for last in range(first, min(first + longest, span.stop)):
                place = places[first][0], places[last][1]
                shift = len(asked) - span.start
                found[place] = (start[first + shift] + end[last + shift]).item()
    return found, min(nulls), len(spans)


def most_around(spans, token):
    """The window of a token by the rule of google-research/bert's run_squad.py."""
    best, chosen = None, None
    for number, span in enumerate(spans):
        if token in span:
            score = min(token - span[0], span[-1] - token) + 0.01 * len(span)
            if best is None or score > best:
                best, chosen = score, number
    return chosen


@pytest.mark.parametrize(
    ("number", "room", "stride"),
    [
        (5, 9, 4),
        (40, 9, 4),
        (41, 9, 1),
        (300, 150, 128),
        (385, 384, 128),
        (430, 384, 5),
        (9, 1, 1),
    ],
)
def test_a_token_is_of_the_window_where_it_has_most_around_it(number, room, stride):
    spans = list(_spans(number, room, stride))
    assert {token for span in spans for token in span} == set(range(number))
    assert all(len(span) == room for span in spans[:-1])
    assert len(spans[-1]) <= room
    for place, own in enumerate(_own(spans)):
        assert [*own] == [token for token in range(number) if most_around(spans, token) == place]


@pytest.mark.parametrize("name", ["squad", "many"])
@pytest.mark.parametrize(
    ("text", "options"),
    [(TEXT, {}), (LONG, {}), (LONG, {"stride": 3}), (LONG, {"max_answer_length": 2})],
    ids=["short", "long", "stride", "shortest"],
)
def test_answers_are_the_best_spans_of_the_model_itself(name, text, options, made):
    (one,) = zoo.answer(made(name), [text], QUESTION, number=20, **options)
    wanted, null, parts = scored(
        made(name), text, QUESTION, longest=options.get("max_answer_length", 30),
        stride=options.get("stride"),
    )  # fmt: skip
    best = sorted(wanted.items(), key=lambda each: -each[1])[:20]
    whole = sum(math.exp(score - best[0][1]) for _, score in best)
    assert one.parts == parts
    assert (one.parts > 1) == (text == LONG)
    assert [each.score for each in one.answers] == pytest.approx(
        [score for _, score in best], abs=1e-4
    )
    for each in one.answers:
        assert text[each.start : each.end] == each.text
        assert each.score == pytest.approx(wanted[each.start, each.end], abs=1e-4)
        assert each.probability == pytest.approx(
            math.exp(wanted[each.start, each.end] - best[0][1]) / whole, abs=1e-4
        )
    assert one.null_score == pytest.approx(null - best[0][1], abs=1e-4)


def test_there_may_be_no_answer(made):
    (one,) = zoo.answer(made("squad"), [TEXT], QUESTION)
    for threshold, number in ((one.null_score - 0.01, 0), (one.null_score + 0.01, 1)):
        (again,) = zoo.answer(made("squad"), [TEXT], QUESTION, null_threshold=threshold)
        assert len(again.answers) == number
        assert again.null_score == one.null_score
    (empty,) = zoo.answer(made("squad"), [""], QUESTION)
    assert (empty.answers, empty.null_score, empty.parts) == ([], None, 1)


def test_each_text_has_its_question(made):
    texts, questions = [TEXT, LONG, "我", TEXT], ["中", QUESTION, "a", "1"]
    found = zoo.answer(made("squad"), texts, questions, batch_size=2)
    assert [(one.text, one.question) for one in found] == list(zip(texts, questions, strict=True))
    for one, text, question in zip(found, texts, questions, strict=True):
        (alone,) = zoo.answer(made("squad"), [text], question)
        assert alone.answers[0].score == pytest.approx(one.answers[0].score, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"question": "中" * 40}, "43 tokens, and 32 are read at once, so none is left"),
        ({"stride": 40}, "stride 40: a window has room for 2"),
        ({"number": 21}, "number must be 1 to 20, got 21"),
        ({"number": 0}, "number must be at least 1"),
        ({"max_answer_length": 0}, "max_answer_length must be at least 1"),
        ({"question": ["a", "b"]}, "2 questions for 1 texts"),
        ({"head": "x"}, "no head 'x' for `genae answer`"),
    ],
)
def test_what_cannot_be_asked(options, message, made):
    with pytest.raises(UsageError, match=message):
        zoo.answer(made("squad"), [TEXT], **{"question": QUESTION} | options)


def test_the_verb_answers_as_the_function(made, run, tmp_path):
    model = made("squad")
    wanted = [asdict(one) for q in ("中", "1") for one in zoo.answer(model, [TEXT], q, number=2)]
    words = ("answer", model, TEXT, "--question", "中", "--question", "1", "-n", 2)
    assert json.loads(run(*words, "--json").out) == wanted
    shown = run(*words)
    assert all(one["answers"][0]["text"] in shown.out for one in wanted)
    assert shown.tried[0].endswith("--json")
    assert "1 of 1 are longer" in run("answer", model, LONG, "--question", "a").err
    rows = [{"context": TEXT, "question": each} for each in ("中", "1")]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    data = ("--data", tmp_path / "a.jsonl", "--column", "context")
    done = run("answer", model, *data, "-n", 2, "-o", tmp_path / "out.jsonl")
    assert done.code == 0
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == wanted
    done = run("answer", model, *data, "--question-column", "context", "--question", "a")
    assert (done.code, "one of both" in done.err) == (UsageError.exit_code, True)
    done = run("answer", model, TEXT)
    assert (done.code, "give --question" in done.err) == (UsageError.exit_code, True)


def test_a_model_that_answers_says_so(made, run):
    config = json.loads((made("squad") / "config.json").read_text("utf-8"))
    assert verb_for(config) == ("answers", "answer", "TEXT", "--question", "QUESTION")
    done = run("tag", made("squad"), "a")
    assert f"genae answer {made('squad')} TEXT --question QUESTION" in done.err
    done = run("answer", made("squad"), "TEXT", "--question", "QUESTION")
    assert done.code == 0


@pytest.mark.skipif(not CASE.is_dir(), reason="needs ../shared/cases")
def test_a_converted_head_answers(run, tmp_path):
    out = tmp_path / "squad"
    done = run("convert", CASE, out, "--head", "span")
    assert f"genae answer {out} TEXT --question QUESTION" in done.tried[0]
    (one,) = zoo.answer(out, ["the play is 1"], "的")
    assert one.answers[0].text in one.text
    shown = run("info", out).tried[0]
    assert shown.startswith(f"genae answer {out} ")
    assert "--question" in shown
