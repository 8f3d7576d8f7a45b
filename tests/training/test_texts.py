"""Text from a card: every task, complete, repeatable, interruptible, never half-written."""

import json
import os
import re
import signal
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

import zoo
from tests.training.text_cards import BERT, CHARACTERS, T5, TASKS, text_card, write_rows
from zoo.card import Card
from zoo.data.text import TextOptions
from zoo.errors import ConflictError, DivergedError, InterruptedRunError, NotFoundError, UsageError
from zoo.training import FGM, explain, train
from zoo.training.recipes import build_recipe
from zoo.training.settings import with_settings
from zoo.training.text_trainer import CollatingTrainer
from zoo.training.variants import with_data

HEADS = {
    "masked-lm": "ForMaskedLM",
    "causal-lm": "LMHeadModel",  # of GPT-2
    "seq2seq": "ForConditionalGeneration",
    "classification": "ForSequenceClassification",
    "multilabel": "ForSequenceClassification",
    "tags": "ForCRFTokenClassification",
    "entities": "ForEntityPointers",
    "relations": "ForRelationPointers",
    "pairs": "ForSentenceVectors",
}
FGM_TABLE = '[train.adversarial]\nkind = "fgm"\nepsilon = 0.2'
LORA = "[train.lora]\nrank = 2"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")


def weights(folder, variant=""):
    return load_file(folder / f"model{variant and '.'}{variant}.safetensors")


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


#: Tasks with a folder like another's.
ALIKE = ("multilabel", "tags")


