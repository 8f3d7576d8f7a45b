"""SentencePiece models against what SentencePiece and bert4keras recorded."""

import json
import re
from itertools import chain

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from convert import tokenizers
from convert.tokenizers import sentencepiece
from convert.tokenizers.spm_model import Kind, Piece
from tests.conversion.bundles import field
from tests.conversion.spm_models import FOLDER, VARIANTS, model, piece
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.models import GenaeWordTokenizer

VARIOUS = json.loads((FOLDER / "sp_variants.json").read_text("utf-8"))


def recorded(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def words(text):
    """What `sp_cpm.json` names as its `pre_tokenize`, but for the marks of spaces."""
    return re.findall(r"\s|[a-zA-Z]+|[0-9]+|[\u4e00-\u9fff]{1,2}|\S", text)


def written(folder, content, **more):
    path = folder / "any.model"
    path.write_bytes(content)
    tokenizers.write_sentencepiece(folder, tokenizers.read_spm(path), max_length=512, **more)
    if "pre_tokenize" in more:
        return GenaeWordTokenizer.from_pretrained(folder, segment=words)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return written(tmp_path_factory.mktemp("t5"), VARIANTS["t5"], end=True, segments=False)


@pytest.fixture(scope="module")
def cpm(tmp_path_factory):
    return written(tmp_path_factory.mktemp("cpm"), VARIANTS["cpm"], pre_tokenize="jieba")


@pytest.fixture(params=["sp_t5", "sp_cpm"])
def case(request, t5, cpm):
    """The record, the tokenizer, and what `token_translate` makes of an id there."""
    record = recorded(request.param)
    pieces = record["pieces"]
    translated = {
        pieces.index(a): pieces.index(b)
        for a, b in record["options"].get("token_translate", {}).items()
    }
    return record, {"sp_t5": t5, "sp_cpm": cpm}[request.param], translated


def ids_of(tokenizer, text, translated, **more):
    found = tokenizer(text, split_special_tokens=True, **more)["input_ids"]
    return [translated.get(number, number) for number in found]


def test_pieces_keep_their_ids(case):
    record, tokenizer, _ = case
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == record["pieces"]


def test_every_recorded_text_has_its_ids_and_pieces(case):
    record, tokenizer, translated = case
    names = {record["pieces"][a]: record["pieces"][b] for a, b in translated.items()}
    for one in record["cases"]:
        assert ids_of(tokenizer, one["text"], translated) == one["ids"], one
        found = tokenizer(one["text"], split_special_tokens=True).tokens()
        # Unknown pieces, too, are the text that they stand for.
        assert [names.get(token, token) for token in found] == one["tokens"], one
        assert set(one["segment_ids"]) <= {0}


def test_every_recorded_pair_is_cut_to_its_ids(case):
    record, tokenizer, translated = case
    index = -2 if record["options"]["token_end"] else -1
    for one in record["pairs"]:
        texts = [text for text in (one["first"], one["second"]) if text is not None]
        parts = [ids_of(tokenizer, text, translated) for text in texts]
        if one["maxlen"] is not None:
            # Made for a start token, which is dropped from the second text, and absent here.
            parts = tokenizers.truncate(one["maxlen"] + (len(parts) == 2), index, *parts)
        assert list(chain.from_iterable(parts)) == one["ids"], one
        assert [n for n, part in enumerate(parts) for _ in part] == one["segment_ids"], one
    first, second = (one["text"] for one in record["cases"][:2])
    pair = tokenizer(first, second, split_special_tokens=True, return_token_type_ids=True)
    apart = [tokenizer(text, split_special_tokens=True)["input_ids"] for text in (first, second)]
    assert pair["input_ids"] == list(chain.from_iterable(apart))
    assert pair["token_type_ids"] == [n for n, part in enumerate(apart) for _ in part]


def test_recorded_texts_come_back_but_for_what_is_listed(case):
    record, tokenizer, translated = case
    back = {new: old for old, new in translated.items()}
    unknown, controls = tokenizer.unk_token_id, {*tokenizer.all_special_ids}
    controls -= {unknown}
    for one in record["cases"]:
        ids = [back.get(number, number) for number in one["ids"]]
        plain = [number for number in ids if number not in controls]
        assert tokenizer.decode(plain) == one["decoded"], one
        same = tokenizer.decode(ids, skip_special_tokens=True) == one["decoded"]
        assert same == (unknown not in ids), one  # the first line of `DECODED`
        assert (tokenizer.decode(ids) == one["decoded"]) == (plain == ids), one  # the second
    assert len(sentencepiece.DECODED) == 2


def test_listed_texts_differ_and_no_others(t5):
    listed = set(chain.from_iterable(sentencepiece.DIFFERENCES.values()))
    assert listed == set(VARIOUS["differ"])
    for text, ids in VARIOUS["differ"].items():
        assert ids_of(t5, text, {}, add_special_tokens=False) != ids, text


@pytest.mark.parametrize("name", VARIANTS)
def test_other_models_do_as_sentencepiece_does(name, tmp_path):
    tokenizer = written(tmp_path, VARIANTS[name])
    assert len(VARIOUS["texts"]) == len(VARIOUS["results"][name]) > 70
    for text, (ids, decoded) in zip(VARIOUS["texts"], VARIOUS["results"][name], strict=True):
        assert ids_of(tokenizer, text, {}, add_special_tokens=False) == ids, text
        assert tokenizer.decode(ids) == decoded, text


def test_special_pieces_have_their_roles(t5, cpm):
    assert (t5.pad_token_id, t5.eos_token_id, t5.unk_token_id) == (0, 1, 2)
    assert t5.bos_token is None
    assert t5.model_input_names == ["input_ids", "attention_mask"]
    assert (cpm.unk_token_id, cpm.bos_token_id, cpm.eos_token_id) == (0, 1, 2)
    assert (cpm.cls_token_id, cpm.pad_token_id) == (3, 4)


def test_albert_gets_its_ends(tmp_path):
    more = piece("[CLS]", 0, 3) + piece("[SEP]", 0, 3) + piece("[MASK]", 0, 4)
    tokenizer = written(tmp_path, model(more=more))
    found = tokenizer("hello [MASK]", "it")
    assert found["input_ids"] == [260, 136, 262, 261, 8, 261]
    assert found["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert tokenizer.mask_token_id == 262


def test_unused_pieces_and_compounds_come_from_no_text(tmp_path):
    content = model(more=piece("hello world", -0.1, 5))
    (tmp_path / "a.model").write_bytes(content)
    kept = tokenizers.keep_pieces(tokenizers.read_spm(tmp_path / "a.model"), None, 2)
    tokenizers.write_sentencepiece(tmp_path, kept, max_length=8)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == 263
    for text in ("hello world", "<compound 1>", "<compound 2>"):
        assert max(tokenizer(text)["input_ids"]) < 260


def test_kept_pieces_have_their_scores_in_the_new_order(tmp_path):
    (tmp_path / "a.model").write_bytes(VARIANTS["t5"])
    whole = tokenizers.read_spm(tmp_path / "a.model")
    keep = [0, 1, 2, *range(259, 2, -1)]
    kept = tokenizers.keep_pieces(whole, keep)
    assert kept.pieces == tuple(whole.pieces[number] for number in keep)
    tokenizers.write_sentencepiece(tmp_path, kept, max_length=512)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for one in recorded("sp_t5")["cases"]:
        ids = ids_of(tokenizer, one["text"], dict(enumerate(keep)))
        assert ids == one["ids"][:-1]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ([0, 2, 260], "260 is none of the ids 0 to 259"),
        ([0, 2, -1], "-1 is none"),
        ([2, 5, 5], "5 is there twice"),
        ([0, 1, 5], "leaves out 2, <unk>"),
    ],
)
def test_pieces_that_cannot_be_kept_are_named(keep, message):
    whole = tokenizers.read_spm(FOLDER / "sp_t5.model")
    with pytest.raises(UsageError, match=message):
        tokenizers.keep_pieces(whole, keep)


