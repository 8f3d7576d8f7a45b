"""A pulled folder replaced by another version: untouched ones only, and at once."""

import json
import os

import pytest

from tests.registry.conftest import content
from zoo import registry, staging
from zoo.errors import ConflictError, UsageError, WithdrawnError
from zoo.registry.folder import Folder

NAME = "alice/toy"


@pytest.fixture
def place(tmp_path, release, monkeypatch):
    """A folder of models with two versions, and the older one pulled."""
    monkeypatch.chdir(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        Folder("./models").push(release(version))
    registry.pull(NAME, "toy", revision="v1.0.0", source="./models")
    return "./models"


def test_an_untouched_folder_goes_forward_and_back(place, tmp_path):
    def pull(**settings):
        registry.pull(NAME, "toy", source=place, **settings)
        return json.loads((tmp_path / "toy" / "manifest.json").read_text())["version"]

    old = content(tmp_path / "toy")
    assert pull(update=True) == "1.1.0"
    assert content(tmp_path / "toy") != old
    before = os.stat("toy").st_ino
    assert pull(update=True) == "1.1.0"
    assert os.stat("toy").st_ino == before  # nothing was done
    assert pull(revision="1.0.0") == "1.0.0"
    assert content(tmp_path / "toy") == old
    registry.pull(f"{NAME}@v1.1.0", "toy", source=place)
    registry.withdraw(f"{NAME}@v1.1.0", "a mistake", source=place, purge=True)
    assert pull(update=True) == "1.0.0"  # what was withdrawn is left
    with pytest.raises(WithdrawnError):
        pull(revision="1.1.0")
    assert content(tmp_path / "toy") == old
    assert sorted(path.name for path in tmp_path.iterdir() if "toy" in path.name) == [
        "release-alice-toy-1.0.0",
        "release-alice-toy-1.1.0",
        "toy",
    ]


CHANGES = {
    "another.txt": lambda folder: (folder / "another.txt").write_text("mine"),
    ".hidden/file": lambda folder: (
        (folder / ".hidden").mkdir(),
        (folder / ".hidden/file").touch(),
    ),
    "README.md": lambda folder: (folder / "README.md").write_text("mine"),
    "config.json": lambda folder: (folder / "config.json").unlink(),
    "manifest.json": lambda folder: (folder / "manifest.json").write_text(
        json.dumps(json.loads((folder / "manifest.json").read_text()) | {"results": []})
    ),
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_touched_folder_is_left_alone_and_told_of(place, tmp_path, path):
    CHANGES[path](tmp_path / "toy")
    before = content(tmp_path / "toy") if path[0] != "." else None
    with pytest.raises(ConflictError, match=rf"{path}: .*genae pull .* --to toy-2"):
        registry.pull(NAME, "toy", source=place, update=True)
    assert before is None or content(tmp_path / "toy") == before


def test_what_was_not_asked_for_is_not_replaced(place, tmp_path, monkeypatch):
    before = content(tmp_path / "toy")
    told = r"v1\.0\.0: .*`genae pull alice/toy --from ./models --to toy --update`"
    with pytest.raises(ConflictError, match=told):
        registry.pull(NAME, "toy", source=place)
    with pytest.raises(ConflictError, match="contains alice/toy, not alice/other"):
        registry.pull("alice/other", "toy", source=place, update=True)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").touch()
    with pytest.raises(ConflictError, match="not empty"):
        registry.pull(NAME, "plain", source=place, update=True)
    monkeypatch.chdir(tmp_path / "toy")
    with pytest.raises(UsageError, match="current folder"):
        registry.pull(NAME, ".", source=str(tmp_path / "models"), update=True)
    assert content(tmp_path / "toy") == before


@pytest.mark.parametrize("exchanged", [True, False])
def test_an_interrupt_leaves_what_was_there(place, tmp_path, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    before = content(tmp_path / "toy")
    with monkeypatch.context() as patch:
        patch.setattr(
            "zoo.registry.transfer._copy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            registry.pull(NAME, "toy", source=place, update=True)
    assert content(tmp_path / "toy") == before
    registry.pull(NAME, "toy", source=place, update=True)
    assert content(tmp_path / "toy") != before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_verb_says_what_it_was_and_is(run, place):
    done = run("pull", NAME, "--from", place, "--to", "toy", "--update")
    assert (done.code, done.out) == (0, "toy\n")
    assert "toy was v1.0.0, is v1.1.0" in done.err
    again = run("pull", NAME, "--from", place, "--to", "toy", "--update", "--json")
    assert json.loads(again.out) == {
        "id": NAME, "folder": "toy", "version": "1.1.0", "was": "1.1.0",
    }  # fmt: skip
    assert run("pull", NAME, "--from", place, "--update").code == 2
