"""`genae inspect`, `convert`, `export` and `fill-mask`, as they are typed."""

import json
import re
import shlex
import shutil

import pytest

from convert.backward.targets import TARGETS
from tests.conversion.records import FIXTURES, LEGACY
from zoo.advice import verb_for
from zoo.cli.answers import OF_TEXTS
from zoo.cli.group import load_verb

POETRY = LEGACY.parents[2] / "cards/examples/bert-poetry"
FULL = LEGACY / "bert_full"


def test_a_conversion_shows_tensors_parity_and_what_to_type_next(run, tmp_path):
    out = tmp_path / "out"
    reference = FULL / "reference.npz"
    words = ("--verify", reference, "--map")
    code, said, err = run("convert", FULL / "model.weights", out, *words)
    assert code == 0, err
    assert "Transformer-*-FeedForward" in said
    assert "bert.encoder.layer.*.output.dense.weight" in said
    assert "(3 tensors)" in said
    assert "out_nsp_probs" in said
    assert "OFF" not in said
    assert "AutoModelForPreTraining.from_pretrained" in err
    assert "gelu=erf" in err
    assert err.startswith("application=encoder: a BERT without language-model mask")


def test_quiet_is_the_answer_alone(run, tmp_path):
    code, said, err = run("convert", FULL / "model.weights", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    line = "BertForPreTraining, 62 tensors, all placed; conversion.json has the map"
    assert said == f"{tmp_path / 'out'}: {line}\n"


def test_the_line_says_what_was_left_out_and_compared(run, tmp_path):
    source, out = LEGACY / "bert_optim", tmp_path / "out"
    words = ("--option", "gelu=erf", "--option", "with_nsp=false", "--allow-unused", "cls/seq*")
    record = ("--verify", source / "reference.npz", "-q")
    code, said, err = run("convert", source, out, *words, *record)
    assert code == 0, err
    dropped = len(json.loads((out / "conversion.json").read_text("utf-8"))["dropped"])
    assert dropped > 2
    assert f"placed, {dropped} left out; " in said
    assert re.search(r"; \d recorded outputs agree, to \d\.\de-\d\d of the largest value; ", said)
    assert err == (
        "not compared, as the result does not have it: out_nsp_probs (--option with_nsp=true "
        "gives it, where the files have its weights)\n"
    )


def test_a_vocabulary_that_is_passed_over_is_said_when_quiet_too(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for file in FULL.glob("b*"):
        shutil.copy(file, folder)
    other = tmp_path / "elsewhere/any name.txt"
    other.parent.mkdir()
    shutil.copy(FULL / "vocab.txt", other)
    (folder / "my_vocab.txt").write_text("[PAD]\n[UNK]\n")
    for how in ("--quiet", "--json"):
        code, _, err = run("convert", folder, tmp_path / how, how, "--option", "gelu=erf")
        assert code == 0
        (line,) = err.splitlines()
        assert line.startswith("my_vocab.txt looks like a vocabulary and is not taken")
        assert line.endswith("with --vocab FILE")
    words = ("-q", "--vocab", other, "--option", "gelu=erf")
    code, said, err = run("convert", folder, tmp_path / "out", *words)
    assert (code, err) == (0, "")
    assert (tmp_path / "out/vocab.txt").read_bytes() == other.read_bytes()
    code, said, _ = run("inspect", folder, "--vocab", other, "--json")
    assert code == 0
    assert "vocabulary: any name.txt, as given" in json.loads(said)["notes"]


def test_json_has_every_tensor(run, tmp_path):
    code, said, _ = run("convert", FULL / "bert_model.ckpt", tmp_path / "out", "--json", "-q")
    table = json.loads(said)
    assert code == 0
    variables = json.loads((FULL / "fixture.json").read_text())["checkpoint_variables"]
    assert {row["source"] for row in table["tensors"]} == set(variables)


def test_options_come_from_words_and_files(run, tmp_path):
    source = LEGACY / "simbert"
    told = tmp_path / "options.json"
    told.write_text('{"application": "encoder", "with_pool": "linear"}')
    words = ("--options", told, "--option", "application=unilm")
    code, _, err = run(
        "convert", source, tmp_path / "out", *words, "--verify", source / "reference.npz"
    )
    assert code == 0, err
    assert "import zoo.models" in err
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["attention_mask_kind"], config["pooler_act"]) == ("prefix", "linear")


def test_a_result_that_differs_is_no_result(run, tmp_path):
    source = LEGACY / "simbert"
    code, _, err = run("convert", source, tmp_path / "out", "--verify", source / "reference.npz")
    assert code == 9
    assert "out_layer_0" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((FULL,), 2, "Missing argument 'OUT'"),
        ((LEGACY / "bert_cln", "OUT"), 2, "several checkpoints"),
        (("absent", "OUT"), 3, "no checkpoint absent"),
        ((FULL / "vocab.txt", "OUT"), 5, "neither"),
        ((FULL / "bert_model.ckpt", "OUT", "--option", "gelu"), 2, "KEY=VALUE"),
        ((FULL / "bert_model.ckpt", "OUT", "--family", "bart"), 2, "'bert'"),
        ((FULL / "bert_model.ckpt", "OUT", "--dtype", "float8"), 2, "float32"),
        ((FULL / "bert_model.ckpt", "OUT", "--max-shard-size", "big"), 2, "5GB"),
        ((FULL / "bert_model.ckpt", "OUT", "--verify", "absent.npz"), 3, "absent.npz"),
        ((FULL / "bert_model.ckpt", "OUT", "--config", "absent.json"), 3, "absent.json"),
        ((FULL / "bert_model.ckpt", "OUT", "--verify", FULL / "vocab.txt"), 5, "vocab.txt"),
    ],
)
def test_mistakes_leave_nothing(run, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = run("convert", *words)
    assert found == code, err
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_inspect_says_what_a_file_is(run):
    code, said, _ = run("inspect", FULL / "model_tf2.h5", "--json")
    facts = json.loads(said)
    assert code == 0
    assert (facts["format"], facts["families"]) == ("keras_hdf5", ["bert"])
    assert facts["missing"] == []
    code, said, _ = run("inspect", LEGACY / "bert_optim")
    assert "optimizer slots" in said


def test_the_poems_are_completed_as_the_original_completes_them(run, tmp_path):
    out = tmp_path / "poetry"
    code, said, err = run("convert", POETRY, out, "--verify", POETRY / "reference.npz")
    assert code == 0, err
    assert "out_mlm_probs" in said
    recorded = json.loads((POETRY / "fill_mask.json").read_text("utf-8"))
    import numpy as np
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(out)
    lines = np.load(POETRY / "reference.npz")["in_token_ids"]
    compared = 0
    for ids in lines.tolist():
        tokens = tokenizer.convert_ids_to_tokens([number for number in ids if number])[1:-1]
        code, said, _ = run("fill-mask", out, "".join(tokens), "--json")
        assert code == 0
        masks = iter(json.loads(said)[0]["masks"])
        for position, token in enumerate(tokens, start=1):
            if token != "[MASK]":
                continue
            mine = [candidate["token"] for candidate in next(masks)]
            theirs = [
                [word for word, _ in cell["top5"]]
                for cell in recorded
                if cell["position"] == position and _could_be(cell["line"], tokens)
            ]
            assert mine in theirs
            compared += 1
    assert compared == len(recorded)


def _could_be(line, tokens):
    return len(line) == len(tokens) and all(
        token in ("[MASK]", character) for character, token in zip(line, tokens, strict=True)
    )


def test_fill_mask_says_what_is_wrong(run, tmp_path):
    shutil.copytree(FULL, tmp_path / "legacy")
    for words, code, message in (
        ((tmp_path / "legacy", "no mask"), 2, "has no [MASK]"),
        ((tmp_path / "legacy", "a [MASK]"), 3, "tokenizer.json"),
        ((tmp_path / "absent", "a [MASK]"), 3, "absent"),
    ):
        found, _, err = run("fill-mask", *words)
        assert found == code
        assert message in err


def test_the_way_back_answers_with_the_call_that_builds_the_model(run, tmp_path):
    ours, out = tmp_path / "ours", tmp_path / "out"
    assert run("convert", FULL / "bert_model.ckpt", ours, "-q")[0] == 0
    code, said, err = run("export", ours, out, "--to", "tf-checkpoint", "--map")
    assert code == 0, err
    assert "bert/encoder/layer_*/attention/self/query/kernel" in said
    assert "with_nsp=True" in err
    code, said, _ = run("export", ours, tmp_path / "h5", "--to", "keras-hdf5", "--json", "-q")
    table = json.loads(said)
    assert (code, table["options"]["model"]) == (0, "bert")
    assert "model.weights" in table["files"]
    code, _, err = run("export", ours, out, "--to", "tf-checkpoint")
    assert (code, "Traceback" in err) == (7, False)


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        (("convert", "--check", "A"), "--check"),
        (("convert", "A", "B", "--to", "keras-hdf5"), "--to"),
        (("export", "A", "B", "--to", "keras-hdf5", "--config", "C"), "--config"),
        (("export", "A", "B", "--to", "keras-hdf5", "--vocab", "C"), "--vocab"),
        (("export", "A", "B", "--to", "keras-hdf5", "--verify", "C"), "--verify"),
        (("inspect", "A", "--to", "keras-hdf5"), "--to"),
    ],
)
def test_each_verb_has_its_own_options(run, words, unknown):
    code, said, err = run(*words)
    assert (code, said) == (2, "")
    assert f"No such option: {unknown}" in err
    assert f"See `genae {words[0]} --help`" in err
    code, said, _ = run(words[0], "--help")
    assert code == 0
    assert {"genae inspect", "genae export"} <= set(re.findall(r"genae \w+", said)) or (
        words[0] != "convert"
    )


