"""Models of any registry in the Hub's own cache: its layout, what it has of others, faults."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download, scan_cache_dir

import zoo
from zoo.errors import ConflictError, IntegrityError, NotAllowedError
from zoo.registry import manifest
from zoo.registry.cache import Cache
from zoo.registry.hub.hub import Hub
from zoo.registry.keeping import keep
from zoo.registry.release import prepare

#: Loads a model by its id where genae is not installed; prints its class and where its code is.
STRANGER = """
import sys
for name in ("zoo", "convert", "cards"):
    sys.modules[name] = None
from transformers import AutoModel, pipeline
model = AutoModel.from_pretrained("genae/bert-poetry-zh", add_pooling_layer=False)
again = AutoModel.from_pretrained(
    "genae/bert-poetry-zh", revision="v1.0.0", add_pooling_layer=False
)
found = pipeline("fill-mask", model="genae/bert-poetry-zh")("[MASK]眠不覺曉")[0]
print(type(model).__module__, again.num_parameters() == model.num_parameters(), found["token_str"])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The Hub's cache, empty."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return Cache(tmp_path / "hub")


@pytest.fixture
def source(ready, tmp_path):
    """A folder of models with one version of `alice/toy`, as `--from` takes it."""
    place = str(tmp_path / "models")
    zoo.push(ready, "alice/toy", to=place)
    return place


def refs(cache, name="alice/toy"):
    place = cache.place(name) / "refs"
    return {p.name: p.read_text() for p in place.iterdir()} if place.is_dir() else {}


