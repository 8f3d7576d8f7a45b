"""Where heads look: closed forms, the models' own weights, the verb, the page in a browser."""

import io
import json
import math
import shlex
import shutil

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from matplotlib import font_manager
from PIL import Image
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

import zoo
from tests.evaluation.browser import open_page
from zoo.errors import NotFoundError, UsageError
from zoo.evaluation.attention.drawing import ink, label, signed_ink
from zoo.evaluation.attention.figure import fonts
from zoo.evaluation.attention.page import render
from zoo.evaluation.attention.reading import read
from zoo.evaluation.attention.statistics import measure, uniform

BERT, GPT = "genae/tiny-bert", "genae/tiny-gpt2"
TEXT = "the quick brown fox"
SIZES = {"vocab_size": 90, "d_model": 12, "d_kv": 4, "d_ff": 8, "num_layers": 2, "num_heads": 3}


@pytest.fixture(scope="session")
def saved(root, tmp_path_factory):
    """`saved(model)`: a folder with a model and the tokenizer of `tiny-bert`, made once."""
    known = {}

    def make(kind, config, **settings):
        key = (kind, repr(settings))
        if key not in known:
            torch.manual_seed(0)
            known[key] = tmp_path_factory.mktemp("model")
            kind(config(**settings)).eval().save_pretrained(known[key])
            for file in (root / "cards/tiny-bert").glob("tokenizer*.json"):
                shutil.copy(file, known[key])
        return known[key]

    return make


@pytest.fixture
def synthesizer(saved):
    """`synthesizer("random")`: a folder of a tiny Synthesizer."""

    def make(attention, **settings):
        return saved(
            zoo.SynthesizerForMaskedLM, zoo.SynthesizerConfig, attention=attention, vocab_size=90,
            hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=8,
            max_position_embeddings=16, **settings,
        )  # fmt: skip

    return make


@pytest.fixture
def t5(saved):
    config = {**SIZES, "num_decoder_layers": 1, "decoder_start_token_id": 0}
    return saved(transformers.T5ForConditionalGeneration, transformers.T5Config, **config)


def everywhere(count):
    return torch.ones(count, count, dtype=torch.bool)


@pytest.mark.parametrize("visible", [everywhere(7), everywhere(7).tril()])
def test_uniform_attention_has_the_greatest_entropy(visible):
    (one,) = measure(uniform(visible), visible)
    seen = visible.sum(-1).tolist()
    assert one.entropy == pytest.approx(sum(map(math.log, seen)) / 7, abs=1e-12)
    assert one.entropy_share == pytest.approx(1, abs=1e-12)
    assert one.first == pytest.approx(sum(1 / n for n in seen) / 7)


def test_heads_that_look_at_one_token_have_no_entropy_and_all_weight_there():
    count = 5
    heads = torch.stack([torch.eye(count), torch.eye(count).roll(1, 0), torch.zeros(count, count)])
    heads[1, 0] = 0
    heads[1, 0, 1] = 1
    heads[2, :, -1] = 1
    itself, before, last = measure(heads, everywhere(count))
    assert (itself.entropy, itself.entropy_share, itself.itself) == (0, 0, 1)
    assert (itself.neighbors, itself.first, itself.last) == (0, 0.2, 0.2)
    assert (before.neighbors, before.itself) == (1, 0)
    assert (last.last, last.first, last.neighbors) == (1, 0, pytest.approx(0.2))


def test_what_is_not_defined_is_none():
    (one,) = measure(torch.ones(1, 1, 1), everywhere(1))
    assert (one.entropy, one.entropy_share) == (0, None)
    (one,) = measure(
        torch.full((1, 2, 4), 0.25), torch.ones(2, 4, dtype=torch.bool), same_text=False
    )
    assert one.entropy == pytest.approx(math.log(4))
    assert (one.neighbors, one.itself) == (None, None)


@pytest.mark.parametrize("name", [BERT, GPT, "genae/tiny-gau-alpha", "genae/tiny-nezha"])
def test_weights_are_the_models_own(name, root):
    (part,) = read(name, TEXT).parts
    place = root / "cards" / name.partition("/")[2]
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    model = zoo.from_pretrained(name)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        own = model(**tokenizer(TEXT, return_tensors="pt"), output_attentions=True).attentions
    assert len(part.layers) == len(own)
    for layer, weights in zip(part.layers, own, strict=True):
        assert torch.equal(layer, weights[0])
        assert layer.sum(-1).sub(1).abs().max() < 1e-6
    assert torch.equal(part.visible, part.visible.tril()) == (name == GPT)
    assert len(part.queries) == part.visible.shape[0]


def test_tokens_are_what_a_person_wrote():
    assert read(BERT, TEXT).parts[0].queries == ["[CLS]", "the", "quick", "brown", "fox", "[SEP]"]


