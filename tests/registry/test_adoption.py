"""Snapshots that another program fetched, or that were copied from another machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.conftest import content, release_files
from zoo import registry
from zoo.errors import IntegrityError, NotAllowedError, UnreachableError, UnsafeError
from zoo.registry import shown
from zoo.registry.snapshots import listing
from zoo.registry.transfer import pull

#: What may be kept of a model in a cache that makes no links. No two files are equal: where
#: huggingface_hub makes no links, it may move the one away while it copies the other from there.
FILES = release_files("1.0.0") | {"vocab.txt": b"[PAD]\n", ".gitattributes": b"* -text\n"}


@pytest.fixture
def foreign(server, open_hub, monkeypatch):
    """`foreign(links, files)`: a cache that huggingface_hub filled, and the commit."""
    from huggingface_hub import constants, snapshot_download

    def fill(links: bool, files=FILES):
        commit = server.storage.commit("alice/toy", files)
        root = open_hub("foreign").cache.root
        with monkeypatch.context() as patch:
            patch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", not links)
            snapshot_download("alice/toy", endpoint=server.url, cache_dir=root, token="tok")
        server.clear()
        shown._TOLD.clear()
        return root / "models--alice--toy", commit

    return fill


def own(files=FILES):
    return {path: text for path, text in files.items() if not path.startswith(".")}


def offline(open_hub):
    return open_hub("foreign", offline=True)


def test_files_in_place_of_links_are_taken(foreign, open_hub, server, tmp_path):
    place, commit = foreign(links=False)
    folder = offline(open_hub).folder("alice/toy")
    assert folder == place / "snapshots" / commit
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert content(folder) == FILES
    assert offline(open_hub).folder("alice/toy", commit) == folder
    assert registry.verify(folder).files == sorted(set(own()) - {"manifest.json", "vocab.txt"})
    assert server.log == []


def test_nothing_is_fetched_again_that_is_there(foreign, open_hub, server):
    foreign(links=False)
    folder = open_hub("foreign").folder("alice/toy")
    assert content(folder) == FILES
    assert [r.path.split("/")[5] for r in server.log] == ["revision", "tree"]


def test_copies_without_links_are_taken(foreign, open_hub, tmp_path):
    place, _ = foreign(links=True)
    copied = tmp_path / "cache-copied" / place.name
    shutil.copytree(place, copied)  # follows links
    shutil.rmtree(copied / "blobs")
    assert content(open_hub("copied", offline=True).folder("alice/toy")) == FILES
    own_cache = tmp_path / "cache-own"
    offline(open_hub).folder("alice/toy")
    shutil.copytree(place.parent, own_cache)
    assert content(open_hub("own", offline=True).folder("alice/toy")) == FILES


def test_links_to_elsewhere_are_compared_with_their_sums(foreign, open_hub):
    place, commit = foreign(links=True)
    for path in (place / "snapshots" / commit).iterdir():
        target = path.resolve()
        path.unlink()
        path.symlink_to(target)
    assert content(offline(open_hub).folder("alice/toy")) == FILES


@pytest.mark.parametrize("name", ["vocab.txt", "config.json", "model.safetensors"])
def test_links_to_nothing_are_no_model(foreign, open_hub, name):
    place, commit = foreign(links=True)
    (place / "snapshots" / commit / name).resolve().unlink()
    with pytest.raises(UnreachableError, match=f"{name} is a link to nothing"):
        offline(open_hub).folder("alice/toy")


@pytest.mark.parametrize("name", ["vocab.txt", "config.json", "model.safetensors"])
def test_a_part_of_a_model_is_none(foreign, open_hub, name):
    place, commit = foreign(links=False)
    (place / "snapshots" / commit / name).unlink()
    with pytest.raises(UnreachableError, match=f"{name} is not in it"):
        offline(open_hub).folder("alice/toy")
    assert content(open_hub("foreign").folder("alice/toy")) == FILES  # the hub has it


def test_what_is_not_needed_may_be_missing(foreign, open_hub):
    files = FILES | {"pytorch_model.bin": b"x", "tf_model.h5": b"y", "onnx/model.onnx": b"z"}
    del files["manifest.json"]
    place, commit = foreign(links=True, files=files)
    folder = place / "snapshots" / commit
    for name in ("README.md", "tf_model.h5", "onnx/model.onnx"):
        (folder / name).resolve().unlink()
    (folder / "README.md").unlink()
    hub = offline(open_hub)
    assert hub.folder("alice/toy") == folder
    kept = {file.path for file in hub.cache.files("alice/toy", commit)}
    assert kept == {"config.json", "model.safetensors", "vocab.txt"}


def test_a_pickle_in_addition_is_neither_checked_nor_copied(foreign, open_hub, tmp_path):
    files = FILES | {"pytorch_model.bin": b"x"}
    del files["manifest.json"]
    place, _ = foreign(links=False, files=files)
    folder = offline(open_hub).folder("alice/toy")
    assert registry.verification.examine(folder).problems == []
    import zoo.registry.order as where

    copied = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, "open_registry", lambda place: offline(open_hub))
        pull("alice/toy", copied, source="hub")
    assert set(content(copied)) == set(own(files)) - {"pytorch_model.bin"}
    (folder / "model.safetensors").unlink()
    (place / "genae.json").unlink()
    with pytest.raises(UnsafeError, match=r"pytorch_model\.bin"):
        offline(open_hub).folder("alice/toy")


@pytest.mark.parametrize("kept", ["trees", "manifest", "neither"])
def test_a_damaged_file_is_refused_by_whatever_is_known_of_it(foreign, open_hub, kept):
    files = FILES if kept != "neither" else {p: t for p, t in FILES.items() if "manifest" not in p}
    place, commit = foreign(links=False, files=files)
    assert {f.path for f in listing(place, commit).values()} == set(files)
    if kept != "trees":
        shutil.rmtree(place / "trees")
    path = place / "snapshots" / commit / "model.safetensors"
    text = path.read_bytes()
    path.write_bytes(text[:-1] + bytes([text[-1] ^ 1]))
    if kept == "neither":  # sound by its structure, and nothing says more
        assert offline(open_hub).folder("alice/toy") == path.parent
        path.write_bytes(text[:-1])
        (place / "genae.json").unlink()
        with pytest.raises(IntegrityError, match="sound"):
            offline(open_hub).folder("alice/toy")
        return
    kind = UnreachableError if kept == "trees" else IntegrityError
    with pytest.raises(kind, match=r"model\.safetensors"):
        offline(open_hub).folder("alice/toy")
    assert content(open_hub("foreign").folder("alice/toy")) == FILES


def test_one_snapshot_serves_where_nothing_says_what_main_is(foreign, open_hub, caplog):
    place, commit = foreign(links=True)
    shutil.rmtree(place / "refs")
    hub = offline(open_hub)
    assert hub.folder("alice/toy").name == commit
    assert f"commit {commit[:12]} is, and serves" in caplog.text
    assert hub.cache.ref("alice/toy", "main") == ""
    with pytest.raises(UnreachableError, match="dev is not in the cache"):
        hub.folder("alice/toy", "dev")
    (place / "snapshots" / ("1" * 40)).mkdir()
    (place / "snapshots" / ("2" * 40)).mkdir()
    (place / "genae.json").unlink()
    with pytest.raises(UnreachableError, match="main is not in the cache"):
        hub.folder("alice/toy")


def test_a_newer_part_does_not_hide_an_older_whole(foreign, open_hub, caplog):
    place, commit = foreign(links=True)
    newer = place / "snapshots" / ("1" * 40)
    newer.mkdir()
    (newer / "config.json").write_text("{}")
    (place / "refs" / "main").write_text(newer.name)
    assert offline(open_hub).folder("alice/toy").name == commit
    assert "serves" in caplog.text


def test_a_flaky_hub_is_asked_again_where_the_cache_has_only_a_part(
    foreign, open_hub, server, monkeypatch
):
    from tests.hubs.faults import Fault, Status

    monkeypatch.setattr("zoo.registry.hub.guard.WAITS", (0.0,))
    place, commit = foreign(links=False)
    (place / "snapshots" / commit / "config.json").unlink()
    server.faults.append(Fault("/revision/", Status(503), times=2))
    assert content(open_hub("foreign").folder("alice/toy")) == FILES


READ_ONLY = """
import os, sys
from pathlib import Path
from zoo.registry import cache
def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")
cache.write = refuse
from zoo import registry
first = registry.fetch("alice/toy")
assert registry.fetch("alice/toy") == first
print(registry.pull("alice/toy", sys.argv[1]))
"""


def test_a_cache_that_cannot_be_written_to_serves(foreign, root, tmp_path):
    files = {path: text for path, text in FILES.items() if path != "manifest.json"}
    place, _ = foreign(links=False, files=files)
    env = os.environ | {"HF_HUB_CACHE": str(place.parent), "GENAE_REGISTRIES": "hub"}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(tmp_path / "out")],
        env=env | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert content(tmp_path / "out") == own(files)


def test_a_cache_that_cannot_be_written_to_takes_no_new_model(open_hub, server, monkeypatch):
    server.storage.commit("alice/toy", FILES)
    hub = open_hub()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("zoo.registry.cache.write", refuse)
    with pytest.raises(NotAllowedError, match="HF_HUB_CACHE"):
        hub.folder("alice/toy")


def test_leftovers_of_other_programs_are_nothing(foreign, open_hub):
    place, commit = foreign(links=True)
    (place / "blobs" / f"{'0' * 64}.incomplete").write_bytes(b"x")
    (place / "snapshots" / ".DS_Store").write_bytes(b"x")
    (place / "snapshots" / commit / "._config.json").write_bytes(b"x")
    assert offline(open_hub).folder("alice/toy").name == commit
    assert Path(place / "genae.json").is_file()
