"""Where weights come from, as the headers of their files say it."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import zoo
from tests.conversion.records import LEGACY
from zoo.errors import IntegrityError, UsageError
from zoo.header import mark, marks, provenance, safetensors_header
from zoo.registry import embedded

FACTS = marks(id="me/vae", version="1.0.0", card="ab" * 32)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(1)}, path, {"format": "pt"})
    return path


def test_marking_adds_to_the_header_alone(weights):
    header, tensors = safetensors_header(weights), load_file(weights)
    assert provenance(weights) == {}
    mark(weights, FACTS)
    assert provenance(weights) == {"id": "me/vae", "version": "1.0.0", "card": "ab" * 32}
    assert list(safetensors_header(weights).items()) == list(header.items())
    assert all(torch.equal(load_file(weights)[name], tensors[name]) for name in tensors)
    with safe_open(weights, "pt") as file:
        assert file.metadata() == {"format": "pt", **FACTS}
    again = weights.read_bytes()
    mark(weights, FACTS)
    assert weights.read_bytes() == again
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]


def test_a_file_that_is_none_is_left_as_it_is(weights):
    weights.write_bytes(weights.read_bytes()[:-1])
    before = weights.read_bytes()
    with pytest.raises(IntegrityError):
        mark(weights, FACTS)
    assert weights.read_bytes() == before


def test_a_training_says_its_card(run, tmp_path):
    card = embedded.folder("genae/ae-examples") / "card.toml"
    done = run("train", card, "--output", tmp_path / "out", "--set", "max_steps=1", "-q")
    assert done.code == 0, done.err
    made = zoo.Card.load(tmp_path / "out")
    digest = hashlib.sha256((tmp_path / "out/card.toml").read_bytes()).hexdigest()
    wanted = {"id": made.id, "version": made.version, "card": digest}
    assert provenance(tmp_path / "out/model.safetensors") == wanted
    assert zoo.verify(tmp_path / "out").ok
    shown = run("info", tmp_path / "out/model.safetensors")
    assert digest in shown.out
    assert shown.tried == [f"genae info {tmp_path / 'out'}"]


def test_a_conversion_says_its_source(run, tmp_path):
    source = LEGACY / "bert_full/model.weights"
    assert run("convert", source, tmp_path / "out", "-q").code == 0
    said = run("info", tmp_path / "out/model.safetensors", "--json")
    sums = json.loads(said.out)["provenance"]["source"]
    assert sums[source.name] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert sums == zoo.Card.load(tmp_path / "out").source["files"]


def test_a_file_of_others_says_nothing_and_is_said_to(run, weights):
    said = run("info", weights)
    assert said.code == 0
    assert "does not say where the weights come from" in said.err
    assert json.loads(run("info", weights, "--json").out)["provenance"] is None
    shutil.copy(weights, weights.with_name("cut.safetensors"))
    weights.with_name("cut.safetensors").write_bytes(weights.read_bytes()[:20])
    assert run("info", weights.with_name("cut.safetensors")).code == 5
    assert run("info", weights.with_name("none.safetensors")).code == 3


def test_push_to_hub_names_the_way_with_checks(tmp_path, run, tiny_config):
    model = zoo.VAEModel(tiny_config("vae"))
    with pytest.raises(UsageError, match="genae push FOLDER me/vae") as caught:
        model.push_to_hub("me/vae")
    with pytest.raises(UsageError, match="genae push FOLDER me/vae"):
        zoo.load_image_processor("genae/vae-mnist").push_to_hub("me/vae", private=True)
    for one in (model, model.config, zoo.load_image_processor("genae/vae-mnist")):
        for told in ({}, {"repo_id": "me/vae"}):
            with pytest.raises(UsageError, match=r"genae push FOLDER (me/)?vae"):
                one.save_pretrained(tmp_path / "vae", push_to_hub=True, **told)
    assert not [*tmp_path.iterdir()]
    model.save_pretrained(tmp_path)
    steps = [part.split()[1:] for part in str(caught.value).split("`")[1::2]]
    card, push = ([tmp_path if word == "FOLDER" else word for word in step] for step in steps)
    assert run(*card).code == 0
    refused = run(*push, "--to", tmp_path / "models")
    assert (refused.code, "license is unknown" in refused.err) == (
        2,
        True,
    )  # whose, it cannot know
