"""Configurations as releases name them: which one belongs to a checkpoint."""

import json
import shutil

import pytest

import convert
from convert.companions import read_config
from tests.conversion.records import LEGACY
from zoo.errors import IntegrityError, NotFoundError, UsageError

RIGHT = json.loads((LEGACY / "bert_segment5/bert_config.json").read_text("utf-8"))
WRONG = RIGHT | {"hidden_size": 2 * RIGHT["hidden_size"]}
ALBERT = LEGACY / "albert"


def folder_with(folder, configs, source=LEGACY / "bert_segment5"):
    """A checkpoint with configurations of given names."""
    folder.mkdir(exist_ok=True, parents=True)
    for path in source.glob("bert_model.ckpt*"):
        shutil.copy(path, folder)
    for name, config in configs.items():
        (folder / name).write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def found_in(folder, config=None):
    with convert.open_checkpoint(folder) as checkpoint:
        return read_config(folder, checkpoint, config)


@pytest.mark.parametrize(
    "name",
    ["albert_config.json", "albert_config_tiny_g.json", "albert_config_large.json", "mega.json",
     "discriminator.json", "electra_config.json", "config.json", "bert_config_rbt3.json",
     "bert_L-12.json"],
)  # fmt: skip
def test_a_configuration_of_any_published_name_is_taken(tmp_path, name):
    folder = folder_with(tmp_path, {name: RIGHT, "tokenizer_config.json": {"do_lower_case": True}})
    assert found_in(folder) == (RIGHT, name)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("discriminator.json", "generator.json"),
        ("generator.json", "discriminator.json"),
        ("bert_config_small.json", "bert_config.json"),
        ("bert_config.json", "bert_config_small.json"),
        ("mega.json", "config.json"),
    ],
)
def test_of_several_the_one_that_fits_is_taken(tmp_path, right, wrong):
    folder = folder_with(tmp_path / "in", {right: RIGHT, wrong: WRONG})
    assert found_in(folder) == (RIGHT, f"{right}, the one that fits")
    report = convert.convert_checkpoint(folder, tmp_path / "out")
    assert f"configuration: {right}, the one that fits" in report.notes
    assert convert.inspect(folder).missing == []


def test_equal_ones_are_either(tmp_path):
    more = RIGHT | {"model_type": "bert", "hidden_dropout_prob": 0.3}
    folder = folder_with(tmp_path, {"bert_config.json": RIGHT, "config.json": more})
    assert found_in(folder)[1] == "bert_config.json"


@pytest.mark.parametrize("key", ["num_attention_heads", "hidden_act"])
def test_what_no_tensor_decides_is_asked_for(tmp_path, key):
    other = RIGHT | {key: {"num_attention_heads": 2, "hidden_act": "relu"}[key]}
    folder = folder_with(tmp_path, {"a_config_1.json": RIGHT, "a_config_2.json": other})
    with pytest.raises(
        UsageError, match=rf"a_config_1\.json and a_config_2\.json .*{key} is .*--c"
    ):
        found_in(folder)
    assert "--config FILE" in convert.inspect(folder).missing[0]
    assert found_in(folder, folder / "a_config_2.json")[0] == other


def test_the_layers_of_an_albert_are_asked_for(tmp_path):
    """They share their weights, so no tensor tells how many there are."""
    config = json.loads((ALBERT / "bert_config.json").read_text("utf-8"))
    less = config | {"num_hidden_layers": 1}
    names = ("albert_config_tiny_g.json", "albert_config_tiny_google.json")
    folder = folder_with(tmp_path, dict(zip(names, (less, config), strict=True)), ALBERT)
    with pytest.raises(UsageError, match="num_hidden_layers is 1 in the first and"):
        found_in(folder)


def test_of_none_that_fits_the_likeliest_is_judged(tmp_path):
    folder = folder_with(tmp_path, {"bert_config.json": WRONG, "z_config.json": WRONG})
    assert found_in(folder)[1] == "bert_config.json"
    assert "of another shape" in " ".join(convert.inspect(folder).missing)


