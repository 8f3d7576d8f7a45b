"""The verbs that move models: push, pull, info and registry, against a hub and a folder."""

import json
import os

import pytest

from tests.hubs.server import HubServer
from zoo.registry import load_card

VERSION = load_card("genae/ae-mnist").version


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that the environment points to, with the token of alice."""
    from huggingface_hub import constants

    with HubServer() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
        monkeypatch.setenv("HF_TOKEN", "tok")
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture(params=["hub", "folder"])
def place(request, hub, tmp_path):
    """Where to push to: the option's value, and the words that ask there."""
    return "hub" if request.param == "hub" else str(tmp_path / "models")


def test_there_and_back(run, place, hub, tmp_path):
    source = [] if place == "hub" else ["--from", place]
    planned = run("push", "genae/ae-mnist", "alice/ae", "--to", place, "--dry-run")
    assert planned.code == 0, planned.err
    assert "model.safetensors" in planned.err
    assert "--dry-run" not in planned.err
    done = run("push", "genae/ae-mnist", "alice/ae", "--to", place, "--json")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["version"] == VERSION
    again = run("push", "genae/ae-mnist", "alice/ae", "--to", place)
    assert again.code == 7
    assert "--version" in again.err
    newer = run("push", "genae/ae-mnist", "alice/ae", "--to", place, "--version", "1.2.0")
    assert newer.code == 0, newer.err
    assert f"genae pull alice/ae {' '.join([*source, ''])}--to out/ae" in newer.err

    shown = run("info", "alice/ae", *source, "--json")
    facts = json.loads(shown.out)
    assert facts["versions"] == ["v1.2.0", f"v{VERSION}"]
    assert facts["card"]["id"] == "alice/ae"
    assert facts["parameters"] == 287841
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
    for revision in (f"v{VERSION}", said["commit"]):
        text = run("info", "alice/ae", *source, "--revision", revision)
        assert "reconstruction_mse" in text.out
        assert f"--revision {revision}" in text.err

    pulled = run("pull", "alice/ae", *source, "--revision", VERSION, "--to", "out/ae")
    assert (pulled.code, pulled.out) == (0, "out/ae\n"), pulled.err
    assert run("verify", "out/ae").out == "alice/ae: 6 files are what they should be\n"
    cached = run("pull", "alice/ae", *source, "--json")
    assert json.loads(cached.out)["id"] == "alice/ae"
    missing = run("pull", "alice/ae", *source, "--revision", "v9.9.9", "--to", "none")
    assert missing.code == 3
    assert not (tmp_path / "none").exists()


def test_converted_models_travel_too(run, hub, tmp_path):
    done = run("push", "cards/bert-poetry-zh", "alice/poetry", "--private", "-q")
    assert (done.code, done.err) == (0, "")
    assert hub.storage.repo("alice/poetry").private
    hub.clear()
    said = run("fill-mask", "alice/poetry", "舉頭望明[MASK]", "-q")
    assert hub.count("GET", "/revision/") == 1  # a command looks its model up once
    assert said.code == 0, said.err
    assert "97%" in said.out
    refused = run("push", "cards/bert-poetry-zh", "alice/other", "--with-code")
    assert refused.code == 2
    assert "--with-code" in refused.err


def test_anothers_model_without_a_card(run, hub, tmp_path, tiny_config):
    import zoo

    zoo.VAEModel(tiny_config("vae")).save_pretrained(tmp_path / "plain")
    files = {p.name: p.read_bytes() for p in (tmp_path / "plain").iterdir()}
    hub.storage.commit("someone/plain", files | {"README.md": b"hi", "old.bin": b"x"})
    shown = run("info", "someone/plain")
    assert "genae_vae" in shown.out
    assert "genae pull someone/plain" in shown.err
    assert json.loads(run("info", "someone/plain", "--json").out)["card"] is None
    assert type(zoo.from_pretrained("someone/plain")).__name__ == "VAEModel"
    assert type(zoo.VAEModel.from_pretrained("someone/plain")).__name__ == "VAEModel"
    assert run("verify", "someone/plain").code == 0
    pulled = run("pull", "someone/plain", "--to", "copy")
    assert pulled.code == 0, pulled.err
    assert sorted(os.listdir("copy")) == ["README.md", "config.json", "model.safetensors"]
    blob = next((tmp_path / "hub").rglob("snapshots/*/config.json")).resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    assert run("verify", "someone/plain").code == 5


