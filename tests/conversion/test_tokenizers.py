"""The converted tokenizer against what bert4keras's own recorded."""

import json

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from convert import tokenizers
from convert.tokenizers import vocabulary
from tests.conversion.records import FIXTURES
from zoo.errors import IntegrityError, NotFoundError

FOLDER = FIXTURES / "tokenizer"
CASES = {kind: kind == "lower" for kind in ("cased", "lower")}


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module", params=CASES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind)
    tokens = tokenizers.read_vocab(FOLDER / "vocab.txt")
    tokenizers.write_tokenizer(folder, tokens, do_lower_case=CASES[kind], max_length=512)
    return transformers.AutoTokenizer.from_pretrained(folder)


def span(positions):
    return (min(positions), max(positions) + 1) if positions else (0, 0)


def test_ids_segments_and_offsets_are_those_recorded(kind, tokenizer):
    differs = set()
    for case in recorded("tokenize")[kind]:
        text = case["text"]
        found = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
        same = found["input_ids"] == case["ids"]
        same = same and found["token_type_ids"] == case["segment_ids"]
        if same and not case["rematch_error"]:
            offsets = [
                tuple(pair) if pair[1] > pair[0] else (0, 0) for pair in found["offset_mapping"]
            ]
            same = offsets == [span(positions) for positions in case["rematch"]]
        if not same:
            differs.add(text)
    assert differs == {text for text, kinds in tokenizers.DIFFERENCES.items() if kind in kinds}


def test_special_tokens_in_a_text_are_understood_unless_they_are_split(tokenizer):
    mask = tokenizer.mask_token_id
    assert mask in tokenizer("[MASK]")["input_ids"]
    assert mask not in tokenizer("[MASK]", split_special_tokens=True)["input_ids"]


def test_pairs_are_those_recorded(tmp_path):
    tokens = tokenizers.read_vocab(FOLDER / "vocab.txt")
    tokenizers.write_tokenizer(tmp_path, tokens, do_lower_case=True, max_length=512)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    compared = 0
    for case in recorded("pairs")["encode"]:
        told = case["options"]
        # transformers has one pattern, and cuts at an end, not at an index.
        if told["pattern"] != "S*E*E" or told["truncate_from"] not in ("left", "right"):
            continue
        tokenizer.truncation_side = told["truncate_from"]
        found = tokenizer(
            case["first"],
            case["second"],
            split_special_tokens=True,
            truncation="longest_first" if told["maxlen"] else False,
            max_length=told["maxlen"],
        )
        if found["input_ids"] == case["ids"]:
            assert found["token_type_ids"] == case["segment_ids"], case
            compared += 1
            continue
        # Of two texts that are equally long bert4keras cuts the first, transformers the second.
        ours, theirs = sum(found["token_type_ids"]), sum(case["segment_ids"])
        assert theirs - ours == 1, case
        assert len(found["input_ids"]) == len(case["ids"]) == told["maxlen"], case
        assert (told["maxlen"] - 3) % 2, case
    assert compared > 12


def test_simplified_vocabularies_are_those_recorded():
    tokens = tokenizers.read_vocab(FOLDER / "vocab.txt")
    assert {token: number for number, token in enumerate(tokens)} == recorded("vocab")[
        "load_vocab"
    ]
    redundant = recorded("vocab")["is_redundant"]
    assert {token: vocabulary._redundant(token) for token in redundant} == redundant
    for case in recorded("vocab")["simplified"]:
        left, kept = tokenizers.simplify_vocab(tokens, case.get("startswith") or ())
        assert kept == case["keep_tokens"]
        assert left == case["tokens"]


@given(st.text(max_size=40))
def test_any_text_has_ids_of_the_vocabulary_and_offsets_inside_itself(text):
    tokenizer = _any_tokenizer()
    found = tokenizer(text, return_offsets_mapping=True)
    assert all(0 <= number < len(tokenizer) for number in found["input_ids"])
    assert all(0 <= begin <= end <= len(text) for begin, end in found["offset_mapping"])


_made = []


def _any_tokenizer():
    if not _made:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            tokens = tokenizers.read_vocab(FOLDER / "vocab.txt")
            tokenizers.write_tokenizer(Path(folder), tokens, do_lower_case=True, max_length=512)
            _made.append(transformers.AutoTokenizer.from_pretrained(folder))
    return _made[0]


def test_no_id_is_added_to_a_vocabulary(tmp_path):
    tokens = ["[PAD]", "a", "b", "[UNK]", "[CLS]", "[SEP]"]
    tokenizers.write_tokenizer(tmp_path, tokens, do_lower_case=False, max_length=8)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == 6
    assert tokenizer.mask_token is None
    assert tokenizer("a c b")["input_ids"] == [4, 1, 3, 2, 5]


def test_vocabularies_that_are_none(tmp_path):
    path = tmp_path / "vocab.txt"
    with pytest.raises(NotFoundError):
        tokenizers.read_vocab(path)
    path.write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(IntegrityError, match="not UTF-8 at byte 6"):
        tokenizers.read_vocab(path)
    path.write_text("a\n[unk]\na\n")
    with pytest.raises(IntegrityError, match=r"none of its 3 lines is \[UNK\].*has '\[unk\]'"):
        tokenizers.read_vocab(path)


def test_compound_tokens_have_names_that_do_not_clash():
    tokens = ["[PAD]", "a", "[compound1]", "b"]
    kept = tokenizers.keep_vocab(tokens, [0, 2, 3], 2)
    assert kept == ["[PAD]", "[compound1]", "b", "[compound2]", "[compound3]"]


def test_start_and_end_tokens_can_be_left_out_as_recorded(tmp_path):
    """bert4keras's `token_start=None` and `token_end=None`; what its other options do to texts
    before they are tokenized (`token_translate`, `pre_tokenize`) is the caller's."""
    tokens = tokenizers.read_vocab(FOLDER / "vocab.txt")
    tokenizers.write_tokenizer(tmp_path, tokens, do_lower_case=True, max_length=512)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    compared = 0
    for group in recorded("options")["options"]:
        told = dict(group["options"])
        if not told.pop("do_lower_case") or not told or any(told.values()):
            continue
        start = [] if "token_start" in told else [tokenizer.cls_token_id]
        end = [] if "token_end" in told else [tokenizer.sep_token_id]
        for case in group["cases"]:
            ids = tokenizer(case["text"], add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
            assert [*start, *ids, *end] == case["ids"], case["text"]
            compared += 1
    assert compared == 60
