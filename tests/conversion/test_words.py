"""Texts cut into words before they are tokenized: the class, its files, and who loads them."""

import copy
import json
import re
import subprocess
import sys

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from convert import tokenizers
from tests.conversion.spm_models import FOLDER, VARIANTS
from zoo.models import GenaeWordTokenizer
from zoo.models.text.tokenization_genae import jieba_words

TOKENS = tokenizers.read_vocab(FOLDER / "vocab.txt")
WORDS = ["今天天气", "不错"]
TEXT = "今天天气不错, hello 龘\N{ZERO WIDTH SPACE}机"


def recorded_words(text):
    """What `options.json` names as its `pre_tokenize`."""
    return re.findall("[a-zA-Z]+|[0-9]+|[\u4e00-\u9fff]{1,2}|\\S", text)


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory):
    """A folder as RoFormer's or T5-PEGASUS's: words are in the vocabulary."""
    folder = tmp_path_factory.mktemp("wordpiece")
    told = {"do_lower_case": True, "max_length": 512, "pre_tokenize": "jieba"}
    tokenizers.write_tokenizer(folder, [*TOKENS, *WORDS], **told)
    return folder


@pytest.fixture(scope="module")
def unigram(tmp_path_factory):
    """A folder as CPM's."""
    folder = tmp_path_factory.mktemp("unigram")
    (folder / "a.model").write_bytes(VARIANTS["cpm"])
    model = tokenizers.read_spm(folder / "a.model")
    tokenizers.write_sentencepiece(folder, model, max_length=512, pre_tokenize="jieba")
    return folder


@pytest.fixture(params=["wordpiece", "unigram"])
def folder(request):
    return request.getfixturevalue(request.param)


def test_recorded_ids_and_offsets_with_recorded_words(tmp_path):
    told = {"do_lower_case": True, "max_length": 512, "pre_tokenize": "jieba"}
    tokenizers.write_tokenizer(tmp_path, TOKENS, **told)
    tokenizer = GenaeWordTokenizer.from_pretrained(tmp_path, segment=recorded_words)
    record = json.loads((FOLDER / "options.json").read_text("utf-8"))
    (group,) = [one for one in record["options"] if "pre_tokenize" in one["options"]]
    assert group["options"]["do_lower_case"]
    compared = 0
    for case in group["cases"]:
        found = tokenizer(case["text"], return_offsets_mapping=True, split_special_tokens=True)
        assert found["input_ids"] == case["ids"], case
        if not case["rematch_error"]:
            spans = [(min(p), max(p) + 1) if p else (0, 0) for p in case["rematch"]]
            assert [tuple(pair) for pair in found["offset_mapping"]] == spans, case
            compared += 1
    assert compared == len(group["cases"]) == 20
    for case in group["pairs"]:
        ids = [
            tokenizer(text, split_special_tokens=True)["input_ids"]
            for text in (case["first"], case["second"])
            if text is not None
        ]
        if case["maxlen"] is not None:
            ids = tokenizers.truncate(case["maxlen"] + (len(ids) == 2), -2, *ids)
        assert ids[0] + [n for part in ids[1:] for n in part[1:]] == case["ids"], case


def test_words_of_the_vocabulary_are_tokens_and_others_are_split(wordpiece):
    tokenizer = transformers.AutoTokenizer.from_pretrained(wordpiece)
    assert list(jieba_words(TEXT))[:3] == ["今天天气", "不错", ","]
    found = tokenizer(TEXT, return_offsets_mapping=True)
    assert found.tokens()[1:4] == ["今天天气", "不错", ","]
    assert "网" not in TOKENS
    assert tokenizer.tokenize("网易,机遇") == ["[UNK]", "[UNK]", ",", "机", "[UNK]"]
    for token, (begin, end) in zip(found.tokens(), found["offset_mapping"], strict=True):
        if token not in tokenizer.all_special_tokens:
            assert TEXT[begin:end] == token.removeprefix("##")


