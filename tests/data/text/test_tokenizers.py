"""Tokenizers trained from texts."""

import json
import subprocess
import sys

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from zoo.data.text import KINDS, Texts, train_tokenizer
from zoo.errors import UsageError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def tokenizers(poems):
    return {kind: train_tokenizer(poems, kind, 400) for kind in KINDS}


@pytest.fixture(scope="module")
def of_bytes(tokenizers):
    return tokenizers["bytes"]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_come_first_and_have_their_roles(kind, tokenizers):
    tokenizer = tokenizers[kind]
    assert tokenizer.convert_ids_to_tokens(range(5)) == SPECIAL
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id) == (0, 1, 4)
    assert tokenizer.cls_token_id == tokenizer.bos_token_id == 2
    assert tokenizer.sep_token_id == tokenizer.eos_token_id == 3
    assert len(tokenizer) <= 400
    assert tokenizer("月", "光")["input_ids"] == [
        2, *tokenizer.encode("月", add_special_tokens=False), 3,
        *tokenizer.encode("光", add_special_tokens=False), 3,
    ]  # fmt: skip


def test_every_character_is_a_token_the_most_frequent_first(poems):
    tokenizer = train_tokenizer(["aab", "bac\n", "日"], "characters", 9)
    assert tokenizer.convert_ids_to_tokens(range(9)) == [*SPECIAL, "a", "b", "\n", "c"]
    assert tokenizer.encode("a日[c", add_special_tokens=False) == [5, 1, 1, 8]
    whole = train_tokenizer(poems, "characters", 400)
    for text in [*poems, "月 , 光\n\n。"]:
        ids = whole.encode(text, add_special_tokens=False)
        assert len(ids) == len(text)
        assert whole.decode(ids) == text


@given(text=st.text())
@settings(deadline=None, max_examples=80)
def test_bytes_give_every_text_back(of_bytes, text):
    ids = of_bytes.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert of_bytes.decode(ids, skip_special_tokens=True) == text


def test_lower_case(poems):
    for kind in KINDS:
        tokenizer = train_tokenizer(poems, kind, 400, lowercase=True)
        assert tokenizer.encode("THE Quick") == tokenizer.encode("the quick"), kind
        assert 1 not in tokenizer.encode("THE Quick"), kind


@pytest.mark.parametrize(("template", "expected"), [
    ("", [5, 6]), ("[SEP]", [5, 6, 3]), ("[CLS] [SEP]", [2, 5, 6, 3]),
])  # fmt: skip
def test_templates(template, expected):
    assert train_tokenizer(["ab"], "characters", 9, template=template).encode("ab") == expected


@pytest.mark.parametrize("kind", KINDS)
def test_loads_without_genae(kind, tokenizers, poems, tmp_path):
    tokenizers[kind].save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert type(again).__module__.startswith("transformers.")
    for text in poems:
        assert again.encode(text) == tokenizers[kind].encode(text)
        assert again.decode(again.encode(text)) == tokenizers[kind].decode(again.encode(text))
    assert again.all_special_ids == tokenizers[kind].all_special_ids
    assert again.eos_token_id == 3


def test_wordpiece_keeps_its_size_whatever_the_alphabet(poems):
    for size in (6, 20, 60, 150):
        tokenizer = train_tokenizer(poems, "wordpiece", size)
        assert len(tokenizer) <= size
        assert max(tokenizer.encode(" ".join(poems))) < size
    joined = train_tokenizer(poems, "wordpiece", 400)
    assert joined.decode(joined.encode("the question"), skip_special_tokens=True) == "the question"


@pytest.mark.slow
def test_the_same_texts_give_the_same_tokenizer_in_every_process(poems):
    code = (
        "import sys, json; from zoo.data.text import train_tokenizer, KINDS\n"
        "texts = json.load(sys.stdin)\n"
        "for kind in KINDS: print(train_tokenizer(texts, kind, 350).backend_tokenizer.to_str())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(poems * 3), text=True, check=True,
            capture_output=True,
        ).stdout
        for _ in range(3)
    }  # fmt: skip
    assert len(made) == 1


def test_texts_are_read_from_several_columns_and_of_words(table):
    pairs = table.add_column("words", [["a", "b"]] * len(table))
    assert list(Texts(pairs, ["text", "words"]))[len(table) :] == ["a", "b"] * len(table)
    assert list(Texts(pairs, ["text"])) == list(Texts(pairs.to_iterable_dataset(), ["text"]))
    for kind in KINDS:
        one = train_tokenizer(Texts(pairs, ["text"]), kind, 300).get_vocab()
        assert one == train_tokenizer(iter(table["text"]), kind, 300).get_vocab()


def test_what_cannot_be_trained():
    with pytest.raises(UsageError, match="Did you mean 'wordpiece'"):
        train_tokenizer(["a"], "wordpeice", 100)
    with pytest.raises(UsageError, match="at least 261, got 100"):
        train_tokenizer(["a"], "bytes", 100)
    with pytest.raises(UsageError, match="no texts"):
        train_tokenizer([], "characters", 100)
    numbers = datasets.Dataset.from_dict({"text": [1984, 2024]})
    with pytest.raises(UsageError, match="row 0: the column text has 1984"):
        train_tokenizer(Texts(numbers, ["text"]), "characters", 100)