@pytest.mark.slow
def test_an_interpreter_without_genae_loads_a_bare_id(run, cache):
    done = run("pull", "genae/bert-poetry-zh")
    assert done.code == 0, done.err
    assert "HF_HUB_OFFLINE" in done.tried[0]
    assert "AutoModelForMaskedLM.from_pretrained('genae/bert-poetry-zh')" in done.tried[0]
    said = subprocess.run(
        [sys.executable, "-c", STRANGER],
        env=os.environ | {"HF_HUB_CACHE": str(cache.root), "HF_HUB_OFFLINE": "1"},
        cwd=cache.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["transformers.models.bert.modeling_bert", "True", "春"]
    assert run("verify", done.out.strip()).code == 0


def test_the_layout_is_the_hubs_own(cache, source):
    place = zoo.pull("alice/toy", source=source)
    seen = scan_cache_dir(cache.root)
    assert not seen.warnings
    (repo,) = seen.repos
    (revision,) = repo.revisions
    listed = manifest.sha256(place / "manifest.json")
    assert (repo.repo_id, revision.commit_hash) == ("alice/toy", listed[:40])
    assert revision.refs == {"main", "v1.0.0"}
    assert {f.blob_path.name for f in revision.files} == {
        listed,
        *(e["sha256"] for e in manifest.read(place)["files"]),
    }
    for revision in ("main", "v1.0.0", listed[:40]):
        found = hf_hub_download(
            "alice/toy", "config.json", revision=revision, cache_dir=cache.root,
            local_files_only=True,
        )  # fmt: skip
        assert Path(found) == place / "config.json"
    assert zoo.pull("alice/toy", source=source) == place


def test_a_pinned_version_leaves_main_alone(cache, ready, source):
    zoo.push(ready, "alice/toy", to=source, version="1.1.0")
    old = zoo.pull("alice/toy@v1.0.0", source=source)
    assert refs(cache) == {"v1.0.0": old.name}
    new = zoo.pull("alice/toy", source=source)
    assert refs(cache) == {"v1.0.0": old.name, "v1.1.0": new.name, "main": new.name}
    assert zoo.pull("alice/toy", revision="1.0.0", source=source) == old
    assert refs(cache)["main"] == new.name


def test_what_the_hub_gave_stays(cache, source):
    stranger = cache.place("alice/toy") / "snapshots" / ("a" * 40)
    stranger.mkdir(parents=True)
    (stranger / "config.json").write_text("{}")
    (cache.place("alice/toy") / "refs").mkdir()
    (cache.place("alice/toy") / "refs" / "main").write_text("a" * 40)
    with pytest.raises(ConflictError, match="main is the model aaaaaaaaaaaa of another place"):
        zoo.pull("alice/toy", source=source)
    assert refs(cache) == {"main": "a" * 40}
    assert [p.name for p in stranger.parent.iterdir()] == ["a" * 40]
    assert (stranger / "config.json").read_text() == "{}"


def test_a_fetch_of_the_hubs_takes_the_revision_over(cache, ready, source, server):
    hub = Hub(server.url, cache=cache, token="tok")
    with prepare(ready, "alice/toy") as release:
        hub.push(release)
    put = zoo.pull("alice/toy", source=source)
    fetched = hub.folder("alice/toy")
    assert fetched != put
    assert refs(cache)["main"] == fetched.name
    assert hub.folder("alice/toy", "v1.0.0") == fetched  # the put one never counted as the hub's
    with pytest.raises(ConflictError):
        zoo.pull("alice/toy", source=source)
    assert refs(cache)["main"] == fetched.name


def test_offline_what_was_put_serves_genae_as_well(cache, source):
    put = zoo.pull("alice/toy", source=source)
    assert Hub("http://127.0.0.1:9", cache=cache, offline=True).folder("alice/toy") == put
    assert json.loads((cache.place("alice/toy") / "genae.json").read_bytes())["refs"] == {}


def test_many_at_once_leave_one_whole_model(cache, source):
    found = zoo.registry.fetch("alice/toy", source=source)
    places = []
    crowd = [
        threading.Thread(target=lambda: places.append(keep(found, "alice/toy"))) for _ in "six"
    ]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert len(places) == 3
    assert len(set(places)) == 1
    assert manifest.check_hashes(places[0]) == []
    assert not [p for p in cache.place("alice/toy").rglob("*") if "partial" in p.name]


def test_an_interrupted_one_points_to_nothing_and_goes_on(cache, source, monkeypatch):
    from zoo.registry import cache as module

    link = module.link

    def torn(blob, path):
        if path.name == "model.safetensors":
            raise KeyboardInterrupt
        link(blob, path)

    monkeypatch.setattr(module, "link", torn)
    with pytest.raises(KeyboardInterrupt):
        zoo.pull("alice/toy", source=source)
    assert refs(cache) == {}
    monkeypatch.setattr(module, "link", link)
    place = zoo.pull("alice/toy", source=source)
    assert manifest.check_hashes(place) == []
    assert refs(cache)["main"] == place.name


def test_a_damaged_source_is_refused_and_nothing_points_to_it(cache, source, tmp_path):
    weights = next((tmp_path / "models").rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(IntegrityError):
        zoo.pull("alice/toy", source=source)
    assert refs(cache) == {}


def test_a_file_in_the_way_of_the_cache(run, cache, source, tmp_path):
    (tmp_path / "hub").write_text("a file")
    with pytest.raises(NotAllowedError, match="set HF_HUB_CACHE to a folder of yours"):
        zoo.pull("alice/toy", source=source)
    assert run("pull", "genae/eae-mnist").code == 4
    assert (tmp_path / "hub").read_text() == "a file"


def test_a_cache_that_is_read_only(cache, source, monkeypatch):
    make = os.mkdir

    def refuse(path, *more, **named):  # as the system does, but for root
        if Path(path).is_relative_to(cache.root):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return make(path, *more, **named)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(NotAllowedError, match="cannot be written to"):
        zoo.pull("alice/toy", source=source)


def test_a_folder_of_ones_own_stays_where_it_is(run, cache, ready):
    done = run("pull", ready)
    assert (done.code, done.out) == (0, f"{ready}\n")
    assert not cache.root.exists()