def spoilt(*values):
    """The recorded model with another charsmap: its size, its array of 1024 bytes, its strings."""
    units = b"".join(value.to_bytes(4, "little") for value in values).ljust(1024, b"\0")
    return model(normalizing=field(2, (1024).to_bytes(4, "little") + units + b"a\0b\0"))


BROKEN = {
    "nothing": b"",
    "text": b"version https://git-lfs.github.com/spec/v1\n",
    "cut": VARIANTS["t5"][:-7],
    "no pieces": b"".join([field(2, b""), field(3, b"")]),
    "no unknown": piece("a"),
    "two unknown": model(more=piece("b", 0, 2)),
    "only unknown": piece("b", 0, 2),
    "repeated": model(more=piece("</s>")),
    "empty": model(more=piece("")),
    "not UTF-8": model(more=piece(b"\xff")),
    "not finite": model(more=piece("new", float("nan"))),
    "no logarithm": model(more=piece("new", -1e35)),
    "type": model(more=piece("new", 0, 9)),
    "algorithm": model(training=field(3, 7)),
    "number for text": model(more=field(1, field(1, 5))),
    "text for number": model(more=field(1, field(1, b"new") + field(3, b"x"))),
    "specification": model(more=field(2, 5)),
    "bytes": model(training=field(35, 1)),
    "charsmap number": model(normalizing=field(2, 5)),
    "charsmap short": model(normalizing=field(2, b"\0\1")),
    "charsmap size": model(normalizing=field(2, (2**31).to_bytes(4, "little") + bytes(1024))),
    "charsmap odd size": model(normalizing=field(2, (7).to_bytes(4, "little") + bytes(1024))),
    "charsmap child": spoilt(256 << 10),
    "charsmap string": spoilt((1 << 10) | 256, 1),
    "charsmap UTF-8": model(
        normalizing=field(2, (1024).to_bytes(4, "little") + bytes(1024) + b"\xff\0")
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_model_is_named(name, tmp_path):
    (tmp_path / "bad.model").write_bytes(BROKEN[name])
    with pytest.raises(IntegrityError, match=r"bad\.model: no SentencePiece model, or a damaged"):
        tokenizers.read_spm(tmp_path / "bad.model")


@pytest.mark.parametrize(
    ("training", "message"),
    [(field(3, 2), "model_type bpe"), (field(3, 4), "char"), (field(24, 1), "whitespace_as")],
)
def test_models_of_other_kinds_are_refused_by_name(training, message, tmp_path):
    (tmp_path / "other.model").write_bytes(model(training=training))
    with pytest.raises(UsageError, match=rf"other\.model: .*{message}"):
        tokenizers.read_spm(tmp_path / "other.model")
    with pytest.raises(NotFoundError):
        tokenizers.read_spm(tmp_path / "absent.model")


@given(text=st.text(max_size=40))
def test_any_text_has_ids_and_offsets_inside_itself(t5, text):
    found = t5(text, return_offsets_mapping=True)
    assert all(0 <= number < 260 for number in found["input_ids"])
    assert all(0 <= begin <= end <= len(text) for begin, end in found["offset_mapping"])


@given(words=st.lists(st.sampled_from(["hello", "it", "model", "类", "world"]), min_size=1))
def test_known_words_come_back(t5, words):
    text = " ".join(words)
    assert t5.decode(t5(text)["input_ids"], skip_special_tokens=True) == text


def test_kinds_are_those_of_the_format():
    assert [kind.value for kind in Kind] == [1, 2, 3, 4, 5, 6]
    assert Piece("a").kind is Kind.NORMAL