def test_forms_of_a_synthesizer_are_told_apart(synthesizer):
    forms = ["random+dot_product", "factorized_random"]
    place = synthesizer(forms, factors=2)
    reading = read(place, TEXT)
    assert reading.parts[0].forms == forms
    model = zoo.from_pretrained(place)
    by_layer = [[one for one in reading.tables if one.layer == layer] for layer in (1, 2)]
    assert [[one.form for one in tables] for tables in by_layer] == [
        ["random"] * 3, ["factorized_random"] * 3,
    ]  # fmt: skip
    state = model.state_dict()
    (name,) = (name for name in state if name.endswith("random.position_bias"))
    for head, table in enumerate(by_layer[0]):
        assert torch.equal(table.logits, state[name][head])
        wanted = np.linalg.svd(table.logits.double().numpy(), compute_uv=False)
        assert np.allclose(table.singular_values(), wanted, atol=1e-9)
    for table in by_layer[1]:
        assert table.singular_values()[2:].max() < 1e-6 < table.singular_values()[1]
        assert 1 < table.effective_rank() <= 2 + 1e-6


def test_a_random_head_ignores_the_text_and_the_mean_is_uniform(synthesizer):
    random, mean = synthesizer("random"), synthesizer("mean")
    (one,), (other,) = read(random, TEXT).parts, read(random, "a lazy dog over").parts
    assert all(map(torch.equal, one.layers, other.layers))
    reading = read(mean, TEXT)
    assert reading.tables == []
    for heads in reading.parts[0].statistics():
        for head in heads:
            assert head.entropy == pytest.approx(math.log(6), abs=1e-6)


def test_an_encoder_decoder_shows_its_encoder_or_with_a_target_all_three(t5):
    assert [part.name for part in read(t5, TEXT).parts] == ["encoder"]
    encoder, decoder, cross = read(t5, TEXT, "a lazy dog").parts
    assert torch.equal(encoder.layers[1], read(t5, TEXT).parts[0].layers[1])
    assert decoder.queries == ["[PAD]", "[CLS]", "a", "lazy", "dog"]
    assert torch.equal(decoder.visible, decoder.visible.tril())
    assert (cross.queries, cross.keys) == (decoder.queries, encoder.keys)
    assert cross.layers[0].shape == (3, 5, 6)
    assert cross.statistics()[0][0].neighbors is None