def test_sizes_go_by_other_names_as_well(tmp_path):
    names = {"n_embd": "hidden_size", "n_head": "num_attention_heads", "n_positions":
             "max_position_embeddings", "n_layer": "num_hidden_layers"}  # fmt: skip
    told = {alias: RIGHT[key] for alias, key in names.items()}
    rest = {key: value for key, value in RIGHT.items() if key not in names.values()}
    folder = folder_with(tmp_path, {"mega.json": rest | told})
    config = found_in(folder)[0]
    assert {key: config[key] for key in RIGHT} == RIGHT
    del rest["intermediate_size"]
    assert found_in(folder, rest | told)[0]["intermediate_size"] == 4 * RIGHT["hidden_size"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        ("<!DOCTYPE html><title>Sign in</title>", "web page"),
        ('{"message": "Not Found", "status": "404"}', "Not Found"),
        ("", "empty file"),
        ("{", "not JSON"),
    ],
)
def test_what_is_no_configuration_is_reported(tmp_path, content, words):
    folder = folder_with(tmp_path, {"bert_config.json": content})
    for given in (None, folder / "bert_config.json"):
        with pytest.raises(IntegrityError, match=rf"bert_config\.json: .*{words}"):
            found_in(folder, given)
    assert words in convert.inspect(folder).missing[0]
    (folder / "albert_config.json").write_text(json.dumps(RIGHT))
    assert found_in(folder)[1] == "albert_config.json"


def test_it_may_lie_in_assets_or_above(tmp_path):
    inner = tmp_path / "model/variables"
    folder_with(inner, {})
    for path in inner.iterdir():
        path.rename(inner / path.name.replace("bert_model.ckpt", "variables"))
    (tmp_path / "model/assets").mkdir()
    for place in ("assets/bert_config.json", "bert_config.json", "variables/bert_config.json"):
        (tmp_path / "model" / place).write_text(json.dumps(RIGHT))
        for given in (tmp_path / "model", inner, tmp_path):
            assert found_in(given)[0] == RIGHT
        (tmp_path / "model" / place).unlink()
    with pytest.raises(NotFoundError, match="no bert_config"):
        found_in(inner)
    folder_with(tmp_path / "run/step", {})
    (tmp_path / "run/bert_config.json").write_text(json.dumps(WRONG))
    with pytest.raises(NotFoundError, match="no bert_config"):
        found_in(tmp_path / "run/step")  # a stranger's
    (tmp_path / "run/bert_config.json").write_text(json.dumps(RIGHT))
    assert found_in(tmp_path / "run/step")[1] == "bert_config.json, of the folder above"


def test_one_may_be_given_as_a_folder_or_inside_an_archive(tmp_path):
    folder = folder_with(tmp_path / "a/in", {"x_config.json": RIGHT, "bert_config.json": WRONG})
    archive = shutil.make_archive(str(tmp_path / "bert"), "zip", tmp_path / "a")
    assert found_in(folder, folder)[0] == RIGHT
    assert found_in(archive)[0] == RIGHT
    assert found_in(archive, f"{archive}!in/bert_config.json")[0] == WRONG
    with pytest.raises(NotFoundError, match=r"bert\.zip!in/absent\.json"):
        found_in(archive, f"{archive}!in/absent.json")


@pytest.mark.parametrize("name", ["vocab.txt", "spiece.model"])
def test_what_is_no_vocabulary_is_reported(tmp_path, name):
    folder = folder_with(tmp_path / "in", {"bert_config.json": RIGHT})
    (folder / name).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )
    with pytest.raises(IntegrityError, match=rf"{name}: .*a Git LFS pointer"):
        convert.convert_checkpoint(folder, tmp_path / "out")
    assert "Git LFS pointer" in " ".join(convert.inspect(folder).missing)
    (folder / name).write_text("<!doctype html><title>Sign in</title>")
    with pytest.raises(IntegrityError, match=rf"{name}: .*a web page"):
        convert.convert_checkpoint(folder, tmp_path / "out")
