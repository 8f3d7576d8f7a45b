"""`zoo.answer_in_slots`: answers in the masks of a language model."""

import json

import numpy as np
import pytest
import torch

import convert
import zoo
from tests.conversion.keras_files import SHARED
from zoo.errors import UsageError
from zoo.labeling.slots import combined, follow

BERT = "genae/tiny-bert"
RECORDED = SHARED / "finetuned/reading_comprehension_mlm"
SMALL = {"num_slots": 4, "max_question": 6, "max_passage": 12}
END = 3


def by_search(probabilities, passage, end):
    """The same by looking through all spans at every step."""
    found, total = [], 0.0
    for step, slot in enumerate(probabilities.tolist(), 1):
        spans = [
            passage[i : i + step]
            for i in range(len(passage) - step + 1)
            if passage[i : i + step - 1] == found
        ]
        allowed = {end} | {span[-1] for span in spans}
        best = max(sorted(allowed), key=lambda token: slot[token])
        total += slot[best]
        if best == end:
            return found, total / step
        found = [*found, best]
    return found, total / len(probabilities)


@pytest.mark.parametrize("seed", range(8))
def test_slots_spell_a_span_of_the_passage(seed):
    draw = torch.Generator().manual_seed(seed)
    passage = torch.randint(4, 9, (15,), generator=draw).tolist()  # with many repeats
    probabilities = torch.rand(6, 12, generator=draw).softmax(-1)
    found, score = follow(probabilities, passage, END)
    wanted, expected = by_search(probabilities, passage, END)
    assert found == wanted
    assert score == pytest.approx(expected)
    assert any(passage[i : i + len(found)] == found for i in range(len(passage)))


def test_an_answer_goes_on_to_the_end_of_the_passage_and_no_further():
    probabilities = torch.full((4, 10), 0.01)
    probabilities[:, 7] = 0.5
    assert follow(probabilities, [5, 7, 7], END)[0] == [7, 7]
    assert follow(probabilities, [], END)[0] == []
    probabilities[0, END] = 0.9
    assert follow(probabilities, [5, 7, 7], END) == ([], pytest.approx(0.9))


def test_scores_of_several_passages_are_put_together():
    assert combined([0.5]) == pytest.approx(0.25 / 1.5)
    assert combined([0.5, 0.8]) == pytest.approx((0.25 + 0.64) / 2.3)
    assert combined([0.5, 0.8]) > combined([0.8])


def test_answers_are_those_of_each_passage_alone():
    passages = ["我们在国中有人", "他要用", "我们在国中有人"]
    whole = zoo.answer_in_slots(BERT, "有人在", passages, **SMALL)
    again = zoo.answer_in_slots(BERT, "有人在", passages, batch_size=1, **SMALL)
    assert [(one.text, one.passages) for one in whole] == [
        (one.text, one.passages) for one in again
    ]
    assert [one.score for one in whole] == pytest.approx([one.score for one in again], rel=1e-4)
    assert whole == sorted(whole, key=lambda one: -one.score)
    for one in whole:
        assert all(one.text.replace(" ", "") in passages[place] for place in one.passages)
    alone = [zoo.answer_in_slots(BERT, "有人在", [each], **SMALL) for each in passages]
    assert {one.text for one in whole} == {one.text for each in alone for one in each}


@pytest.mark.parametrize(
    ("passages", "more", "message"),
    [
        ([], {}, "give a list of texts"),
        ("one", {}, "give a list of texts"),
        (["a"], {"num_slots": 0}, "num_slots must be at least 1"),
        (["a"], {"max_passage": 4000}, r"reads \d+ tokens, and 4\d+ are asked for"),
    ],
)
def test_what_cannot_be_is_refused(passages, more, message):
    with pytest.raises(UsageError, match=message):
        zoo.answer_in_slots(BERT, "a", passages, **SMALL | more)


def test_a_model_without_a_head_for_masks_is_told_so():
    with pytest.raises(UsageError, match="writes texts"):
        zoo.answer_in_slots("genae/tiny-gpt", "a", ["b"], **SMALL)


@pytest.mark.slow
@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded fine-tuned models")
def test_slots_of_a_recipe_are_the_recorded_ones(tmp_path):
    convert.convert_checkpoint(RECORDED / "best_model.weights", tmp_path / "out")
    model = zoo.from_pretrained(tmp_path / "out").eval()
    with np.load(RECORDED / "reference.npz") as arrays:
        given = {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}
    with torch.no_grad():
        logits = model(
            given["in_token_ids"].long(), attention_mask=given["mask"].long(),
            token_type_ids=given["in_segment_ids"].long(),
        ).logits  # fmt: skip
    found = logits[:, 1:5].softmax(-1)
    torch.testing.assert_close(found, given["out_answer_probs"], rtol=2e-5, atol=2e-6)
    decoded = json.loads((RECORDED / "decoded.json").read_text())
    assert found.argmax(-1).tolist() == decoded["argmax"]