def test_an_export_needs_a_target_that_there_is(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (option,) = (one for one in load_verb("export").params if one.name == "to")
    assert all(name in option.help for name in TARGETS)
    code, _, err = run("export", "A", "B")
    assert (code, "Missing option '--to'" in err) == (2, True)
    (tmp_path / "A").mkdir()
    code, _, err = run("export", "A", "B", "--to", "keras-hdf")
    assert (code, "Did you mean 'keras-hdf5'?" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["A"]


@pytest.mark.parametrize("more", [(), ("--json",), ("-q",), ("--json", "-q")])
def test_inspect_ends_as_the_conversion_would(run, tmp_path, more):
    """Where something is missing, the next step is no conversion."""
    source = LEGACY / "nezha/bert_model.ckpt"
    code, said, err = run("inspect", source, *more)
    assert (code, err) == (2, "")
    assert "--family nezha" in said
    assert run("convert", source, tmp_path / "out", *more)[0] == code
    words = ("--family", "nezha", "--option", "gelu=erf", *more)
    code, _, err = run("inspect", source, tmp_path / "out", *words)
    assert (code, bool(err)) == (0, not more)
    assert run("convert", source, tmp_path / "out", *words)[0] == 0
    code, said, err = run("inspect", source, tmp_path / "out", *words)  # it is taken now
    assert (code, "is not empty" in said + err) == (7, True)


def test_the_current_folder_can_be_the_result(run, tmp_path, monkeypatch):
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.chdir(place)
    code, _, err = run("convert", LEGACY / "bert_encoder/bert_model.ckpt", ".")
    assert code == 0
    assert "from_pretrained('.', add_pooling_layer=False)" in err
    assert "# mine\n" in (place / "README.md").read_text("utf-8")


TAGGER = ("--head", "crf", "--head-option", "lr_multiplier=1000")
POINTERS = ("--head", "half_pointer")
SEVERAL = (
    *("--head", "classifier", "--head", "token_classifier", "--head", "last=classifier"),
    *("--head-option", "pooling=cls", "--head-option", "activation=softmax"),
    *("--head-option", "tags_v2.activation=linear"),
)


@pytest.mark.parametrize(
    ("source", "words", "wanted"),
    [
        ("finetuned/ner_crf/tf_format/best_model.weights", TAGGER, "tag OUT TEXT"),
        ("finetuned/relation_half_pointer/tf_format/best_model.weights", POINTERS,
         "extract OUT TEXT"),
        ("finetuned/classifier_pool_full/model.h5", (), "classify OUT TEXT"),
        ("finetuned/hand_named/best_model.weights", SEVERAL, "tag OUT TEXT"),
        ("keras_images/vae_cnn/vae.weights", ("--family", "vae_cnn"), "sample OUT -o samples.png"),
    ],
    ids=["tagger", "relations", "classifier", "several", "images"],
)  # fmt: skip
def test_a_result_with_a_verb_is_used_at_once(source, words, wanted, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = (FIXTURES / source).parent
    if folder.name == "tf_format":
        words = (*words, "--config", folder.parent / "bert_config.json")
    done = run("convert", FIXTURES / source, "out", *words)
    assert (done.code, done.tried) == (0, [f"genae {wanted}".replace("OUT", "out")]), done.err
    assert run(*shlex.split(done.tried[0])[1:]).code == 0


def test_a_head_is_named_where_several_have_the_verb():
    heads = {"mood": {"kind": "classifier"}, "topic": {"kind": "classifier"}}
    config = {"model_type": "bert", "architectures": ["BertForMultiTask"], "heads": heads}
    assert verb_for(config) == ("classifies", "classify", "TEXT", "--head", "mood")
    heads["topic"] = {"kind": "span"}
    assert verb_for(config) == ("classifies", "classify", "TEXT")


def test_weights_of_images_have_no_facts_of_texts(run):
    image = run("inspect", FIXTURES / "keras_images/vae_cnn/vae.weights")
    text = run("inspect", FIXTURES / "finetuned/hand_named/best_model.weights", "--family", "bert")
    facts = [{line.split("  ")[0] for line in one.out.splitlines()} for one in (image, text)]
    assert {"form", "families", "missing"} <= facts[0]
    assert not {*OF_TEXTS} & facts[0]
    assert {*OF_TEXTS} <= facts[1]
    assert image.tried[0].endswith("--family vae_cnn")
    assert run(*shlex.split(image.tried[0])[1:]).code == 0
