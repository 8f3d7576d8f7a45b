"""`zoo.generate`, what `genae generate` prints, and the advice for models that do not write."""

import io
import json
import shutil

import pytest
import torch
import transformers

import zoo
import zoo.models
from zoo.data.text import train_tokenizer
from zoo.errors import NotFoundError, UsageError
from zoo.models.text.decoding import beam_search

GPT = "genae/tiny-gpt2"
CAUSAL = "genae/synthesizer-causal-classics"
UNILM = "genae/tiny-unilm"
PROMPT = "the play"


@pytest.fixture(scope="module")
def t5(root, tmp_path_factory):
    """The files of a small T5, with a tokenizer."""
    place = tmp_path_factory.mktemp("t5") / "t5"
    shutil.copytree(root / "cards/tiny-t5", place)
    config = json.loads((place / "config.json").read_text())
    tokenizer = train_tokenizer(["the play is on", "a b"], "characters", config["vocab_size"])
    tokenizer.save_pretrained(place)
    return place


def test_a_greedy_text_is_that_of_transformers(root):
    written = zoo.generate(GPT, PROMPT, greedy=True, max_new_tokens=5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(root / "cards/tiny-gpt2")
    model = transformers.AutoModelForCausalLM.from_pretrained(root / "cards/tiny-gpt2")
    ids = tokenizer(PROMPT)["input_ids"]
    ids = torch.tensor([ids[:-1] if ids[-1] == tokenizer.sep_token_id else ids])
    read = ids.shape[1]
    for _ in range(5):
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    assert ids.shape[1] == read + 5
    assert written == zoo.generating.Written(
        PROMPT, [tokenizer.decode(ids[0], skip_special_tokens=True)]
    )
    assert written.texts[0].startswith(PROMPT)


def test_draws_follow_the_seed_and_leave_torchs_alone():
    state = torch.random.get_rng_state()
    first = zoo.generate(GPT, PROMPT, num=2, seed=3, max_new_tokens=8)
    again = zoo.generate(GPT, PROMPT, num=2, seed=3, max_new_tokens=8)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first == again
    assert len(set(first.texts)) == 2
    cold = zoo.generate(GPT, PROMPT, temperature=1e-4, seed=1, max_new_tokens=8).texts
    narrow = zoo.generate(GPT, PROMPT, top_k=1, seed=1, max_new_tokens=8).texts
    certain = zoo.generate(GPT, PROMPT, top_p=1e-9, seed=1, max_new_tokens=8).texts
    greedy = zoo.generate(GPT, PROMPT, greedy=True, max_new_tokens=8).texts
    assert cold == narrow == certain == greedy


def test_an_encoder_decoder_makes_another_text(t5):
    written = zoo.generate(t5, "the play", greedy=True, max_new_tokens=4)
    assert len(written.texts[0]) <= 4
    assert not written.texts[0].startswith("the play")
    assert len(zoo.generate(t5, "a b", beams=3, num=3, max_new_tokens=3).texts) == 3


def test_a_decoder_that_reads_both_ways_makes_another_text(root):
    """UniLM's: the prompt is segment 0 with its end, what is written segment 1."""
    model, place = zoo.from_pretrained(UNILM).eval(), root / "cards/tiny-unilm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    assert ids[0, -1] == tokenizer.sep_token_id
    found = model.generate(
        ids, token_type_ids=torch.zeros_like(ids), custom_generate=beam_search, topk=1,
        end_id=tokenizer.sep_token_id, max_new_tokens=6,
    )  # fmt: skip
    written = zoo.generate(UNILM, PROMPT, greedy=True, max_new_tokens=6)
    said = tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)
    assert written.texts == [said]


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        (PROMPT, {"greedy": True, "seed": 1}, "seed: of drawing, and greedy draws nothing"),
        (PROMPT, {"beams": 2, "top_k": 3}, "top_k: of drawing, and beams draws nothing"),
        (PROMPT, {"greedy": True, "beams": 2}, "two ways to search"),
        (PROMPT, {"greedy": True, "num": 2}, "2 texts need drawing, or beams"),
        (PROMPT, {"beams": 2, "num": 3}, "3 texts need beams=3"),
        (PROMPT, {"temperature": 0.0}, "temperature must be above 0"),
        (PROMPT, {"top_p": 1.5}, "top_p must be above 0, at most 1"),
        (PROMPT, {"seed": 2**63}, "seed must be 0 to 9223372036854775807"),
        (PROMPT, {"num": 0}, "num must be at least 1"),
        (PROMPT, {"max_new_tokens": 1000}, r"room for \d+ tokens behind the prompt"),
        ("the " * 100, {}, r"the prompt has \d+ tokens, the model reads \d+"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(prompt, options, message, capfd):
    with pytest.raises(UsageError, match=message) as caught:
        zoo.generate(GPT, prompt, **options)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_prompt_of_unknown_characters_alone_is_refused():
    with pytest.raises(UsageError, match="'☃☃' has nothing that is in the vocabulary"):
        zoo.generate(CAUSAL, "☃☃")
    assert zoo.generate(CAUSAL, "☃子", greedy=True, max_new_tokens=1).texts[0].startswith("子")


def test_the_verb_prints_what_the_function_gives(run, monkeypatch):
    expected = zoo.generate(GPT, PROMPT, num=2, seed=0, max_new_tokens=6)
    words = ["generate", GPT, "--num", 2, "--seed", 0, "--max-new-tokens", 6]
    done = run(*words, PROMPT)
    assert done.code == 0, done.err
    assert done.out == "".join(f"{text}\n" for text in expected.texts)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PROMPT}\n"))
    assert json.loads(run(*words, "-", "--json").out) == vars(expected)
    done = run("generate", GPT, PROMPT, "--max-new-tokens", 2)
    assert done.tried == [f'genae generate {GPT} "{PROMPT}" --max-new-tokens 2 --seed 0']


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "genae/tiny-bert", "a"), 'texts: genae fill-mask genae/tiny-bert "[MASK]"'),
        (
            ("generate", "genae/eae-mnist", "a"),
            "images: genae sample genae/eae-mnist -o samples.png",
        ),
        (
            ("fill-mask", CAUSAL, "[MASK]"),
            "nothing that comes after a mask; it writes texts: genae",
        ),
        (("fill-mask", GPT, "[MASK]"), f"it writes texts: genae generate {GPT}"),
        (("sample", "genae/tiny-gpt", "-o", "a.png"), "it writes texts: genae generate genae/t"),
        (("geometry", "genae/tiny-gpt", "-o", "a.html"), "no model of images; it writes texts"),
        (("probe", "genae/tiny-bert", "--data", "mnist"), "it fills in masked tokens of texts"),
        (("density", "genae/tiny-gpt", "--data", "mnist"), "it writes texts"),
    ],
)
def test_the_wrong_verb_is_told_the_right_one(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_model_without_a_tokenizer_is_told_so():
    with pytest.raises(NotFoundError, match=r"has no tokenizer\.json"):
        zoo.generate("genae/tiny-t5", "a")