def test_jieba_cuts_without_guessing_new_words():
    import jieba

    text = "他来到了网易杭研大厦"  # 杭研 is a word to the hidden Markov model alone
    assert list(jieba_words(text)) == list(jieba.cut(text, HMM=False))
    assert list(jieba_words(text)) != list(jieba.cut(text, HMM=True))


def test_inside_genae_it_is_found_by_name(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer) is GenaeWordTokenizer


def test_copies_cut_words_as_well(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert copy.deepcopy(tokenizer)(TEXT).data == tokenizer(TEXT).data


def test_what_is_saved_again_is_the_same_and_travels(folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXT)["input_ids"]
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer(TEXT)["input_ids"] == ids
    module = "tokenization_genae.py"
    assert (tmp_path / module).read_bytes() == (folder / module).read_bytes()
    new, old = (json.loads((one / "tokenizer.json").read_text()) for one in (tmp_path, folder))
    # `tokenizers` reads a score's last bit otherwise than it writes it.
    assert new | {"model": None} == old | {"model": None}
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXT)["input_ids"] == ids


def test_batches_cut_each_text(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [TEXT, "", "  ", "hello", "天气" * 50]
    assert tokenizer(texts)["input_ids"] == [tokenizer(text)["input_ids"] for text in texts]


ALONE = """
import json, sys
sys.modules.update(dict.fromkeys(("zoo", "convert")))  # an import of these fails
from transformers import AutoTokenizer
folders, text = json.loads(sys.argv[1])
for folder in folders:
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    print(json.dumps(tokenizer(text)["input_ids"]))
    try:
        AutoTokenizer.from_pretrained(folder)(text)
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.slow
def test_its_code_travels_and_nothing_goes_without_it(wordpiece, unigram, tmp_path):
    folders = [str(wordpiece), str(unigram)]
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", ALONE, json.dumps([folders, TEXT])],
        cwd=tmp_path,
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    printed = [line for line in done.stdout.splitlines() if line[:1] == "[" or "Err" in line]
    here = [transformers.AutoTokenizer.from_pretrained(one)(TEXT)["input_ids"] for one in folders]
    assert [json.loads(line) for line in printed[::2]] == here, done.stderr
    assert all("Error" in line for line in printed[1::2])
    assert len(printed) == 4


def test_without_jieba_the_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ImportError, match=re.escape('pip install "genae[chinese]"')):
        transformers.AutoTokenizer.from_pretrained(folder)


def test_words_that_are_not_in_the_text_are_an_error(wordpiece):
    tokenizer = GenaeWordTokenizer.from_pretrained(wordpiece, segment=lambda text: ["other"])
    with pytest.raises(Exception, match="ValueError: 'other' is not in the rest of 'text'"):
        tokenizer("text")


def test_an_unknown_way_to_cut_words_is_named(wordpiece, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(wordpiece)
    tokenizer.words["segment"] = "scissors"
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no way to cut words called 'scissors'; known: jieba"):
        transformers.AutoTokenizer.from_pretrained(tmp_path)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    """Two tokenizers: the class with one word, which is the text, and the plain one."""
    made = []
    for pre_tokenize in ("jieba", None):
        folder = tmp_path_factory.mktemp("uncut")
        told = {"do_lower_case": True, "max_length": 512, "pre_tokenize": pre_tokenize}
        tokenizers.write_tokenizer(folder, TOKENS, **told)
        more = {"segment": lambda text: [text]} if pre_tokenize else {}
        made.append(transformers.AutoTokenizer.from_pretrained(folder, **more))
    return made


@given(text=st.text(alphabet="机上教 ab,\uff21é\u0301\u200bΣİ\n機", max_size=20))
def test_one_word_that_is_the_text_changes_nothing(uncut, text):
    cut, plain = (tokenizer(text, return_offsets_mapping=True) for tokenizer in uncut)
    assert cut["input_ids"] == plain["input_ids"]
    assert cut["offset_mapping"] == plain["offset_mapping"]
