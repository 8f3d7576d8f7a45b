"""A converted graph of layers is a model like any other: described, verified, published."""

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
from tests.conversion.keras_files import KERAS
from zoo import registry
from zoo.card import Card
from zoo.errors import GenaeError, IntegrityError, UsageError
from zoo.registry import manifest

SOURCE = KERAS / "keras_1_sequence"
RECORD = np.load(SOURCE / "io.npz")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A model made of weights and the JSON next to them, its code beside it."""
    out = tmp_path_factory.mktemp("result") / "a text"
    report = convert.convert_checkpoint(
        SOURCE / "weights.h5", out, verify=SOURCE / "io.npz", with_code=True
    )
    return out, report


@pytest.fixture
def mine(result, tmp_path, monkeypatch):
    """The same in the current folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(result[0], tmp_path / "a text"))


def outputs(model):
    count = sum(name.startswith("in") for name in RECORD)
    with torch.no_grad():
        return model(*(torch.from_numpy(RECORD[f"in{i}"]) for i in range(count))).outputs


def test_a_card_says_what_the_files_prove(result):
    out, report = result
    card = Card.load(out)
    assert (card.id, card.architecture, card.task) == ("local/a-text", "layers", "other")
    assert (card.license, card.source["license"]) == ("unknown", "unknown")
    assert (card.source["format"], card.source["family"]) == ("keras-hdf5", "layers")
    assert set(card.source["files"]) == {"weights.h5", "model.json"}
    for name, digest in card.source["files"].items():
        assert manifest.sha256(SOURCE / name) == digest
    largest = max(parity.max_absolute for parity in report.parity)
    assert card.source["parity"]["max_abs_error"] == pytest.approx(largest, rel=1e-2)
    assert registry.verify(out).ok
    assert set(report.files) == {path.name for path in out.iterdir()}
    told = json.loads((out / "conversion.json").read_text("utf-8"))
    assert manifest.read(out)["parameters"] == told["parameters"] > 0


def test_its_code_is_small_enough_to_travel(result):
    code = list(result[0].glob("*.py"))
    assert len(code) < 15
    assert sum(path.stat().st_size for path in code) < 100_000


def test_it_is_published_by_typing_what_is_printed(mine, run):
    assert run("verify", mine).code == 0
    assert "local/a-text" in run("info", mine).out
    words = ("push", mine, "me/text", "--to", "./models")
    refused = run(*words)
    assert refused.code == 2
    (typed,) = re.findall(r"`(genae [^`]+)`", refused.err)
    assert run(*shlex.split(typed)[1:]).code == 0
    assert run(*words).code == 0
    copy = zoo.pull("me/text", "copy", source="./models")
    assert registry.verify(copy).ok
    page = (copy / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    assert 'zoo.from_pretrained("me/text")' in code
    wanted = outputs(zoo.from_pretrained(mine))
    for model in (
        zoo.LayersModel.from_pretrained("me/text", source="./models"),
        zoo.from_pretrained(copy),
    ):
        assert type(model) is zoo.LayersModel
        for one, other in zip(wanted, outputs(model), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_another_class_is_sent_to_the_right_one(mine):
    with pytest.raises(UsageError, match=r"LayersModel.from_pretrained\('a text'\)"):
        zoo.VAEModel.from_pretrained("a text")
    with pytest.raises(UsageError, match="VAEModel"):
        zoo.LayersModel.from_pretrained("genae/vae-mnist")


@pytest.mark.parametrize("with_code", [False, True], ids=["plain", "with code"])
def test_what_is_printed_and_what_the_page_says_runs(tmp_path, run, monkeypatch, with_code):
    monkeypatch.chdir(tmp_path)
    done = run("convert", SOURCE / "weights.h5", "it's", *["--with-code"] * with_code)
    (command,) = done.tried
    (line,) = shlex.split(command)[2:]
    names: dict = {}
    exec(f"{line.rpartition('; ')[0]}; model = {line.rpartition('; ')[2]}", names)
    assert type(names["model"]).__name__ == "LayersModel"
    assert (type(names["model"]) is zoo.LayersModel) or with_code
    monkeypatch.chdir("it's")
    (code,) = re.findall(r"```python\n(.+?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    exec(code, names)
    for made, wanted in zip(names["outputs"], outputs(names["model"]), strict=True):
        assert made.shape[1:] == wanted.shape[1:]


def test_a_folder_is_shown_as_its_file_is(result, run):
    source, out = (run("inspect", path) for path in (SOURCE / "weights.h5", result[0]))
    assert source.code == out.code == 0
    assert source.out.splitlines()[:-1] == out.out.splitlines()[:-1]
    assert out.tried == [f'genae info "{result[0]}"']
    told = (
        json.loads(run("inspect", p, "--json").out) for p in (SOURCE / "weights.h5", result[0])
    )
    one, other = (table["layers"] for table in told)
    assert one == other


@pytest.mark.parametrize("damage", ['{"family": "layers", "model": 3}', "[1]", "{", "\udcff"])
def test_a_damaged_record_is_said_in_a_line(mine, run, damage):
    (mine / "conversion.json").write_text(damage, "utf-8", errors="surrogateescape")
    done = run("inspect", mine)
    assert done.code == IntegrityError.exit_code
    assert "conversion.json" in done.err
    assert len(done.err.splitlines()) == 1


LAST = {"channels_last": False}


def test_channels_come_first_where_that_is_asked_for(tmp_path):
    source = KERAS / "conv2dt_outpad"
    report = convert.convert_checkpoint(
        source / "model.h5", tmp_path / "out", options=LAST, verify=source / "io.npz"
    )
    assert all(one.ok for one in report.parity)
    assert Card.load(tmp_path / "out").source["options"] == LAST
    model = zoo.from_pretrained(tmp_path / "out")
    record = np.load(source / "io.npz")
    with torch.no_grad():
        found = model(torch.from_numpy(record["in0"]).movedim(-1, 1)).outputs
    for number, one in enumerate(found):
        wanted = torch.from_numpy(record[f"out{number}"])
        torch.testing.assert_close(one.movedim(1, -1), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("conv2dt_outpad", {"channel_last": False}, "Did you mean 'channels_last'"),
        ("conv2dt_outpad", {"gelu": "erf"}, "no option of a model of layers"),
        ("conv2dt_outpad", {"channels_last": 0}, "true or false"),
        ("conv2d_channels_first", LAST, "'conv2d' has its channels first"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_both_verbs(tmp_path, name, options, message):
    source = KERAS / name / "model.h5"
    for call in (convert.convert_checkpoint, convert.inspect):
        arguments = {"out": tmp_path / "out", "options": options}
        with pytest.raises(GenaeError, match=message):
            call(source, **arguments)
    assert not (tmp_path / "out").exists()


LOAD = """
import sys
sys.modules["zoo"] = sys.modules["convert"] = None  # as if genae were not installed
import numpy, torch, transformers
model = transformers.AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
given = numpy.load(sys.argv[2])
names = sorted(name for name in given if name.startswith("in"))
outputs = model(*(torch.from_numpy(given[name]) for name in names)).outputs
numpy.savez(sys.argv[3], *(output.detach().numpy() for output in outputs))
print(type(model).__name__)
"""


@pytest.mark.slow
def test_transformers_loads_it_where_genae_is_not(result, tmp_path):
    made = tmp_path / "made.npz"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(result[0]), str(SOURCE / "io.npz"), str(made)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["LayersModel"]
    for number, (_, found) in enumerate(sorted(np.load(made).items())):
        np.testing.assert_allclose(found, RECORD[f"out{number}"], atol=1e-5)
