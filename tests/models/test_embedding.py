"""`zoo.embed`: vectors that bert4keras recorded, and what must hold of all of them."""

import json
import re
import shutil

import numpy as np
import pytest
import safetensors.torch
import tokenizers
import torch
import transformers

import convert
import zoo
from tests.conversion.records import FIXTURES, LEGACY
from zoo import embedding
from zoo.embedding import POOLINGS, pooled
from zoo.errors import NotFoundError, UsageError
from zoo.loading import load_with_tokenizer

RECORDED = FIXTURES / "finetuned" / "sentence_vectors"
ARRAYS = {
    "cls": "cls",
    "pooler": "pooler",
    "last-avg": "last_avg",
    "first-last-avg": "first_last_avg",
    "max": "last_max",
}
TEXTS = ["天气 好 a b c", "好", "a b 你 我 他 的 一 是 不", "我 b", "的", "一 是"]
READERS = (
    "bert", "albert", "electra", "gau-alpha", "nezha", "roformer", "roformer-v2", "simbert",
    "roformer-sim", "gpt", "gpt2",
)  # fmt: skip


def arrays(folder):
    with np.load(folder / "reference.npz") as found:
        return {name: torch.from_numpy(found[name]) for name in found.files}


def near(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """The model of the recorded vectors, converted."""
    place = tmp_path_factory.mktemp("vectors") / "model"
    convert.convert_checkpoint(RECORDED, place, options={"with_pool": "linear"})
    return place


@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_are_those_that_were_recorded(sentences, pooling):
    given = arrays(RECORDED)
    inputs = {"input_ids": given["in_token_ids"], "token_type_ids": given["in_segment_ids"]}
    mask = given["mask"]
    found = pooled(
        zoo.from_pretrained(sentences), inputs | {"attention_mask": mask}, mask, pooling
    )
    near(found, given[f"out_{ARRAYS[pooling]}"])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_texts_give_the_recorded_vectors(sentences, pooling):
    """Those two rows of the record that are tokens of two texts."""
    given, rows = arrays(RECORDED), [2, 0]
    pairs = [("", "他"), ("这出我 4", "0 中动\uff1f")]
    tokenizer = transformers.AutoTokenizer.from_pretrained(sentences)
    for row, pair in zip(rows, pairs, strict=True):
        ids, seen = tokenizer(*pair)["input_ids"], given["mask"][row].bool()
        assert ids == given["in_token_ids"][row][seen].tolist()
    found = zoo.embed(sentences, pairs, pooling=pooling)
    near(found, given[f"out_{ARRAYS[pooling]}"][rows])


@pytest.mark.parametrize("name", ["simbert", "roformer_sim"])
def test_the_sentence_encoders_give_what_their_linear_pooler_gave(name):
    given = arrays(LEGACY / name)
    model = zoo.from_pretrained(f"genae/tiny-{name.replace('_', '-')}")
    mask = given["out_mask"]
    inputs = {"input_ids": given["in_token_ids"], "token_type_ids": given["in_segment_ids"]}
    found = pooled(model.base_model, inputs | {"attention_mask": mask}, mask, "pooler")
    largest = given["out_pooled"].abs().max()
    assert (found - given["out_pooled"]).abs().max() < 1e-4 * largest


def test_what_is_linear_is_the_pooling_unless_another_is_asked_for(sentences):
    """A pooler with a tanh was trained for another task."""
    for model, usual in [
        ("genae/tiny-simbert", "pooler"),
        ("genae/tiny-roformer-sim", "pooler"),
        (sentences, "pooler"),
        ("genae/tiny-bert", "last-avg"),
        ("genae/tiny-roformer", "last-avg"),
    ]:
        assert torch.equal(zoo.embed(model, TEXTS), zoo.embed(model, TEXTS, pooling=usual))


@pytest.mark.parametrize("name", READERS)
def test_batches_and_order_change_nothing(name):
    """Neither do the texts that one shares a batch with, and that pad it."""
    model = zoo.from_pretrained(f"genae/tiny-{name}", dtype=torch.float32)
    vectors = zoo.embed(model, TEXTS)
    assert vectors.shape == (len(TEXTS), model.config.hidden_size)
    assert vectors.dtype == torch.float32
    assert (vectors[0] - vectors[1]).abs().max() > 1e-2
    near(zoo.embed(model, iter(TEXTS), batch_size=1), vectors)
    near(zoo.embed(model, TEXTS[::-1], batch_size=4), vectors.flip(0))


def test_many_texts_go_through_in_parts(monkeypatch):
    whole = zoo.embed("genae/tiny-bert", TEXTS)
    monkeypatch.setattr(embedding, "WINDOW", 4)
    near(zoo.embed("genae/tiny-bert", TEXTS, batch_size=3), whole)


def test_a_name_and_a_loaded_model_are_the_same():
    name = "genae/tiny-bert"
    model, tokenizer = load_with_tokenizer(name, "ForMaskedLM")
    expected = zoo.embed(name, TEXTS)
    model.train()
    assert torch.equal(zoo.embed(model, TEXTS), expected)  # no dropout
    assert all(module.training for module in model.modules())
    assert torch.equal(zoo.embed(model, TEXTS, tokenizer=tokenizer), expected)
    fresh = type(model)(model.config)
    fresh.load_state_dict(model.state_dict())
    fresh.config._name_or_path = fresh.name_or_path = ""
    with pytest.raises(
        NotFoundError, match=r"BertForMaskedLM has no tokenizer.json; pass embed a tokenizer="
    ):
        zoo.embed(fresh, TEXTS)
    assert torch.equal(zoo.embed(fresh, TEXTS, tokenizer=tokenizer), expected)


def test_vectors_are_divided_by_their_lengths_if_asked_for():
    plain = zoo.embed("genae/tiny-simbert", TEXTS)
    unit = zoo.embed("genae/tiny-simbert", TEXTS, normalized=True)
    near(unit.norm(dim=-1), torch.ones(len(TEXTS)))
    near(unit * plain.norm(dim=-1, keepdim=True), plain)
    assert (plain.norm(dim=-1) - 1).abs().min() > 0.1


def test_pairs_are_read_together():
    pairs = [("天气 好", "a b c"), ("我", "你")]
    found = zoo.embed("genae/tiny-bert", pairs, pooling="pooler", batch_size=1)
    model, tokenizer = load_with_tokenizer("genae/tiny-bert", "ForPreTraining")
    for (first, second), vector in zip(pairs, found, strict=True):
        with torch.no_grad():
            output = model.bert(**tokenizer(first, second, return_tensors="pt"))
        near(vector, output.pooler_output[0])


def test_long_texts_are_cut():
    name = "genae/tiny-bert"  # [CLS] and [SEP] are two of 32 tokens
    long = zoo.embed(name, ["a b " * 40, "a b " * 15])
    assert torch.equal(long[0], long[1])
    few = zoo.embed(name, ["a b " * 40, "a b"], max_length=4)
    near(few[0], few[1])


def test_a_pooler_that_a_head_leaves_out_is_read_from_the_files(root, tmp_path):
    """As in models of the Hub that name the head of masks alone."""
    card = root / "cards/tiny-bert"
    for file in card.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    config = json.loads((card / "config.json").read_text("utf-8"))
    config["architectures"] = ["BertForMaskedLM"]
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    tensors = safetensors.torch.load_file(card / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "seq_relationship" not in name}
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    assert zoo.from_pretrained(tmp_path).base_model.pooler is None
    found = zoo.embed(tmp_path, TEXTS, pooling="pooler")
    near(found, zoo.embed("genae/tiny-bert", TEXTS, pooling="pooler"))


@pytest.mark.parametrize("name", ["t5", "t5-1-1", "mt5", "mt5-google"])
def test_the_encoder_of_an_encoder_decoder_is_asked(name):
    model = zoo.from_pretrained(f"genae/tiny-{name}")
    tokenizer = load_with_tokenizer("genae/tiny-gpt2", "ForCausalLM")[1]
    found = zoo.embed(model, TEXTS, tokenizer=tokenizer, batch_size=2)
    for text, vector in zip(TEXTS, found, strict=True):
        with torch.no_grad():
            states = model.get_encoder()(**tokenizer(text, return_tensors="pt")).last_hidden_state
        near(vector, states[0].mean(0))


def test_models_without_a_mask_read_texts_of_one_length(tmp_path):
    tokenizer = load_with_tokenizer("genae/tiny-bert", "ForMaskedLM")[1]
    tokenizer.model_input_names = ["input_ids", "token_type_ids"]
    torch.manual_seed(0)
    config = transformers.FNetConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, intermediate_size=32,
        max_position_embeddings=32, tpu_short_seq_length=32,
    )  # fmt: skip
    model = transformers.FNetModel(config).eval()
    found = zoo.embed(model, TEXTS, tokenizer=tokenizer, batch_size=4)
    inputs = tokenizer(TEXTS[1], padding="max_length", max_length=32, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    near(found[1], states[0, :3].mean(0))  # the text's own tokens


def test_no_texts_make_no_vectors():
    assert zoo.embed("genae/tiny-bert", []).shape == (0, 24)


@pytest.mark.parametrize(
    ("name", "texts", "options", "message"),
    [
        ("tiny-bert", "天气", {}, "'天气' is one text; pass a list"),
        ("tiny-bert", ["a", ("a", "b")], {}, "text 0 is 'a'; pass texts, or pairs"),
        ("tiny-bert", ["a", 5], {}, "pass texts, or pairs of two texts each, not both"),
        ("tiny-bert", ["a", "好\ud800"], {}, "text 1, .*, has half a character"),
        ("tiny-bert", ["a"], {"pooling": "pooller"}, "Did you mean 'pooler'"),
        ("tiny-bert", ["a"], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("tiny-bert", ["a"], {"max_length": 33}, "max_length must be 1 to 32, got 33"),
        ("tiny-electra", ["a"], {"pooling": "pooler"}, "has no pooler; choose pooling='last-avg'"),
        ("tiny-gpt", ["a"], {"pooling": "cls"}, "first token does not read the text"),
        ("tiny-gpt2", ["a"], {"pooling": "cls"}, "first token does not read the text"),
        ("tiny-simbert", [("a", "b")], {}, "does not read the second text, so 'pooler'"),
        ("vae-mnist", ["a"], {}, "genae/vae-mnist reads images, no texts; it .*: genae "),
        ("tiny-t5", ["a"], {}, "no tokenizer.json"),
    ],
)
def test_what_cannot_be_asked(name, texts, options, message):
    with pytest.raises((UsageError, NotFoundError), match=message):
        zoo.embed(f"genae/{name}", texts, **options)


def test_a_text_without_tokens_is_named(monkeypatch):
    model, tokenizer = load_with_tokenizer("genae/tiny-gpt2", "ForCausalLM")
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing("$A")
    assert zoo.embed(model, ["a"], tokenizer=tokenizer).isfinite().all()
    monkeypatch.setattr(embedding, "WINDOW", 2)
    with pytest.raises(UsageError, match="text 3, '', makes no tokens"):
        zoo.embed(model, ["a", "b", "a", ""], tokenizer=tokenizer)


def test_a_condition_cannot_be_left_out(tiny_config):
    config = tiny_config("genae_bert", condition_size=4)
    model = transformers.AutoModel.from_config(config)
    with pytest.raises(UsageError, match="needs a condition besides a text"):
        zoo.embed(model, TEXTS)


def test_every_pooling_is_explained():
    said = zoo.embed.__doc__
    assert all(re.search(f'"{name}"', said) for name in POOLINGS)
