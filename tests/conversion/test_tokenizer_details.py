"""What surrounds a converted tokenizer: odd vocabularies, cutting, decoding, options, pairs."""

import json
import unicodedata
from itertools import chain

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from convert import tokenizers
from tests.conversion.records import FIXTURES
from zoo.errors import IntegrityError, UsageError

FOLDER = FIXTURES / "tokenizer"
TOKENS = tokenizers.read_vocab(FOLDER / "vocab.txt")
ODD = FOLDER / "vocab_odd.txt"
ENDS = {"right": -2, "left": 1}


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    made = {}

    def make(lower, tokens=TOKENS):
        key = lower, tuple(tokens)
        if key not in made:
            folder = tmp_path_factory.mktemp("tokenizer")
            tokenizers.write_tokenizer(folder, tokens, do_lower_case=lower, max_length=512)
            made[key] = transformers.AutoTokenizer.from_pretrained(folder)
        return made[key]

    return make


def test_texts_decode_as_recorded(load):
    cases = recorded("decode")["decode"]
    cases += [case for kind in ("cased", "lower") for case in recorded("tokenize")[kind]]
    for case in cases:
        assert load(True).decode(case["ids"], skip_special_tokens=True) == case["decoded"], case


def test_a_digit_joins_one_neighbour_when_decoded(load):
    ids = load(True).convert_tokens_to_ids(list("1.2.3"))
    assert load(True).decode(ids) == "1.2. 3"


def test_pairs_cut_as_bert4keras_are_those_recorded(load):
    for case in recorded("pairs")["encode"]:
        told = case["options"]
        short = told["pattern"] == "S*E*E"
        texts = [text for text in (case["first"], case["second"]) if text is not None]
        ids = [load(True)(text, split_special_tokens=True)["input_ids"] for text in texts]
        if told["maxlen"] is not None:
            most = told["maxlen"] + (short and len(ids) == 2)
            index = ENDS.get(told["truncate_from"], told["truncate_from"])
            ids = tokenizers.truncate(most, index, *ids)
        if short:
            ids[1:] = [second[1:] for second in ids[1:]]
        assert list(chain.from_iterable(ids)) == case["ids"], case
        assert [n for n, part in enumerate(ids) for _ in part] == case["segment_ids"], case


def test_sequences_are_cut_as_recorded():
    for case in recorded("pairs")["truncate_sequences"]:
        cut = tokenizers.truncate(case["maxlen"], case["index"], *case["sequences"])
        assert cut == case["result"], case
    with pytest.raises(UsageError, match="maxlen 1 is too short"):
        tokenizers.truncate(1, -2, "ab", "cd")


def test_one_text_is_cut_by_transformers_as_recorded(load):
    for case in recorded("pairs")["tokenize_maxlen"]:
        ids = [TOKENS.index(t if t in TOKENS else "[UNK]") for t in case["tokens"]]
        told = {"truncation": True, "max_length": case["maxlen"], "split_special_tokens": True}
        assert load(True)(case["text"], **told)["input_ids"] == ids, case


def test_options_differ_only_where_they_are_not_written(load):
    for group in recorded("options")["options"]:
        told = group["options"]
        tokenizer = load(told["do_lower_case"])
        ends = [told.get("token_start", "[CLS]"), told.get("token_end", "[SEP]")]
        first, last = ([TOKENS.index(end)] if end else [] for end in ends)
        differs = set()
        for case in group["cases"]:
            ids = tokenizer(case["text"], add_special_tokens=False, split_special_tokens=True)
            if first + ids["input_ids"] + last != case["ids"]:
                differs.add(case["text"])
        assert differs == OPTIONS.get(next(reversed(told)), set()), told
    assert OPTIONS.keys() <= tokenizers.NOT_WRITTEN.keys()


#: Option -> recorded texts that it changes.
OPTIONS: dict[str, set[str]] = {
    "word_maxlen": {
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        " v2.0  world 100token it 南基上机道、教们西员[MASK]",
    },
    "token_translate": {
        "\uff21\uff22华 xyz the [MASK]通年play ",
    },
    "pre_tokenize": {
        "100token  NLP naive \u200b",
        "hi😀there",
        "soft\u00adhyphen",
        "\u3000育近한 Playing",
        "\uff1f增\uff11\uff12 token 正全八。容过府完数运…",
        "须通可类无龘한deep ",
        "Ǆungla",
        "한\uff11\uff12人较类第don 满验\uff01##s来 naïve",
        " v2.0 transformers\uff0c类东年声v2.0须规容tokens 圆—",
        "こんにちは",
    },
}


def test_simplified_vocabularies_tokenize_as_recorded(load):
    vocab = recorded("vocab")
    tokens = vocab["simplified"][0]["tokens"]
    for case in vocab["simplified_tokenize"]:
        found = load(True, tokens)(case["text"], split_special_tokens=True)
        assert found["input_ids"] == case["ids"], case


def test_an_odd_vocabulary_is_read_as_recorded_and_counted_by_lines():
    ids = {}
    for word in tokenizers.read_words(ODD):
        ids[word] = len(ids)
    assert ids == recorded("vocab")["load_vocab_odd"]
    assert len(set(ids.values())) < len(ids)  # two tokens with one id: no list says that
    by_lines = {token: number for number, token in enumerate(tokenizers.read_words(ODD))}
    tokens = tokenizers.read_vocab(ODD)
    assert {token: tokens.index(token) for token in by_lines} == by_lines
    assert set(tokens) - set(by_lines) == {"[unused1]", "[unused2]", "[unused3]"}


def test_line_ends_marks_and_blank_lines(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\ufeff[UNK]\r\n[CLS]\r[SEP] note\n\nu\u2028v\n".encode())
    assert tokenizers.read_vocab(path) == ["[UNK]", "[CLS]", "[SEP]", "", "u"]
    path.write_text("[CLS]\na\n")
    with pytest.raises(IntegrityError, match=r"none of its 2 lines is \[UNK\]"):
        tokenizers.read_vocab(path)


def test_ids_and_tokens_that_are_not_there_are_named():
    with pytest.raises(UsageError, match="keep_tokens: 2 is none of the ids 0 to 1"):
        tokenizers.keep_vocab(["a", "b"], [0, 2])
    with pytest.raises(UsageError, match="keep_tokens: 1 is there twice"):
        tokenizers.keep_vocab(["a", "b"], [1, 1])
    with pytest.raises(UsageError, match="startswith names 'c'"):
        tokenizers.simplify_vocab(["a", "b"], ["c"])


@pytest.mark.parametrize("text", ["ΔΣ", "ΔΣΔ ΔΣ. Σ", "ΔΎΣΣΣ", "Δ\u0301Σ\u0301", "ΔΣ'Δ"])
def test_lower_case_is_pythons(load, text):
    steps = load(True).backend_tokenizer.normalizer
    decomposed = unicodedata.normalize("NFD", text.lower())
    assert steps.normalize_str(text) == decomposed.replace("\u0301", "")


def test_what_is_saved_again_is_the_same(load, tmp_path):
    load(True).save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for case in recorded("tokenize")["lower"]:
        assert again(case["text"], split_special_tokens=True)["input_ids"] == case["ids"]


WHOLE = [t for t in TOKENS if t.isascii() and t.isalpha() and t.islower()]


@given(words=st.lists(st.sampled_from(WHOLE), min_size=1, max_size=8))
def test_words_of_the_vocabulary_come_back(load, words):
    text = " ".join(words)
    ids = load(True)(text)["input_ids"]
    assert ids[1:-1] == [TOKENS.index(word) for word in words]
    assert load(True).decode(ids, skip_special_tokens=True) == text