@pytest.mark.parametrize(
    "task", [pytest.param(t, marks=[pytest.mark.slow] * (t in ALIKE)) for t in TASKS]
)
def test_the_folder_is_a_model_with_its_tokenizer(data, tmp_path, monkeypatch, task):
    folder = train(text_card(data, task), tmp_path / "out", quiet=True)
    found = {path.name for path in folder.iterdir()} - {"generation_config.json"}
    assert found == {
        *("README.md", "card.toml", "config.json", "manifest.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "training.json", "training.png"),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not zoo.verify(folder).problems
    model, tokenizer = zoo.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert type(model).__name__.endswith(HEADS[task])
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    names = {
        "classification": ["common", "rare"], "multilabel": ["dog", "fox"],
        "tags": ["e", "other"], "entities": ["animal"], "relations": ["follows"],
    }  # fmt: skip
    if task in names:
        assert list(model.config.id2label.values()) == names[task]
    with torch.no_grad():
        logits = model(**tokenizer(["the fox"], return_tensors="pt"), **(
            {"decoder_input_ids": torch.tensor([[2]])} if task == "seq2seq" else {}
        )).logits  # fmt: skip
    logits = logits["entity"] if task == "relations" else logits
    assert not logits.isnan().any()
    assert logits.isfinite().any()
    (code,) = re.findall(r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.M | re.S)
    monkeypatch.chdir(folder)
    exec(code, {})


@pytest.mark.parametrize("task", ["masked-lm", "causal-lm"])
def test_a_fresh_head_begins_with_the_frequencies_of_what_it_is_asked(data, tmp_path, task):
    card = text_card(data, task, architecture="synthesizer", config=BERT)
    material = build_recipe(card, tmp_path).load(quiet=True)
    tokenizer, model = material.recipe.tokenizer, material.make_model()
    special = set(tokenizer.all_special_ids) if task == "masked-lm" else set()
    asked = Counter(
        token
        for row in material.rows["input_ids"]
        for token in row[task == "causal-lm" :]
        if token not in special
    )
    counts = torch.tensor([1.0 + asked[token] for token in range(len(tokenizer))])
    found = model.get_output_embeddings().bias.softmax(-1)
    assert torch.allclose(found, counts / counts.sum(), rtol=1e-5)
    assert len(asked) > 5


def test_a_packed_model_writes_without_a_prompt_and_others_need_one(data, tmp_path):
    packed = text_card(data, "causal-lm", data="packing = true\nmax_length = 8")
    folder = train(packed, tmp_path / "packed", overrides=["max_steps=1"], quiet=True)
    assert zoo.generate(folder, seed=0, max_new_tokens=3).texts
    with pytest.raises(UsageError, match="give it a prompt to begin with"):
        zoo.generate(
            train(text_card(data, "causal-lm"), tmp_path / "out", overrides=["max_steps=1"]), ""
        )


def test_a_model_without_a_mask_sees_texts_of_one_length(data, tmp_path, monkeypatch):
    sizes = BERT.replace("num_attention_heads = 2\n", "")
    card = text_card(data, "classification", architecture="fnet", config=sizes)
    folder = train(card, tmp_path / "out", overrides=["max_steps=1"], quiet=True)
    model, tokenizer = zoo.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert set(tokenizer("the fox")) == {"input_ids"}
    material = build_recipe(card).load(quiet=True)
    rows = [material.rows[0], max(material.rows, key=lambda row: row["length"])]
    alone, together = (material.collator(chosen)["input_ids"] for chosen in (rows[:1], rows))
    assert alone.shape[1] == together.shape[1] == 16 > rows[0]["length"]
    with torch.no_grad():
        torch.testing.assert_close(model(alone).logits, model(together).logits[:1])
    assert "zoo.classify(" in (folder / "README.md").read_text()
    ids = tokenizer(["the fox"], padding="max_length", return_tensors="pt")["input_ids"]
    (label,) = zoo.classify(folder, ["the fox"])[0].labels
    with torch.no_grad():
        wanted = float(model(ids).logits.softmax(-1).max())
    assert label.probability == pytest.approx(wanted, abs=2e-6)
    masked = text_card(data, architecture="fnet", config=sizes)
    folder = train(masked, tmp_path / "masked", overrides=["max_steps=1"], quiet=True)
    ((best, *_),) = zoo.fill_mask(folder, ["the [MASK]"])[0].masks
    model = zoo.from_pretrained(folder)
    ids = tokenizer(["the [MASK]"], padding="max_length", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        (place,) = (ids == tokenizer.mask_token_id).nonzero()
        wanted = model(ids).logits[tuple(place)].softmax(-1).max()
    assert best.probability == pytest.approx(float(wanted), abs=2e-6)


def test_the_recipe_for_listops_begins_to_learn(root, tmp_path):
    small = ["hidden_size=16", "num_hidden_layers=1", "num_attention_heads=2"]
    small += ["intermediate_size=16", "data.train_split=train[:6]", "use_cpu=true"]
    small += ["data.validation_split=validation[:2]"]
    small += ["max_steps=1", "per_device_train_batch_size=3", "save_strategy=no"]
    small += ["max_position_embeddings=128", "max_length=128"]  # the beginning of each
    card = Card.load(root / "cards/synthesizer-listops")
    folder = train(card, tmp_path / "out", overrides=small, quiet=True)
    model, tokenizer = zoo.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert list(model.config.id2label.values()) == list("0123456789")
    with torch.no_grad():
        logits = model(**tokenizer("[MAX 2 9 [MIN 4 7 ] 0 ]", return_tensors="pt")).logits
    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


def interrupt_at(monkeypatch, step):
    """Send Ctrl-C while the given step is computed."""
    original = CollatingTrainer.training_step
    sent = []

    def training_step(self, *args, **kwargs):
        if self.state.global_step == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(CollatingTrainer, "training_step", training_step)


EVERYTHING = """
gradient_accumulation_steps = 2
stored_as = "float16"
ema = { decay = 0.9, saved = "beside" }
gradients = [{ op = "noise", eta = 0.01 }, { op = "finite_guard" }]

[train.adversarial]
kind = "free"
num_passes = 2

[train.rates]
layer_decay = 0.8
"""


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("group_by_length = true", EVERYTHING),
        ("streaming = true", ""),
        pytest.param("", LORA, marks=pytest.mark.slow),
        pytest.param("packing = true\nmax_length = 8", EVERYTHING, marks=pytest.mark.slow),
    ],
    ids=["grouped, everything", "stream", "adapters", "packed, everything"],
)
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    data, tmp_path, monkeypatch, options, settings
):
    made = text_card(data, data=options, train=settings)
    steps = ["max_steps=9"]  # more than an epoch of 40 texts
    whole = train(made, tmp_path / "whole", overrides=steps, quiet=True)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(InterruptedRunError, match="stopped at step 7 of 9"):
            train(made, tmp_path / "cut", overrides=steps, quiet=True)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(ConflictError, match="continue it with --resume"):
        train(made, tmp_path / "cut", overrides=steps, quiet=True)
    torch.manual_seed(99)  # whatever happened in between
    cut = train(made, tmp_path / "cut", overrides=steps, resume=True, quiet=True)
    size = zoo.from_pretrained(whole).num_parameters()
    for variant in ("", "ema") if "ema" in settings else ("",):
        stored = weights(whole, variant)
        assert_equal(weights(cut, variant), stored)
        assert sum(tensor.numel() for tensor in stored.values()) == size  # tied ones once
    if "ema" in settings:
        name = "bert.embeddings.word_embeddings.weight"
        assert not torch.equal(weights(whole)[name], weights(whole, "ema")[name])


