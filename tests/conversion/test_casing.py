"""Whether texts are lower-cased: what the words of a vocabulary say, and what is done then."""

import json
import struct
import unicodedata

import pytest
import transformers

import convert
from convert import tokenizers
from convert.tokenizers.spm_model import Kind, Piece, SpmModel
from tests.conversion.bundles import field
from tests.conversion.records import LEGACY
from tests.conversion.spm_models import VARIANTS, model, piece
from zoo.errors import UsageError

HEAD = ["[PAD]", *(f"[unused{n}]" for n in range(1, 5)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MARKS = ["<S>", "<T>"]
LETTERS = [*"ABCabc", *"国天"]
SMALL = ["the", "##ing", "play", "html"]

#: Tokens of each kind of vocabulary -> whether its texts are lower-cased.
KINDS = {
    "google chinese": ([*HEAD, *MARKS, *SMALL, *"国天"], True),
    "uncased": ([*HEAD, *SMALL], True),
    "cased": ([*HEAD, *SMALL, "The"], False),
    "cased, with the marks": ([*HEAD, *MARKS, *SMALL, "BERT"], False),
    "single capitals alone": ([*HEAD, *LETTERS], True),
    "capitals beside small words": ([*HEAD, *LETTERS, *SMALL], True),
    "ideographs alone": ([*HEAD, *"国天", "天气"], True),
    "nothing": ([], True),
    "marks alone": (["[UNK]", "[SEP]", *MARKS], True),
    "capitals inside words": ([*HEAD, *SMALL, "##ING", "##Be"], True),
    "an accent": ([*HEAD, *SMALL, "\xdcber"], False),
    "small accents": ([*HEAD, *SMALL, "\xfcber", "na\xefve"], True),
    "a capital with an accent": ([*HEAD, "\xc9\xc8"], False),
    "full-width letters": ([*HEAD, *SMALL, "\uff21\uff22"], True),
    "signs and digits": ([*HEAD, *SMALL, "A1", "A-B", "U.S."], True),
    "bytes": ([*HEAD, "\u0120the", "play", "\xc3\xa9\xc4", "\u0120", "<0x41>"], True),
    "cased bytes": ([*HEAD, "\u0120The", "play"], False),
    "a task's words at reserved places": (
        [*HEAD[:2], "ORG", "PER", *HEAD[4:], *MARKS, *SMALL],
        True,
    ),
    "at the first and the last of them": ([HEAD[0], "SUB", *HEAD[2:4], "OBJ", *HEAD[5:]], True),
    "at all of Google's": (
        [HEAD[0], *["ORG", "Per", "LOC"] * 33, *HEAD[5:], *MARKS, *SMALL],
        True,
    ),
    "words at as many places elsewhere": (
        [HEAD[0], *["ORG", "Per", "LOC"] * 32, *HEAD[5:], *MARKS, *SMALL],
        False,
    ),
    "such words elsewhere": ([*HEAD, *SMALL, "ORG"], False),
    "reserved names at both ends": ([*HEAD, *SMALL, "The", "[unused3]"], False),
    "a capital before reserved names": (["[UNK]", "the", "Hello", "[unused1]"], False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_words_tell_the_casing(kind):
    tokens, lower = KINDS[kind]
    found = tokenizers.casing_of(tokens, "vocab.txt")
    assert (found.lower, found.inside) == (lower, False)
    assert "vocab.txt" in found.why


#: Those that are of lists of tokens alone: pieces have no ## and no reserved places.
OF_LISTS = (
    *("capitals inside words", "a task's words at reserved places"),
    "at the first and the last of them",
    "at all of Google's",
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OF_LISTS])
def test_pieces_tell_the_same(kind):
    tokens, lower = KINDS[kind]
    pieces = [Piece("<unk>", kind=Kind.UNKNOWN), Piece("<S>", kind=Kind.CONTROL)]
    pieces += [Piece("KEEP", kind=Kind.USER_DEFINED), Piece("BOS", kind=Kind.CONTROL)]
    pieces += [Piece(f"▁{token}") for token in tokens]
    assert tokenizers.casing_of_pieces(SpmModel(tuple(pieces)), "a.model").lower == lower


@pytest.mark.slow
def test_every_published_vocabulary(shared_data):
    """All of `facts.json`: what authors and users say of the casing."""
    published = shared_data / "published"
    if not published.is_dir():
        pytest.skip("no published vocabularies in ../shared/data")
    compared = 0
    for name, facts in json.loads((published / "facts.json").read_text("utf-8")).items():
        for file in facts["files"]:
            path = published / name / file
            if path.suffix == ".model":
                found = tokenizers.casing_of_pieces(tokenizers.read_spm(path), file)
            elif path.suffix == ".txt" and "vocab" in file:
                found = tokenizers.casing_of(tokenizers.read_vocab(path), file)
            else:
                continue
            assert found.lower == facts["do_lower_case"], (name, file, found.why)
            compared += 1
    assert compared >= 28


def bring_over(folder, out, **told):
    report = convert.convert_checkpoint(folder / "bert_model.ckpt", out, options=told)
    return report, transformers.AutoTokenizer.from_pretrained(out)


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of a checkpoint whose last tokens are others."""

    def make(*last):
        folder = tmp_path / "in"
        folder.mkdir()
        for file in (LEGACY / "bert_full").glob("b*"):
            (folder / file.name).symlink_to(file)
        lines = (LEGACY / "bert_full/vocab.txt").read_text("utf-8").split()
        (folder / "vocab.txt").write_text("\n".join([*lines[: -len(last)], *last]), "utf-8")
        return folder

    return make


def test_a_chinese_vocabulary_with_its_marks_is_lower_cased(checkpoint, tmp_path):
    report, tokenizer = bring_over(checkpoint("<S>", "<T>"), tmp_path / "out")
    assert tokenizer.tokenize("The Play 国") == ["the", "play", "国"]
    assert report.defaults["do_lower_case"] is True
    (note,) = [note for note in report.notes if "do_lower_case" in note]
    assert (
        note == "do_lower_case=True: of 2 words of Latin letters in vocab.txt none has a capital"
    )


def test_what_is_given_holds(checkpoint, tmp_path):
    folder = checkpoint("<S>", "<T>")
    report, tokenizer = bring_over(folder, tmp_path / "out", do_lower_case=False)
    assert tokenizer.tokenize("The play") == ["[UNK]", "play"]
    assert "do_lower_case" not in report.defaults
    assert any("do_lower_case=False was given" in note for note in report.notes)
    report, _ = bring_over(folder, tmp_path / "other", do_lower_case=1)
    assert not any("do_lower_case" in note for note in report.notes)
    with pytest.raises(UsageError, match="do_lower_case is 'maybe'; it can be true or false"):
        bring_over(folder, tmp_path / "third", do_lower_case="maybe")


def test_the_whole_vocabulary_tells_not_what_is_kept_of_it(checkpoint, tmp_path):
    keep = list(range(40))
    report, tokenizer = bring_over(checkpoint("The"), tmp_path / "out", keep_tokens=keep)
    assert "The" not in tokenizer.get_vocab()
    assert report.defaults["do_lower_case"] is False
    found = convert.inspect(tmp_path / "in/bert_model.ckpt")
    assert found.defaults["do_lower_case"] is False
    assert any("have capitals: The" in note for note in found.notes)


def preprocess(text):
    """What google-research/albert's `preprocess_text` gives."""
    text = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(c for c in text if not unicodedata.combining(c)).lower()


TEXTS = (
    "Hello World", "  two \t spaces\n", "caf\xe9 CAF\xc9 cafe\u0301", "\u0130stanbul", "ΑΣ ΑΣΑ",
    "国 NLP 学\u3000AI", "\ufb01ne \u00bd \uff21\uff22", "a\u0301\u0323", "\ud55c\uae00", "", " ",
    "12 ``it'' 3,5", "a\x1cb", "\u0915\u093f\u0902",
)  # fmt: skip


def written(folder, content, **told):
    folder.mkdir()
    (folder / "a.model").write_bytes(content)
    read = tokenizers.read_spm(folder / "a.model")
    tokenizers.write_sentencepiece(folder, read, max_length=64, **told)
    return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)


@pytest.mark.parametrize("variant", ["t5", "identity", "all_spaces", "no_dummy_prefix"])
def test_lower_casing_before_sentencepiece_is_albert_s(tmp_path, variant):
    plain = written(tmp_path / "plain", VARIANTS[variant])
    lowered = written(tmp_path / "lowered", VARIANTS[variant], do_lower_case=True)
    for text in TEXTS:
        assert lowered.tokenize(text) == plain.tokenize(preprocess(text)), text
    assert lowered.tokenize("Hello") != plain.tokenize("Hello")


def test_words_of_pieces_are_those_of_the_lower_cased_text(tmp_path):
    plain = written(tmp_path / "plain", VARIANTS["cpm"], pre_tokenize="jieba")
    lowered = written(
        tmp_path / "lowered", VARIANTS["cpm"], pre_tokenize="jieba", do_lower_case=True
    )
    assert lowered.tokenize("Hello 国 NLP\nAI") == plain.tokenize("hello 国 nlp\nai")


def lower_casing():
    """A compiled normalization that makes A of a, and touches nothing else."""
    units = [0] * 512
    units[0] = 256 << 10
    units[256 ^ 0x41] = 0x41 | 256 | 1 << 10
    units[256 ^ 0x40] = 1 << 31
    return struct.pack("<I512I", 2048, *units) + b"a\0"


def test_a_normalization_that_lower_cases_is_enough(tmp_path):
    content = model(normalizing=field(2, lower_casing()))
    (tmp_path / "a.model").write_bytes(content)
    read = tokenizers.read_spm(tmp_path / "a.model")
    found = tokenizers.casing_of_pieces(read, "a.model")
    assert (found.lower, found.inside) == (True, True)
    assert "normalization" in found.why


ENGLISH = [("<pad>", 3), ("<unk>", 2), ("[CLS]", 3), ("[SEP]", 3), ("[MASK]", 3)]


def test_english_albert_is_lower_cased(tmp_path):
    """Google's own: pieces without capitals, and a SentencePiece model that keeps them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in (LEGACY / "albert").glob("*b*"):
        if file.is_file():
            (folder / file.name).symlink_to(file)
    (folder / "vocab.txt").unlink(missing_ok=True)
    rows = json.loads((LEGACY / "albert/bert_config.json").read_text("utf-8"))["vocab_size"]
    more = ["▁hello", "▁cafe", "▁", "▁99", "▁99,", ",", *"abcdefghijklmnopqrstuvwxyz"]
    content = b"".join(piece(text, 0.0, kind) for text, kind in ENGLISH)
    content += b"".join(piece(text, -float(n)) for n, text in enumerate(more))
    content += b"".join(piece(f"▁{n}0", -50.0) for n in range(rows - len(more) - len(ENGLISH)))
    (folder / "30k-clean.model").write_bytes(content)
    report = convert.convert_checkpoint(folder / "bert_model.ckpt", tmp_path / "out")
    assert report.defaults["do_lower_case"] is True
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.tokenize("Hello Caf\xe9") == ["▁hello", "▁cafe"]
    assert tokenizer.tokenize("hello 99,") == ["▁hello", "▁99", ","]
    told = {"do_lower_case": False}
    convert.convert_checkpoint(folder / "bert_model.ckpt", tmp_path / "as told", options=told)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "as told")
    assert tokenizer.unk_token_id in tokenizer("Hello")["input_ids"]


#: A text and what Google's `encode_pieces` makes of it: the comma is a piece of its own.
NUMBERS = {
    "in 2010, he": ["▁in", "▁2010", ",", "▁he"],
    "1,000, x2,": ["▁1,000", ",", "▁x", "2", ","],
    "he, 10": ["▁he,", "▁10"],
}


def test_albert_parts_numbers_from_commas(tmp_path):
    """What SentencePiece gives is taken apart again there; elsewhere, as in mT5, it is not."""
    more = ["▁in", "▁he", "▁he,", "▁2010,", "▁2010", "▁1,000", "2,", "2", ",", "▁10", "▁x", "▁"]
    content = b"".join(piece(text, 0.0, kind) for text, kind in ENGLISH)
    content += b"".join(piece(text, -1.0) for text in more)
    plain = written(tmp_path / "plain", content)
    parted = written(tmp_path / "parted", content, part_commas=True)
    assert plain.tokenize("in 2010, he") == ["▁in", "▁2010,", "▁he"]
    assert {text: parted.tokenize(text) for text in NUMBERS} == NUMBERS


def test_commas_are_parted_as_google_s_code_does(tmp_path, shared_data):
    """The published model, held to a transcript of `encode_pieces` over SentencePiece's pieces."""
    path = shared_data / "published/albert_large_v1_en/30k-clean.model"
    if not path.is_file():
        pytest.skip("no published vocabularies in ../shared/data")
    plain = written(tmp_path / "plain", path.read_bytes(), do_lower_case=True)
    parted = written(tmp_path / "parted", path.read_bytes(), do_lower_case=True, part_commas=True)

    def as_google(text):
        found = []
        for one in plain.tokenize(text):
            if len(one) < 2 or one[-1] != "," or not one[-2].isdigit():
                found.append(one)
                continue
            again = plain.tokenize(one[:-1].replace("▁", ""))
            if one[0] != "▁" and again[0][0] == "▁":
                again = again[1:] if len(again[0]) == 1 else [again[0][1:], *again[1:]]
            found += [*again, ","]
        return found

    texts = [
        f"On May {day}, {1900 + 7 * day}, {day * 999},{day + 99} of 1,000," for day in range(31)
    ]
    assert [parted.tokenize(text) for text in texts] == [as_google(text) for text in texts]
    assert "▁2010," in plain.tokenize("in 2010, he")
    assert parted.tokenize("in 2010, he") == ["▁in", "▁2010", ",", "▁he"]