def test_code_runs_only_when_asked(hub, tmp_path):
    import zoo
    from zoo.errors import UsageError

    code = "open('ran', 'w').close()\nfrom transformers import BertConfig\n" + (
        "class EvilConfig(BertConfig):\n    model_type = 'evil'\n"
    )
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig"}}
    files = {"config.json": json.dumps(config).encode(), "evil.py": code.encode()}
    hub.storage.commit("someone/evil", files)
    with pytest.raises(UsageError, match="'evil' is not one of genae's"):
        zoo.from_pretrained("someone/evil")
    assert not (tmp_path / "ran").exists()


def test_the_registry_says_where_it_looks(run, hub, monkeypatch, tmp_path):
    assert run("push", "genae/ae-mnist", "alice/ae", "-q").code == 0
    assert run("push", "genae/ae-mnist", "alice/ae", "--to", "./models", "-q").code == 0
    rows = json.loads(run("registry", "--json").out)
    assert [row["place"] for row in rows] == ["embedded", "hub"]
    assert rows[1]["address"] == hub.url
    monkeypatch.setenv("GENAE_REGISTRIES", "./models,embedded,hub,nope://x")
    rows = json.loads(run("registry", "alice/ae", "--json").out)
    assert [row["versions"] for row in rows] == [[f"v{VERSION}"], None, [f"v{VERSION}"], None]
    assert "nope" in rows[3]["state"]
    assert f"v{VERSION}" in run("registry", "alice/ae").out
    assert run("registry", "--from", "./models").out == "alice/ae\n"
    assert run("registry", "--from", "hub", "--search", "AE").out == "alice/ae\n"
    assert run("registry", "--search", "x").code == 2
    assert run("registry", "--from", "embedded", "--search", "eae-fash").out == (
        "genae/eae-fashion-mnist\n"
    )


def test_a_cache_that_cannot_be_written_to_is_named(run, hub, monkeypatch, tmp_path):
    from huggingface_hub import constants

    assert run("push", "genae/ae-mnist", "alice/ae", "--version", "v1.5.0", "-q").code == 0
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    done = run("pull", "alice/ae")
    assert done.code == 4
    assert "HF_HUB_CACHE" in done.err


def test_env_knows_that_there_is_a_token_and_not_which(run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    monkeypatch.setenv("GENAE_REGISTRIES", "https://me:hf_verysecret@hub.example,hub")
    said = run("env")
    facts = json.loads(run("env", "--json").out)
    assert facts["Hub token"] is True
    assert facts["Hub endpoint"] == hub.url
    assert "verysecret" not in said.out + json.dumps(facts)
    assert "verysecret" not in run("registry", "--json").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["push", "genae/eae-celeba", "alice/x"], 3),
        (["push", "nowhere", "alice/x"], 3),
        (["push", "genae/ae-mnist", "x"], 2),
        (["push", "genae/ae-mnist", "alice/../x"], 2),
        (["push", "genae/ae-mnist", "bob/x"], 4),
        (["push", "genae/ae-mnist", "alice/x", "--to", "embedded"], 2),
        (["push", "genae/ae-mnist", "alice/x", "--to", "nope://x"], 2),
        (["push", "genae/ae-mnist", "alice/x", "--version", "one"], 2),
        (["registry", "x/../y"], 2),
        (["pull", "alice/none", "--to", "x"], 3),
        (["pull", "alice/none", "--revision", "a..b", "--to", "x"], 2),
        (["info", "alice/none"], 3),
    ],
)
def test_mistakes_are_one_line(run, hub, words, code, tmp_path):
    before = sorted(os.listdir(tmp_path))
    done = run(*words)
    assert done.code == code, done.err
    assert done.err.startswith("genae: ")
    assert done.err.count("\n") == 1
    assert [name for name in sorted(os.listdir(tmp_path)) if name not in (*before, "hub")] == []