def present(model):
    """The gradients in a model's parameters."""
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def gradients_of(trainer):
    """What the first step leaves in the parameters."""
    found = {}

    def keep(optimizer, *rest):
        if not found:
            found.update(present(trainer.model))

    trainer.create_optimizer().register_step_pre_hook(keep)
    trainer.train()
    return found


def test_the_adversarial_gradients_of_a_card_are_those_of_the_objective(data):
    """`FGM` itself is held to recorded gradients in test_adversarial.py."""
    settings = ["max_steps=1", "hidden_dropout_prob=0.0", "attention_probs_dropout_prob=0.0"]
    card = with_settings(text_card(data, "classification", train=FGM_TABLE), settings)
    material = build_recipe(card).load(quiet=True)
    torch.manual_seed(0)
    model = material.make_model()
    model.train()
    trainer = material.trainer(model, rates={}, operations=(), ema=None)
    batch = next(iter(trainer.get_train_dataloader()))
    loss, _ = FGM(0.2).loss(model, batch)
    loss.backward()
    limit = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    expected = present(model)
    model.zero_grad()
    assert limit > 0
    found = gradients_of(trainer)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_adapters_alone_are_trained_and_merged(data, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    seen = {}
    original = CollatingTrainer.train

    def run(self, **kwargs):
        seen["before"] = {n: t.clone() for n, t in self.model.state_dict().items()}
        done = original(self, **kwargs)
        seen["after"] = self.model.state_dict()
        return done

    monkeypatch.setattr(CollatingTrainer, "train", run)
    folder = train(text_card(data, train=LORA), tmp_path / "out", quiet=True)
    moved = {n for n, t in seen["after"].items() if not torch.equal(t, seen["before"][n])}
    assert moved == {name for name in seen["before"] if "lora_" in name}
    saved = weights(folder)
    assert not [name for name in saved if "lora" in name or "base_layer" in name]
    name = "bert.encoder.layer.0.attention.self.query"
    a, b = (seen["after"][f"{name}.lora_{x}.default.weight"] for x in "AB")
    torch.testing.assert_close(
        saved[f"{name}.weight"], seen["before"][f"{name}.base_layer.weight"] + b @ a
    )
    zoo.from_pretrained(folder)  # exactly the tensors of the class
    assert "peft" not in (folder / "config.json").read_text()


@pytest.mark.slow
def test_a_classifier_with_adapters_trains_its_head_too(data, tmp_path):
    pytest.importorskip("peft")
    recipe = build_recipe(text_card(data, "classification", train=LORA))
    model = recipe.make_model()
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {n for n in trained if "lora_" not in n} == {"classifier.weight", "classifier.bias"}
    folder = train(text_card(data, "classification", train=LORA), tmp_path / "out", quiet=True)
    zoo.from_pretrained(folder)


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("masked-lm", ["data.task=fill"], "one of masked-lm, causal-lm"),
        ("masked-lm", ["data.task=causal-lm"], "'task' is 'fill-mask', and a model for causal-lm"),
        ("masked-lm", ["data.binarization=none"], "'binarization' in .data. is about images"),
        ("masked-lm", ["train.samplers=[]"], r"'samplers' in \[train\] is about images"),
        ("masked-lm", ["tokenizer.id=x"], "an 'id', or the 'kind'"),
        ("masked-lm", ["tokenizer.size=5"], "size of at least 6, got 5"),
        ("masked-lm", ["max_length=17"], "max_length 17 is more than the config's max_position"),
        ("masked-lm", ["max_length=1"], "at least 2 tokens"),
        ("masked-lm", ["columns=['a','b']"], "takes 1 columns of texts, got 2"),
        ("masked-lm", ["vocab_size=9"], "vocab_size is 9, and the tokenizer has 100 tokens"),
        ("masked-lm", ["dataset=mnist"], "data set mnist has no texts"),
        ("masked-lm", ["streaming=true", "max_steps=-1"], "no length, so .train. needs max_steps"),
        ("masked-lm", ["hidden_siz=1"], "hidden_siz. Nearest: config.hidden_size"),
        ("masked-lm", ["train.adversarial.kind=pdg"], "must be one of fgm, pgd"),
        ("masked-lm", ["train.adversarial={kind='fgm',epsilom=1}"], "has no setting 'epsilom'"),
        ("masked-lm", ["train.lora={rank=0}"], "'rank' in .train.lora. must be"),
        ("masked-lm", ["train.lora={rank=1,target_modules=['qq']}"], "lora: Target modules"),
        (
            "masked-lm",
            ["train.lora={rank=1,target_modules=['word_embeddings']}"],
            "lora: .*word_embeddings shares its weights",
        ),
        ("causal-lm", ["packing=true", "group_by_length=true"], "does not go with packing"),
        ("seq2seq", ["packing=true"], "keeps each text by itself"),
        ("classification", ["config.num_labels=3"], "num_labels is 3, and the data has 2 labels"),
        ("classification", ["label=mood"], "no column 'mood'"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_nothing(data, tmp_path, task, changes, message):
    if "adapters" in message or "lora: " in message:
        pytest.importorskip("peft")
    with pytest.raises(UsageError, match=message) as caught:
        train(text_card(data, task), tmp_path / "out", overrides=changes, quiet=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_an_architecture_needs_is_not_left_to_its_card():
    def recipe(architecture, task, config):
        return build_recipe(text_card("x.txt", task, architecture=architecture, config=config))

    (rule,) = recipe("roformer", "masked-lm", BERT).rates["rules"]
    assert rule.freeze  # sines and cosines
    assert recipe("t5", "classification", T5).config.decoder_start_token_id is not None
    (table,) = recipe("genae_t5", "multilabel", T5).config.heads.values()
    assert table == {"kind": "classifier", "pooling": "mean", "activation": "sigmoid"}


def test_what_a_card_alone_decides_is_refused_before_data_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.data.text.task.load_texts", lambda *_, **__: 1 / 0)
    wrong = ["max_length=17", "train.ema.decay=2", "learning_rate=0", "optim=adamm"]
    for change in [*wrong, "train.rates.layers=['nothing*']", "data.packing=3"]:
        with pytest.raises(UsageError):
            train(text_card("absent.txt"), tmp_path / "out", overrides=[change], quiet=True)
    with pytest.raises(UsageError, match="gpt2 has no head for masked-lm"):
        build_recipe(text_card("absent.txt", architecture="gpt2", config=""))
    with pytest.raises(UsageError, match="genae_t5 has no head for causal-lm"):
        build_recipe(text_card("absent.txt", "causal-lm", architecture="genae_t5", config=T5))
    with pytest.raises(UsageError, match=r"missing table \[tokenizer\]"):
        Card.parse(text_card("x").text.replace(f"[tokenizer]\n{CHARACTERS}", ""))
    with pytest.raises(UsageError, match=r"\[processor\] is about images, and task 'masked-lm'"):
        Card.parse(text_card("x").text.replace("[tokenizer]", "[processor]\n\n[tokenizer]"))


def test_explaining_a_card_of_texts_reads_no_data(monkeypatch):
    monkeypatch.setattr("zoo.data.text.task.load_texts", lambda *_, **__: 1 / 0)
    text = explain(text_card("absent.txt", train=FGM_TABLE), ["train.rates.layer_decay=0.5"])
    assert "bert.embeddings.word_embeddings.weight" in text
    assert "100 x 8" in text  # the size of a tokenizer that is still to be trained
    assert "4 steps in batches of 8" in text
    assert "masked-lm: up to 16 tokens of a text, a vocabulary of characters" in text
    assert "kind fgm, epsilon 0.2" in text


def test_a_model_that_sees_what_comes_is_not_trained_to_write(data):
    card = text_card(data, "causal-lm", architecture="bert", config=f"{BERT}is_decoder = false")
    with pytest.raises(UsageError, match="reads tokens that come later"):
        build_recipe(card).load(quiet=True).make_model()
    assert build_recipe(
        text_card(data, "causal-lm", architecture="bert", config=BERT)
    ).config.is_decoder


def test_a_run_that_diverges_says_so_and_writes_nothing(data, tmp_path):
    changes = ["learning_rate=1e30", "max_grad_norm=0.0"]
    with pytest.raises(DivergedError, match=r"the training diverged: .*learning_rate"):
        train(text_card(data), tmp_path / "out", overrides=changes, quiet=True)
    assert not list(tmp_path.iterdir())


def test_fewer_texts_than_a_batch_are_refused_with_the_way_out(data, tmp_path):
    change = "per_device_train_batch_size=41"
    with pytest.raises(
        UsageError, match=r"40 texts, fewer than one batch of 41.*train_batch_size=40"
    ):
        train(text_card(data), tmp_path / "out", overrides=[change], quiet=True)
    changes = ["per_device_train_batch_size=9999", "packing=true"]
    with pytest.raises(UsageError, match=r"\d blocks of 16 tokens, fewer than one batch of 9999"):
        train(text_card(data), tmp_path / "out", overrides=changes, quiet=True)


def test_a_tokenizer_by_id_is_kept_and_says_the_sizes(data, tmp_path):
    card = text_card(data, tokenizer='id = "genae/tiny-bert"')
    recipe = build_recipe(card)
    assert recipe.config.vocab_size == len(recipe.tokenizer)
    missing = text_card(data, tokenizer=f'id = "{tmp_path}/nowhere"')
    with pytest.raises(NotFoundError, match="no tokenizer"):
        build_recipe(missing)


def test_a_card_of_texts_survives_its_own_text(data):
    card = text_card(data, "classification", data="packing = false\nlabel = 'label'", train=LORA)
    again = Card.parse(zoo.card.dumps(card.to_dict()))
    assert again == card
    assert (again.data.task, again.data.packing, again.train.lora) == (
        "classification", False, {"rank": 2},
    )  # fmt: skip
    assert TextOptions(**again.data.text_options).label == "label"
    assert json.dumps(card.to_dict())


def test_a_recipe_for_ones_own_texts_is_called_after_their_file(tmp_path):
    card = text_card("tatoeba-zh-en", "seq2seq")
    assert build_recipe(card).options.columns == ("text", "english")
    named = text_card("tatoeba-zh-en", "seq2seq", data='columns = ["english", "text"]')
    assert build_recipe(named).options.columns == ("english", "text")
    (tmp_path / "My Pairs.jsonl").write_text("")
    own = with_data(card, str(tmp_path / "My Pairs.jsonl"))
    assert own.id == "local/my-pairs"
    assert (own.data.task, own.data.columns, own.data.train_split) == ("seq2seq", [], "train")
    assert own.tokenizer == card.tokenizer
    assert build_recipe(own).options.columns == ()


def test_images_and_texts_do_not_mix(card):
    wrong = with_settings(card(), ["data.dataset=tiny-shakespeare"])
    with pytest.raises(UsageError, match=r"has texts; a card of texts says in \[data\] what for"):
        build_recipe(wrong)
    with pytest.raises(UsageError, match=r"\[tokenizer\] is about texts; \[data\] needs a task"):
        with_settings(card(), ["tokenizer.kind=bytes"])
