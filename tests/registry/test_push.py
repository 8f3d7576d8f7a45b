"""What a push and a check cost: each file read once, torch last or not at all."""

import json
import re
import shutil
from pathlib import Path

import pytest

import zoo
from tests.fresh import commands
from zoo import catalog, registry
from zoo.card import Card
from zoo.errors import IntegrityError, NotFoundError
from zoo.registry import manifest
from zoo.registry.fit import check_fit
from zoo.registry.folder import Folder
from zoo.registry.release import prepare

HEAVY = ("torch", "transformers", "numpy", "datasets", "PIL")


def test_verify_needs_no_torch(ready, tmp_path):
    damaged = shutil.copytree(ready, tmp_path / "damaged")
    with (damaged / "config.json").open("a") as file:
        file.write(" ")
    fine, ended = commands(["verify", str(ready)], ["verify", str(damaged)], blocked=HEAVY)
    assert (fine.code, fine.err) == (0, "")
    assert (ended.code, ended.out) == (5, "")
    assert "config.json" in ended.err


def test_a_damaged_folder_is_not_pushed_and_torch_is_not_asked(ready, tmp_path):
    weights = ready / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    words = ["push", str(ready), "alice/toy", "--to", str(tmp_path / "models")]
    [done] = commands(words, blocked=HEAVY)
    assert done.code == 5
    assert "model.safetensors: its SHA-256 differs" in done.err
    assert not (tmp_path / "models").exists()


def test_what_the_arguments_tell_is_refused_by_the_standard_library(tmp_path):
    lines = {
        ("nowhere", "alice/x"): 3,
        ("./nowhere", "alice/x"): 3,
        ("genae/eae-celeba", "alice/x"): 3,
        ("genae/ae-mnist", "x"): 2,
        ("genae/ae-mnist", "alice/x", "--version", "one"): 2,
        ("genae/ae-mnist", "alice/x", "--to", "embedded"): 2,
        ("genae/ae-mnist", "alice/x", "--to", "nowhere"): 2,
        ("genae/tiny-albert", "alice/x", "--with-code"): 2,
        ("genae/ae-mnist", "local/x", "--to", "./models"): 2,
        ("genae/ae-mnist", "alice/x", "--nowhere"): 2,
    }
    blocked = (*HEAVY, "huggingface_hub", "httpx2", "fsspec")
    said = commands(*(["push", *words] for words in lines), blocked=blocked, cwd=tmp_path)
    for one, code in zip(said, lines.values(), strict=True):
        assert one.code == code, one
        assert one.err.startswith("genae: "), one


def test_a_folder_that_is_not_there_is_named_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    with pytest.raises(NotFoundError, match=r"no folder 'my-modle' here; did you mean 'my-model'"):
        zoo.push("my-modle", "alice/toy")


def _bytes_read():
    """What this process has read so far, by the system's own count."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count reads")
@pytest.mark.parametrize("place", ["hub", "folder"])
def test_each_file_is_read_once_before_a_push_and_once_or_twice_in_it(
    place, make_model, card_table, open_hub, monkeypatch, tmp_path
):
    target = open_hub("pusher") if place == "hub" else Folder(str(tmp_path / "models"))
    monkeypatch.setattr(registry, "open_remote", lambda _: target)
    card_table["config"]["hidden_sizes"] = [20_000]
    ready = make_model(tmp_path / "ready", card_table)
    (ready / "vocab.txt").write_bytes(b"word\n" * 10**6)
    manifest.write(ready, Card.load(ready), {}, results=card_table["results"])
    bulk = (ready / "model.safetensors").stat().st_size + 5 * 10**6
    assert bulk > 10**7
    zoo.push(ready, "alice/warm", dry_run=True)  # imports read files as well
    before = _bytes_read()
    with prepare(ready, "alice/toy") as release:
        assert release.size > bulk
        assert _bytes_read() - before < 1.2 * bulk
    zoo.push(ready, "alice/toy", dry_run=True)
    assert _bytes_read() - before < 2.3 * bulk
    before = _bytes_read()
    zoo.push(ready, "alice/toy")
    sending = 2 if place == "hub" else 1  # a hub's client hashes what it is going to send
    assert _bytes_read() - before < (1 + sending + 0.3) * bulk


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_a_file_that_changes_after_its_check_is_not_published(
    place, release, open_hub, server, tmp_path
):
    target = open_hub("pusher") if place == "hub" else Folder(str(tmp_path / "models"))
    target.push(release("1.0.0"))
    made = release("1.1.0")
    weights = made.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError, match=r"model\.safetensors: changed while it was being"):
        target.push(made)
    assert list(target.versions("alice/toy")) == ["v1.0.0"]
    if place == "hub":
        assert server.storage.head("alice/toy") == target.versions("alice/toy")["v1.0.0"]
    else:
        assert not list((tmp_path / "models").rglob("model.safetensors.*"))


CHANGED = {
    "missing": (
        lambda weights: {k: v for k, v in weights.items() if not k.startswith("decoder.")},
        r"\d missing, such as decoder\.",
    ),
    "unexpected": (
        lambda weights: weights | {"stray": weights["encoder.layers.2.bias"].clone()},
        "1 unexpected, such as stray",
    ),
    "mismatched": (
        # As many values as before, so that no count tells.
        lambda weights: (
            weights | {"encoder.layers.2.bias": weights["encoder.layers.2.bias"][None]}
        ),
        r"1 mismatched, such as encoder\.layers\.2\.bias \[1, 2\] in place of \[2\]",
    ),
}


def _relist(folder):
    """Make the manifest agree with the files again."""
    results = manifest.read(folder)["results"]
    manifest.write(folder, Card.load(folder), {}, results=results)


@pytest.mark.parametrize(("change", "problem"), CHANGED.values(), ids=CHANGED)
def test_push_and_loading_refuse_the_same_weights(ready, tmp_path, change, problem):
    from safetensors.torch import load_file, save_file

    path = ready / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    _relist(ready)
    assert registry.verify(ready).ok  # the files are those of their manifest
    [line] = check_fit(ready)
    assert re.search(problem, line)
    with pytest.raises(IntegrityError, match=problem):
        zoo.push(ready, "alice/toy", to=str(tmp_path / "models"))
    assert not (tmp_path / "models").exists()
    with pytest.raises(IntegrityError) as caught:
        zoo.from_pretrained(ready)
    assert line.partition(", such as ")[0] in str(caught.value)


def test_a_backbone_may_be_stored_as_it_is_below_a_head(tmp_path, tiny_config):
    from safetensors.torch import save_file

    entry = catalog.find("genae_gau_alpha")
    backbone = catalog.model_for(entry, ["GenaeGAUAlphaModel"])
    model = backbone(tiny_config(entry.name))
    model.save_pretrained(tmp_path)
    for prefix, num_problems in (("", 0), ("gau_alpha.", 0), ("bert.", 2)):
        weights = {f"{prefix}{name}": value.clone() for name, value in model.state_dict().items()}
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        assert len(check_fit(tmp_path)) == num_problems


def test_a_configuration_that_makes_no_model_is_not_pushed(ready, tmp_path):
    path = ready / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"latent_size": 0}))
    _relist(ready)
    with pytest.raises(IntegrityError, match=r"config\.json: makes no model \(.*latent_size"):
        zoo.push(ready, "alice/toy", to=str(tmp_path / "models"))