def test_tables_of_an_encoder_decoder_say_whose_they_are(saved):
    place = saved(
        zoo.SynthesizerForConditionalGeneration, zoo.SynthesizerConfig, vocab_size=90,
        attention="random", decoder_attention="factorized_random+dot_product",
        is_encoder_decoder=True, hidden_size=12, num_hidden_layers=1, num_attention_heads=3,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    reading = read(place, TEXT, "a dog")
    assert [part.forms for part in reading.parts] == [
        ["random"], ["factorized_random+dot_product"], [],
    ]  # fmt: skip
    assert [(table.part, table.form) for table in reading.tables] == [
        *[("encoder", "random")] * 3, *[("decoder", "factorized_random")] * 3,
    ]  # fmt: skip
    assert {table.part for table in read(place, TEXT).tables} == {"encoder"}


@pytest.fixture
def fnet(saved):
    sizes = {"vocab_size": 90, "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8}
    return saved(transformers.FNetForMaskedLM, transformers.FNetConfig, **sizes)


@pytest.mark.parametrize(
    ("name", "words", "error", "reason"),
    [
        ("genae/vae-mnist", {}, UsageError, "model of images"),
        ("genae/tiny-t5", {}, NotFoundError, "no tokenizer.json"),
        ("genae/none-such", {}, NotFoundError, "none-such"),
        ("FNET", {}, UsageError, "FNetForMaskedLM gives no weights of attention"),
        (BERT, {"text": "fox " * 40}, UsageError, "has 42 tokens, and .* reads 32"),
        (BERT, {"target": "a dog"}, UsageError, "leave the target out"),
        (BERT, {"output": "heads.pdf"}, UsageError, "ending in '.pdf'"),
        ("T5", {"text": "fox " * 5, "output": "heads.html"}, UsageError, "at most 6 can"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    name, words, error, reason, fnet, t5, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zoo.evaluation.attention.run.MAX_DRAWN", 6)
    name = {"FNET": fnet, "T5": t5}.get(name, name)
    with pytest.raises(error, match=reason):
        zoo.attention(name, words.pop("text", TEXT), **words)
    assert list(tmp_path.iterdir()) == []


def test_a_text_without_tokens_is_refused(saved, t5, tmp_path):
    place = shutil.copytree(t5, tmp_path / "bare")
    words = tokenizers.Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(place)
    assert read(place, "a b").parts[0].queries == ["a", "b"]
    with pytest.raises(UsageError, match="has no tokens"):
        read(place, " ")


def test_weights_that_are_no_shares_are_refused(monkeypatch):
    from zoo.evaluation.attention import reading

    monkeypatch.setattr(reading, "SUM_TOLERANCE", -1.0)
    with pytest.raises(UsageError, match="do not add up to 1"):
        read(BERT, TEXT)


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("fox", "fox"),
        ("一二三四五六", "一二三四…"),
        ("a\nb", "a\\nb"),
        ("extraordinary", "extraordi…"),
    ],
)
def test_labels_are_short_and_on_one_line(token, shown):
    assert label(token) == shown


def test_ink_is_as_strong_as_the_root_of_the_weight():
    weights = torch.tensor([[0.0, 0.25], [0.01, 1.0]])
    drawn = np.asarray(Image.open(io.BytesIO(ink(weights))).convert("RGBA"))
    assert drawn[..., 3].tolist() == [[0, 128], [26, 255]]
    signs = np.asarray(Image.open(io.BytesIO(signed_ink(weights - 0.5))).convert("RGBA"))
    assert signs[0, 0, 0] > signs[0, 0, 2]
    assert signs[1, 1, 2] > signs[1, 1, 0]
    assert signs[0, 1, 3] < signs[1, 1, 3]


def test_characters_without_a_font_are_named(monkeypatch):
    known = [one for one in font_manager.fontManager.ttflist if one.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    assert fonts("a \u8150\u4e00") == (["DejaVu Sans"], "\u4e00\u8150")


def test_the_verb_answers_in_words_and_in_json(run, synthesizer, tmp_path, monkeypatch):
    place = synthesizer("random+dot_product")
    code, out, err = run("attention", BERT, TEXT, "--beside", place, "--json", "-q")
    assert (code, err) == (0, "")
    first, second = json.loads(out)["models"]
    found = zoo.attention(BERT, TEXT, beside=place)
    assert json.loads(json.dumps(found.as_dict()["models"])) == [first, second]
    (part,) = first["parts"]
    assert part["uniform"]["entropy"] == pytest.approx(math.log(6))
    assert [len(layer["heads"]) for layer in part["layers"]] == [4, 4, 4]
    weights = found.readings[0].parts[0].layers[1][2].double()
    entropy = -(weights * weights.log()).sum(-1).mean().item()
    assert part["layers"][1]["heads"][2]["entropy"] == pytest.approx(entropy)
    assert first["tables"] == []
    assert len(second["tables"][0]["singular_values"]) == 16
    code, out, err = run("attention", BERT, TEXT)
    assert code == 0
    assert "uniform" in out
    monkeypatch.chdir(tmp_path)
    assert run(*shlex.split(err.removeprefix("try: "))[1:]).code == 0
    assert "<title>Attention of genae/tiny-bert</title>" in (tmp_path / "heads.html").read_text()


def test_the_image_has_a_panel_for_every_head(run, synthesizer, tmp_path):
    output = tmp_path / "new" / "heads.png"
    place = synthesizer(["random+dot_product", "dense"])
    code, _, err = run("attention", BERT, "fox \u8150", "--beside", place, "-o", output)
    assert (code, list(output.parent.iterdir())) == (0, [output])
    assert ("no installed font has \u8150" in err) == bool(fonts("\u8150")[1])
    drawn = np.asarray(Image.open(output).convert("RGB")).astype(int)
    colored = (drawn.max(-1) - drawn.min(-1)) > 20
    # 4 + 3 heads of the two first layers side by side, and a row of logits below the third.
    assert colored[:, : drawn.shape[1] // 2].mean() > 0.2
    assert colored[: drawn.shape[0] // 3, drawn.shape[1] // 2 :].mean() > 0.2
    assert colored[-drawn.shape[0] // 5 :].any()


def test_a_browser_shows_the_page_alone_and_says_the_weight_under_the_pointer(
    synthesizer, tmp_path
):
    text = "fox </script> & <b>dog</b>"
    found = zoo.attention(BERT, text, beside=synthesizer(["random+dot_product", "dense"]))
    file = tmp_path / "heads.html"
    file.write_text(render(found), encoding="utf-8")
    (part,), (other,) = (reading.parts for reading in found.readings)
    with open_page(file.as_uri()) as (tab, asked, said):
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
        maps = tab.evaluate("document.querySelectorAll('image[data-of]').length")
        assert maps == 3 * 4 + 2 * 3
        assert tab.evaluate("document.querySelectorAll('polyline').length") == 3
        assert tab.evaluate("document.querySelectorAll('b b, script').length") == 2  # data, code
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shown = tab.evaluate("[...document.querySelector('g').children].map(t => t.textContent)")
        assert shown == [label(token) for token in (*part.queries, *part.keys)]
        # A map is enlarged in place of the page, with what it is.
        tab.goto(f"{file.as_uri()}#1-self-2-3")
        box = tab.locator("figure:target image").bounding_box()
        assert min(box["width"], box["height"]) > 400
        assert ", layer 2, head 3" in tab.locator("figure:target figcaption").inner_text()
        row, column, count = 1, 3, len(other.keys)
        x, y = ((at + 0.5) / count for at in (column, row))
        tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        weight = other.layers[1][2, row, column].item()
        expected = f"{other.queries[row]} \u2192 {other.keys[column]}: {100 * weight:.1f} %"
        assert tab.locator("#under").inner_text() == expected
        tab.keyboard.press("Escape")
        assert tab.locator("figure:target").count() == 0
        tab.emulate_media(color_scheme="dark")
        background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, background.strip("rgb()").split(","))) < 64
        assert said == []


def test_the_same_numbers_give_the_same_page():
    assert render(zoo.attention(BERT, TEXT)) == render(zoo.attention(BERT, TEXT))
