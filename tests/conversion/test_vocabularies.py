"""Which tokenizer a conversion gives: the vocabulary next to the checkpoint, and its options."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

import convert
import zoo
from convert import tokenizers
from convert.tokenizers.candidates import candidates
from tests.conversion.bundles import field
from tests.conversion.records import LEGACY
from tests.conversion.spm_models import VARIANTS, parts
from zoo.errors import IntegrityError, MissingDependencyError, UsageError
from zoo.models import GenaeWordTokenizer

ROWS = 73  # of mt5's embeddings


def smaller(count):
    """The recorded T5 model with its first pieces only."""
    stored = parts("sp_t5")
    kept = [pair for pair in stored if pair[0] == 1][:count]
    return b"".join(field(*pair) for pair in kept + [p for p in stored if p[0] != 1])


@pytest.fixture
def place(tmp_path):
    """A place for a checkpoint with a vocabulary of the test's choice."""

    def make(name, **files):
        folder = tmp_path / "in"
        shutil.copytree(LEGACY / name, folder)
        for file, content in files.items():
            path = folder / file.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return make


def bring_over(folder, family=None, **told):
    out = folder.parent / "out"
    return convert.convert_checkpoint(
        folder / "bert_model.ckpt", out, family=family, options=told
    ), out


def test_a_sentencepiece_model_gives_a_tokenizer(place):
    report, out = bring_over(place("mt5", any__model=smaller(ROWS)), "mt5.1.1")
    assert {"tokenizer.json", "tokenizer_config.json"} <= set(report.files)
    assert not any("vocab" in note or "pieces" in note for note in report.notes)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    ids = tokenizer("2023 it", return_tensors="pt")
    assert ids["input_ids"].tolist() == [[7, 8, 1]]
    assert set(ids) == {"input_ids", "attention_mask"}
    model = zoo.from_pretrained(out)
    with torch.no_grad():
        logits = model(**ids, decoder_input_ids=torch.tensor([[0]])).logits
    assert logits.shape == (1, 1, ROWS)
    assert model.config.eos_token_id == tokenizer.eos_token_id == 1
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0


def test_rows_behind_the_pieces_are_reported(place):
    report, out = bring_over(place("mt5", spiece__model=smaller(60)), "mt5.1.1")
    (note,) = [note for note in report.notes if "pieces" in note]
    assert "spiece.model has 60 pieces, the checkpoint 73 rows" in note
    assert len(transformers.AutoTokenizer.from_pretrained(out)) == 60


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"any__model": smaller(74)}, IntegrityError, "any.model has 74 pieces, the .* 73 rows"),
        ({"any__model": b"\0"}, IntegrityError, "any.model: no SentencePiece model"),
        (
            {"a__model": smaller(9), "b__model": smaller(9)},
            UsageError,
            "several vocabularies .*: a.model, b.model; leave the one",
        ),
        (
            {"a__model": smaller(9), "vocab__txt": "[UNK]\n"},
            UsageError,
            "several .*: a.model, vocab.txt",
        ),
    ],
)
def test_vocabularies_that_do_not_fit_are_named(place, files, error, message):
    folder = place("mt5", **files)
    with pytest.raises(error, match=message):
        bring_over(folder, "mt5.1.1")
    assert not (folder.parent / "out").exists()


def test_a_published_name_comes_before_others_but_for_its_size(place):
    files = {"spiece__model": smaller(9), "other__model": smaller(ROWS)}
    report, out = bring_over(place("mt5", **files), "mt5.1.1")
    assert len(transformers.AutoTokenizer.from_pretrained(out)) == ROWS
    assert any("not spiece.model (9 tokens)" in note for note in report.notes)


def test_a_published_name_comes_before_others(place):
    files = {"spiece__model": smaller(ROWS), "other__model": b"no such thing"}
    _, out = bring_over(place("mt5", **files), "mt5.1.1")
    assert (out / "tokenizer.json").is_file()


KEEP = [0, 1, 2, 40, 41, 9, 72, 20, 21, 8, 50]


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut down already"])
def test_kept_pieces_go_with_kept_rows(place, cut):
    """Of a whole model, or beside one that was cut down as bert4keras's users do it."""
    content = smaller(ROWS)
    if cut:
        stored = parts("sp_t5")
        content = b"".join(field(*stored[number]) for number in KEEP)
        content += b"".join(field(*pair) for pair in stored if pair[0] != 1)
    folder = place("mt5", spm__model=content)
    report, out = bring_over(folder, "mt5.1.1", keep_tokens=KEEP)
    assert any("cut down already" in note for note in report.notes) == cut
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    whole = [value for number, value in parts("sp_t5") if number == 1]
    kept = tokenizer.convert_ids_to_tokens(range(len(KEEP)))
    assert len(tokenizer) == len(KEEP)
    assert all(token.encode() in whole[number] for token, number in zip(kept, KEEP, strict=True))
    with convert.open_checkpoint(folder / "bert_model.ckpt") as checkpoint:
        table = checkpoint["shared/embedding"].numpy()
    assert np.array_equal(load_file(out / "model.safetensors")["shared.weight"], table[KEEP])


def test_the_unknown_piece_must_stay(place):
    with pytest.raises(UsageError, match="keep_tokens leaves out 2, <unk>"):
        bring_over(place("mt5", any__model=smaller(ROWS)), "mt5.1.1", keep_tokens=[0, 1, 5])


