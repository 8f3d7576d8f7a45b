"""A conversion has a card: it is verified, shown, described and published like any model."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import convert
import zoo
from convert.card import FORMATS
from tests.conversion.records import LEGACY, options, record
from zoo import registry
from zoo.card import Card
from zoo.registry import manifest

OWN = "gau_alpha"
SOURCE = LEGACY / OWN / "bert_model.ckpt"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A model of a class of genae's, compared with its record, its code beside it."""
    out = tmp_path_factory.mktemp("result") / "my gau"
    told, reference = options(record(OWN)), LEGACY / OWN / "reference.npz"
    report = convert.convert_checkpoint(
        SOURCE, out, options=told, verify=reference, with_code=True
    )
    return out, report


@pytest.fixture
def mine(result, tmp_path, monkeypatch):
    """The same in the current folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(result[0], tmp_path / "my gau"))


def test_a_card_says_what_the_files_prove(result):
    out, report = result
    card = Card.load(out)
    assert (card.id, card.version, card.status) == ("local/my-gau", "0.1.0", "experimental")
    assert (card.license, card.source["license"]) == ("unknown", "unknown")
    assert card.source["format"] == FORMATS[report.format]
    assert card.source["family"] == report.family
    for name, digest in card.source["files"].items():
        assert manifest.sha256(LEGACY / OWN / name) == digest
    largest = max(parity.max_absolute for parity in report.parity)
    assert card.source["parity"]["max_abs_error"] == pytest.approx(largest, rel=1e-2)
    assert len(card.source["parity"]["outputs"]) == len(report.parity)
    assert all(note in card.limits for note in report.notes)
    assert registry.verify(out).ok
    assert set(report.files) == {path.name for path in out.iterdir()}
    told = json.loads((out / "conversion.json").read_text("utf-8"))
    assert manifest.read(out)["parameters"] == told["parameters"]
    assert "differ by at most" in (out / "README.md").read_text("utf-8")


def test_it_is_published_by_typing_what_is_printed(mine, run):
    assert run("verify", mine).code == 0
    assert "local/my-gau" in run("info", mine).out
    words = ("push", mine, "me/gau", "--to", "./models")
    refused = run(*words)
    assert refused.code == 2
    (typed,) = re.findall(r"`(genae [^`]+)`", refused.err)
    assert run(*shlex.split(typed)[1:]).code == 0
    assert run(*words).code == 0
    copy = zoo.pull("me/gau", "copy", source="./models")
    assert registry.verify(copy).ok
    card = Card.load(copy)
    assert (card.license, card.source["license"]) == ("apache-2.0", "apache-2.0")
    assert 'license: "apache-2.0"' in (copy / "README.md").read_text("utf-8")
    for one, other in zip(
        zoo.from_pretrained(mine).parameters(), zoo.from_pretrained(copy).parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_page_made_anew_still_loads_the_model(mine, run, monkeypatch):
    before, summary = (mine / "README.md").read_text("utf-8"), Card.load(mine).summary
    assert run("card", mine, "--set", "summary=Mine.").code == 0
    page = (mine / "README.md").read_text("utf-8")
    assert "trust_remote_code=True" in page
    assert page == before.replace(summary, "Mine.")


def test_the_way_back_passes_the_code_by(mine):
    convert.export_checkpoint(mine, "back", to="tf-checkpoint")
    with convert.open_checkpoint("back") as back, convert.open_checkpoint(SOURCE) as first:
        shared = set(back) & set(first)
        assert shared == set(back)
        for name in shared:
            assert np.array_equal(back[name].numpy(), first[name].numpy())


@pytest.mark.parametrize("verb", ["inspect", "convert"])
def test_the_code_of_transformers_is_not_added(run, tmp_path, verb):
    out = tmp_path / "out"
    done = run(verb, LEGACY / "bert_full/bert_model.ckpt", out, "--with-code")
    assert done.code == 2
    assert not out.exists()
    said = done.err if verb == "convert" else done.out
    assert "leave --with-code out" in " ".join(said.split())


def test_what_was_not_compared_is_said(tmp_path):
    out = tmp_path / "out"
    convert.convert_checkpoint(LEGACY / "bert_full/bert_model.ckpt", out)
    assert "parity" not in Card.load(out).source
    page = (out / "README.md").read_text("utf-8")
    assert "not compared" in page
    assert 'library_name: "transformers"' in page


LOAD = """
import sys
sys.modules["zoo"] = sys.modules["convert"] = None  # as if genae were not installed
import torch, transformers
auto = getattr(transformers, sys.argv[1])
model = auto.from_pretrained(sys.argv[2], trust_remote_code=True)
total = sum(p.detach().double().abs().sum() for p in model.parameters())
print(type(model).__name__, float(total))
print(float(model(torch.tensor([[2, 5, 6, 3]]))[0].double().sum()))
"""
#: Models of classes that transformers lacks, and the class that finds them.
ELSEWHERE = {
    OWN: "AutoModelForMaskedLM",
    "nezha": "AutoModelForPreTraining",
    "roformer_v2": "AutoModelForMaskedLM",
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "auto"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_transformers_loads_it_where_genae_is_not(name, auto, tmp_path):
    out = tmp_path / "result"
    source = LEGACY / name / "bert_model.ckpt"
    told = options(record(name))
    convert.convert_checkpoint(source, out, family=name, options=told, with_code=True)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, auto, str(out)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    own = zoo.from_pretrained(out)
    kind, total, output = done.stdout.split()
    assert kind == type(own).__name__
    values = (p.detach().double().abs().sum() for p in own.parameters())
    assert float(total) == pytest.approx(float(sum(values)), rel=1e-12)
    with torch.no_grad():
        computed = own(torch.tensor([[2, 5, 6, 3]]))[0].double().sum()
    assert float(output) == pytest.approx(float(computed), rel=1e-5)
