"""The head of SQuAD 2: ALBERT's formula in NumPy, its loss, its search, its files, its verb."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import convert
import zoo
from convert.heads.labels import read_heads
from tests.conversion.rewritten import rewritten
from zoo.errors import UsageError
from zoo.models import AlbertForMultiTask

TINY = Path(__file__).resolve().parents[2] / "cards" / "tiny-bert"
WIDTH = 24
#: Names and shapes of `squad_utils.create_v2_model` of google-research/albert.
VARIABLES = {
    "start_logits/dense/kernel": (WIDTH, 1), "start_logits/dense/bias": (1,),
    "end_logits/dense_0/kernel": (2 * WIDTH, WIDTH), "end_logits/dense_0/bias": (WIDTH,),
    "end_logits/LayerNorm/beta": (WIDTH,), "end_logits/LayerNorm/gamma": (WIDTH,),
    "end_logits/dense_1/kernel": (WIDTH, 1), "end_logits/dense_1/bias": (1,),
    "answer_class/dense_0/kernel": (2 * WIDTH, WIDTH), "answer_class/dense_0/bias": (WIDTH,),
    "answer_class/dense_1/kernel": (WIDTH, 1),
}  # fmt: skip
IDS = np.array([[2, 7, 8, 3, 9, 10, 11, 12, 3, 0], [2, 9, 3, 20, 21, 22, 23, 24, 25, 3]])
SEGMENTS = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]])
MASK = (IDS != 0).astype(int)
#: Question and special tokens, the first aside, as the script's `p_mask` hides them.
HIDDEN = np.array([[0, 1, 1, 1, 0, 0, 0, 0, 1, 1], [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]])


def dense(values, arrays, name):
    bias = arrays.get(f"{name}/bias", 0)
    return values @ arrays[f"{name}/kernel"] + bias


def log_softmax(values):
    shifted = values - values.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def by_formula(arrays, hidden, p_mask, starts=5, ends=5):
    """What the script predicts of one text: its beams and the logit of no answer."""
    start = dense(hidden, arrays, "start_logits/dense")[:, 0]
    start = start * (1 - p_mask) - 1e30 * p_mask
    start_log_probs = log_softmax(start)
    beams = []
    for first in np.argsort(-start_log_probs, kind="stable")[:starts]:
        both = np.concatenate([hidden, np.repeat(hidden[first][None], len(hidden), 0)], -1)
        mapped = np.tanh(dense(both, arrays, "end_logits/dense_0"))
        mean, variance = mapped.mean(-1, keepdims=True), mapped.var(-1, keepdims=True)
        mapped = (mapped - mean) / np.sqrt(variance + 1e-12)
        gamma, beta = (arrays[f"end_logits/LayerNorm/{one}"] for one in ("gamma", "beta"))
        end = dense(mapped * gamma + beta, arrays, "end_logits/dense_1")[:, 0]
        end_log_probs = log_softmax(end * (1 - p_mask) - 1e30 * p_mask)
        beams += [
            (start_log_probs[first] + end_log_probs[last], int(first), int(last))
            for last in np.argsort(-end_log_probs, kind="stable")[:ends]
        ]
    mean = np.exp(start_log_probs) @ hidden
    mapped = np.tanh(dense(np.concatenate([mean, hidden[0]]), arrays, "answer_class/dense_0"))
    return beams, dense(mapped, arrays, "answer_class/dense_1").item()


@pytest.fixture(scope="module")
def arrays():
    draw = np.random.default_rng(3)
    return {name: draw.normal(size=shape).astype("f4") for name, shape in VARIABLES.items()}


@pytest.fixture(scope="module")
def converted(arrays, tmp_path_factory):
    """A checkpoint with the variables of the script, converted."""
    folder = tmp_path_factory.mktemp("squad2")
    place = rewritten("albert", folder / "in", lambda old: old | arrays)
    found = convert.inspect(place)
    assert "--head squad2" in str(found.missing)
    report = convert.convert_checkpoint(
        place, folder / "out", options={"heads": read_heads(["squad2"], None, None)}
    )
    assert report.result["architectures"] == ["AlbertForMultiTask"]
    assert report.result["heads"] == {"answer": {"kind": "squad2"}}
    return folder / "out"


def test_it_goes_back_to_the_names_of_the_script(arrays, converted, tmp_path):
    with pytest.raises(UsageError, match=r"bert4keras has no layers for it.*--to tf-checkpoint"):
        convert.export_checkpoint(converted, tmp_path / "out", to="keras-hdf5")
    assert not (tmp_path / "out").exists()
    convert.export_checkpoint(converted, tmp_path / "out", to="tf-checkpoint")
    with convert.open_checkpoint(tmp_path / "out") as back:
        for name, value in arrays.items():
            assert np.array_equal(back[name].numpy(), value), name


def outputs_of(model):
    with torch.no_grad():
        return model(
            torch.tensor(IDS), torch.tensor(MASK), torch.tensor(SEGMENTS),
            output_hidden_states=True,
        )  # fmt: skip


def test_it_computes_what_alberts_script_computes(arrays, converted):
    model = zoo.from_pretrained(converted)
    output = outputs_of(model)
    logits, head = output.logits["answer"], model.heads["answer"]
    for row, (hidden, p_mask) in enumerate(
        zip(output.hidden_states[-1].double().numpy(), HIDDEN, strict=True)
    ):
        beams, null = by_formula(arrays, hidden, p_mask)
        assert logits["null"][row].item() == pytest.approx(null, abs=2e-4)
        wanted = sorted((one for one in beams if 0 < one[1] <= one[2]), reverse=True)
        wanted = [one for one in wanted if one[0] > -1e29]
        found = head.spans(logits, row)
        assert [one[1:] for one in found] == [one[1:] for one in wanted]
        assert [one[0] for one in found] == pytest.approx([one[0] for one in wanted], abs=2e-3)
        assert model.decode(output)["answer"][row] == list(wanted[0][1:])
        for threshold, answer in ((null - 0.1, []), (null + 0.1, list(wanted[0][1:]))):
            decoded = model.decode(output, answer={"threshold": threshold})["answer"]
            assert decoded[row] == answer


def test_the_loss_reads_the_start_that_is_right(converted):
    model = zoo.from_pretrained(converted)
    subject = torch.tensor([[4, 6], [0, 0]])
    labels = {"start": subject[:, 0], "end": subject[:, 1], "null": torch.tensor([0.0, 1.0])}
    given = (torch.tensor(IDS), torch.tensor(MASK), torch.tensor(SEGMENTS))
    with torch.no_grad():
        output = model(*given, subject_ids=subject, labels={"answer": labels})
        logits = output.logits["answer"]
        assert logits["end"].shape == (2, 1, 10)
        whole = outputs_of(model).logits["answer"]
        for row in range(2):  # the same ends that the search reads of that start
            place = whole["starts"][row].tolist().index(subject[row, 0].item())
            torch.testing.assert_close(logits["end"][row, 0], whole["end"][row, place])
        wanted = cross_entropy(logits["start"], labels["start"])
        wanted = wanted + cross_entropy(logits["end"][:, 0], labels["end"])
        wanted = wanted / 2 + binary_cross_entropy_with_logits(logits["null"], labels["null"]) / 2
        torch.testing.assert_close(output.loss, wanted)
        with pytest.raises(ValueError, match="give subject_ids"):
            model(*given, labels={"answer": labels})


def test_a_short_text_has_fewer_starts_than_are_looked_for(converted):
    model = zoo.from_pretrained(converted)
    with torch.no_grad():
        output = model(torch.tensor([[2, 9]]))
    assert output.logits["answer"]["starts"].shape == (1, 5)
    assert model.decode(output)["answer"] == [[1, 1]]


def test_the_verb_answers_from_what_the_search_finds(run, tmp_path):
    torch.manual_seed(2)
    config = transformers.AlbertConfig(
        vocab_size=83, embedding_size=8, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=32,
        initializer_range=1.0,
    )  # fmt: skip
    model = AlbertForMultiTask(config, heads={"it": {"kind": "squad2", "end_top": 20}}).eval()
    model.save_pretrained(tmp_path / "model")
    for file in TINY.glob("*token*"):
        shutil.copy(file, tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    text, question = "我在人中。the play 1 了不在", "中国 play"
    encoded = tokenizer(question, text, return_tensors="pt", return_offsets_mapping=True)
    places = encoded.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        logits = model(**encoded).logits["it"]
    wanted = model.heads["it"].spans(logits, 0)
    (one,) = zoo.answer(tmp_path / "model", [text], question, number=3)
    assert [(each.start, each.end) for each in one.answers] == [
        (places[first][0], places[last][1]) for _, first, last in wanted[:3]
    ]
    assert [each.score for each in one.answers] == pytest.approx(
        [score for score, *_ in wanted[:3]], abs=1e-4
    )
    total = sum(math.exp(score - wanted[0][0]) for score, *_ in wanted[:20])
    assert one.answers[0].probability == pytest.approx(1 / total, abs=1e-4)
    assert one.null_score == pytest.approx(logits["null"].item(), abs=1e-4)
    words = ("answer", tmp_path / "model", text, "--question", question, "--json")
    done = run(*words, "--null-threshold", one.null_score - 0.01)
    assert json.loads(done.out)[0]["answers"] == []
    done = run(*words, "--null-threshold", one.null_score + 0.01)
    assert json.loads(done.out)[0]["answers"][0]["text"] == one.answers[0].text