def test_cpm_gets_its_words(place):
    rows = json.loads((LEGACY / "gpt2/bert_config.json").read_text())["vocab_size"]
    stored = parts("sp_cpm")
    content = b"".join(field(*pair) for pair in stored if pair[0] != 1)
    content += b"".join(field(*pair) for pair in [p for p in stored if p[0] == 1][:rows])
    folder = place("gpt2", chinese_vocab__model=content)
    (folder / "vocab.txt").unlink()
    _, out = bring_over(folder, "gpt2", pre_tokenize="jieba")
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert type(tokenizer) is GenaeWordTokenizer
    assert tokenizer.tokenize("12 it")[:2] == ["▁12", "▁"]
    ids = tokenizer("12 it", return_tensors="pt")
    with torch.no_grad():
        assert zoo.from_pretrained(out)(**ids).logits.shape[-1] == rows


def words_in(vocab):
    tokens = vocab.read_text("utf-8").split("\n")
    tokens[-2] = "天气"
    return "\n".join(tokens)


def test_words_are_cut_if_told_and_else_missed(place):
    folder = place("roformer")
    (folder / "vocab.txt").write_text(words_in(folder / "vocab.txt"), "utf-8")
    report, out = bring_over(folder, "roformer")
    assert any("pre_tokenize=jieba" in note for note in report.notes)
    assert "天气" not in transformers.AutoTokenizer.from_pretrained(out).tokenize("天气")
    shutil.rmtree(out)
    report, out = bring_over(folder, "roformer", pre_tokenize="jieba")
    assert not any("pre_tokenize" in note for note in report.notes)
    assert transformers.AutoTokenizer.from_pretrained(out).tokenize("天气") == ["天气"]


def test_loading_says_what_words_need(place, monkeypatch):
    from zoo.loading import load_with_tokenizer

    _, out = bring_over(place("bert_full"), pre_tokenize="jieba")
    assert load_with_tokenizer(out, "ForMaskedLM")[1].tokenize("[MASK]") == ["[MASK]"]
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "genae\[chinese\]"'):
        load_with_tokenizer(out, "ForMaskedLM")


def test_words_without_a_vocabulary_are_an_error(place):
    folder = place("roformer")
    with pytest.raises(UsageError, match="pre_tokenize is 'hanlp'; it can be jieba"):
        bring_over(folder, "roformer", pre_tokenize="hanlp")
    (folder / "vocab.txt").unlink()
    with pytest.raises(UsageError, match="pre_tokenize=jieba without a vocabulary"):
        bring_over(folder, "roformer", pre_tokenize="jieba")


START = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.mark.parametrize("told", [{}, {"startswith": [*START[::-1], "[MASK]"]}], ids=str)
def test_a_simplified_vocabulary_goes_with_its_rows(place, told):
    """The new ids of a text are to the new model what the old ids were to the old one."""
    folder = place("bert_full")
    tokens = tokenizers.read_vocab(folder / "vocab.txt")
    tokens[20], tokens[60], tokens[-1] = "天气", "##机", "##a!"
    (folder / "vocab.txt").write_text("\n".join(tokens), "utf-8")
    _, out = bring_over(folder)
    old_tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    old = zoo.from_pretrained(out)
    shutil.move(out, folder.parent / "whole")
    report, out = bring_over(folder, simplified=True, **told)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    new = zoo.from_pretrained(out)
    left, kept = tokenizers.simplify_vocab(tokens, told.get("startswith", START))
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == left
    assert len(left) == len(tokens) - 4 + ("startswith" in told)
    assert new.config.vocab_size == len(left)
    text = " ".join(token for token in left if token not in START)[:40]
    batch, before = (one(text, return_tensors="pt") for one in (tokenizer, old_tokenizer))
    places = [kept[number] for number in batch["input_ids"][0]]
    assert places == before["input_ids"][0].tolist()
    with torch.no_grad():
        ours, theirs = new(**batch), old(**before)
    assert torch.equal(ours.prediction_logits, theirs.prediction_logits[..., kept])
    assert torch.equal(ours.seq_relationship_logits, theirs.seq_relationship_logits)
    assert "keep_tokens" not in report.defaults


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"simplified": True, "keep_tokens": [0]}, "simplified and keep_tokens"),
        ({"startswith": ["[UNK]"]}, "startswith is a part of simplified"),
        ({"simplified": True, "startswith": ["[PAD]"]}, r"\[UNK\] among them"),
        ({"simplified": True, "startswith": "[UNK]"}, "a list of tokens is needed"),
        ({"simplified": True, "startswith": ["[UNK]", "none"]}, "startswith names 'none'"),
    ],
)
def test_simplified_vocabularies_that_cannot_be(place, told, message):
    with pytest.raises(UsageError, match=message):
        bring_over(place("bert_full"), **told)


def test_simplified_needs_a_vocabulary_of_words(place):
    folder = place("mt5", any__model=VARIANTS["t5"])
    with pytest.raises(UsageError, match="there is none next to the checkpoint"):
        bring_over(folder, "mt5.1.1", simplified=True)


def test_a_file_that_is_removed_meanwhile_is_no_vocabulary(tmp_path, monkeypatch):
    class Vanished(type(tmp_path)):
        def is_file(self):
            return True

    gone = [Vanished(tmp_path / name) for name in ("vocab.txt.bak", "words.txt")]
    monkeypatch.setattr("convert.tokenizers.candidates.entries", lambda folder: gone)
    assert list(candidates(tmp_path, [5])) == []
