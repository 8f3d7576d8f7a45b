"""`zoo.fill_mask`, what `genae fill-mask` prints, and text models by name."""

import json
import shutil
import sys

import pytest
import torch
import transformers

import zoo
from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UsageError
from zoo.filling import Candidate
from zoo.loading import load_with_tokenizer

BERT = "genae/tiny-bert"


@pytest.fixture
def folder(root, tmp_path):
    """The files of a small BERT, free to be damaged."""
    place = tmp_path / "bert"
    place.mkdir()
    for file in (root / "cards/tiny-bert").iterdir():
        if file.name in ("config.json", "vocab.txt") or file.suffix == ".safetensors":
            shutil.copy(file, place)
    for file in (root / "cards/tiny-bert").glob("tokenizer*.json"):
        shutil.copy(file, place)
    return place


def test_candidates_are_those_of_the_model_itself(folder):
    (answer,) = zoo.fill_mask(BERT, ["a [MASK] b [MASK]"], number=3)
    assert answer.text == "a [MASK] b [MASK]"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype="float32")
    inputs = tokenizer("a [MASK] b [MASK]", return_tensors="pt")
    with torch.no_grad():
        rows = model(**inputs).logits[0, inputs["input_ids"][0] == tokenizer.mask_token_id]
    for row, mask in zip(rows.double().softmax(-1), answer.masks, strict=True):
        order = row.argsort(descending=True)[:3].tolist()
        assert mask == [
            Candidate(tokenizer.convert_ids_to_tokens(i), round(row[i].item(), 6)) for i in order
        ]


def test_the_verb_prints_what_the_function_gives(run):
    code, said, _ = run("fill-mask", BERT, "a [MASK]", "[MASK] b", "-n", "2", "--json")
    assert code == 0
    assert [entry["masks"] for entry in json.loads(said)] == [
        [[vars(one) for one in mask] for mask in answer.masks]
        for answer in zoo.fill_mask(BERT, ["a [MASK]", "[MASK] b"], number=2)
    ]


def test_there_are_no_more_candidates_than_tokens():
    (answer,) = zoo.fill_mask(BERT, ["[MASK]"], number=100)
    (candidates,) = answer.masks
    assert len(candidates) == 83  # the vocabulary's size
    assert sum(one.probability for one in candidates) == pytest.approx(1, abs=1e-4)
    assert zoo.fill_mask(BERT, []) == []


@pytest.mark.parametrize(
    ("name", "text", "number", "message"),
    [
        (BERT, "a", 5, r"'a' has no \[MASK\]"),
        (BERT, "[MASK]", 0, "number must be 1 to 100, got 0"),
        (BERT, "[MASK]", 101, "got 101"),
        (BERT, "b " * 60 + "[MASK]", 5, r"longer than the \d+ tokens"),
        (
            "genae/tiny-electra",
            "[MASK]",
            5,
            "no weights for AutoModelForMaskedLM, such as gen",
        ),
        ("genae/tiny-gpt", "[MASK]", 5, "AutoModelForMaskedLM makes no model"),
    ],
)
def test_what_cannot_be_asked(name, text, number, message):
    with pytest.raises(UsageError, match=message):
        zoo.fill_mask(name, [text], number=number)


def test_another_mask_is_named(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text.replace("[MASK]", "<mask>"), "utf-8")
    with pytest.raises(UsageError, match="its mask is '<mask>'"):
        zoo.fill_mask(folder, ["[MASK]"])


def test_a_model_and_its_tokenizer_by_name():
    model, tokenizer = load_with_tokenizer(BERT, "ForMaskedLM")
    assert type(model).__name__ == "BertForMaskedLM"
    assert (model.dtype, model.training) == (torch.float32, False)
    assert tokenizer.mask_token_id == tokenizer.convert_tokens_to_ids("[MASK]")
    model, _ = load_with_tokenizer("genae/tiny-gpt", "ForCausalLM")
    assert type(model).__name__ == "GenaeGPTForCausalLM"


def truncated(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def of_other_sizes(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(config | {"intermediate_size": 48}), "utf-8")


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def other_json(folder):
    (folder / "tokenizer.json").write_text("[1]")


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (truncated, IntegrityError, "truncated"),
        (of_other_sizes, IntegrityError, "mismatched"),
        (no_tokenizer, NotFoundError, "no tokenizer.json"),
        (no_weights, NotFoundError, "no weights"),
        (other_json, IntegrityError, "makes no tokenizer"),
    ],
)
def test_damaged_folders(folder, damage, kind, message):
    damage(folder)
    with pytest.raises(kind, match=message):
        zoo.fill_mask(folder, ["[MASK]"])


def test_what_a_tokenizer_needs_is_named(folder, monkeypatch):
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(config | {"tokenizer_class": "GenaeWordTokenizer"}), "utf-8")
    file = folder / "tokenizer.json"
    described = json.loads(file.read_text("utf-8"))
    described["pre_tokenizer"] = {"segment": "jieba", "whole_text_steps": 0, "within": None}
    file.write_text(json.dumps(described), "utf-8")
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "genae\[chinese\]"'):
        zoo.fill_mask(folder, ["[MASK]"])
