"""All models of one place, listed and verified: folders on disks and in buckets, hubs, genae's."""

import json

import pytest

from zoo.registry import listing, order
from zoo.registry.cache import Cache
from zoo.registry.folder import Folder


@pytest.fixture(params=["disk", "memory", pytest.param("hub", marks=pytest.mark.slow)])
def place(request, tmp_path, monkeypatch):
    """A place that takes models, which every name of a place means."""
    if request.param == "hub":
        found = request.getfixturevalue("open_hub")()
    else:
        memory = f"memory://{tmp_path.name}/models"
        url = memory if request.param == "memory" else tmp_path / "models"
        found = Folder(str(url), cache=Cache(tmp_path / "cache"))
    for name in ("open_registry", "open_remote"):
        monkeypatch.setattr(order, name, lambda _: found)
    return found


def test_a_place_is_listed_by_newest_versions_that_are_left(place, release):
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        place.push(release(version))
    gone = "alice/gone"
    place.push(release("2.0.0", gone))
    place.withdraw("alice/toy", "v1.2.0", "a mistake")
    place.withdraw(gone, "v2.0.0", "all wrong")
    rows = {row["id"]: row for row in listing.list_place("x")}
    assert set(rows) == {"alice/toy", gone}
    toy = rows["alice/toy"]
    assert (toy["version"], toy["architecture"]) == ("1.1.0", "genae_eae")
    assert toy["versions"] == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert toy["withdrawn"] == {"v1.2.0": "a mistake"}
    assert toy["problem"] is None
    assert len(toy["date"]) == len("2026-11-29")
    assert rows[gone]["status"] == "withdrawn"
    assert [row["id"] for row in listing.list_place("x", "TOY")] == ["alice/toy"]


def test_every_version_of_a_place_is_verified(place, release, monkeypatch):
    for version in ("1.0.0", "1.1.0"):
        place.push(release(version))
    place.withdraw("alice/toy", "v1.0.0", "a mistake")
    monkeypatch.setattr(listing, "examine", _only_hashes)
    found = {audit.version: audit for audit in listing.audit("x")}
    assert all(audit.ok and "model.safetensors" in audit.files for audit in found.values())
    assert found["v1.0.0"].withdrawn == "a mistake"
    if not hasattr(place, "fs"):
        return
    (path,) = place.fs.glob(f"{place.root}/alice/toy/1.1.0-*/model.safetensors")
    content = place.fs.cat_file(path)
    place.fs.pipe_file(path, content[:-1] + bytes([content[-1] ^ 1]))
    found = {audit.version: audit for audit in listing.audit("x")}
    assert found["v1.0.0"].ok
    assert [problem.split(":")[0] for problem in found["v1.1.0"].problems] == [
        "model.safetensors"
    ] * (1 if place.here else 2)


def _only_hashes(folder):
    """What `examine` says but for the card, which made-up releases have none of."""
    from zoo.registry.verification import examine

    report = examine(folder)
    report.problems = [p for p in report.problems if "card" not in p]
    return report


def test_the_verbs_say_it_in_text_and_json(run, tmp_path, ready, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        assert run("push", "ready", "alice/toy", "--to", "./m", "--version", version).code == 0
    listed = run("list", "--from", "./m")
    assert "alice/toy    1.1.0  eae" in listed.out
    assert "genae info alice/toy --from ./m" in listed.err
    assert json.loads(run("list", "--from", "./m", "--json").out)[0]["version"] == "1.1.0"
    assert run("list", "none", "--from", "./m").out == ""
    done = run("withdraw", "alice/toy@v1.1.0", "--from", "./m", "--why", "a mistake")
    assert (done.code, done.out) == (0, "alice/toy v1.1.0 is withdrawn: a mistake\n")
    refused = run("pull", "alice/toy@v1.1.0", "--from", "./m", "--to", "out")
    assert refused.code == 3
    assert "a mistake" in refused.err
    assert not (tmp_path / "out").exists()
    assert "a mistake" in run("info", "alice/toy", "--from", "./m").out
    assert "v1.1.0 (withdrawn), v1.0.0" in run("registry", "alice/toy", "--from", "./m").out
    checked = run("verify", "--from", "./m")
    assert (checked.code, checked.out.count("what they should be")) == (0, 2)
    assert "(withdrawn: a mistake)" in checked.out
    weights = next(tmp_path.glob("m/alice/toy/1.0.0-*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    wrong = run("verify", "--from", "./m")
    assert wrong.code == 5
    assert "alice/toy v1.0.0: model.safetensors: its SHA-256 differs" in wrong.err
    rows = json.loads(run("verify", "--from", "./m", "--json").out)
    assert [row["ok"] for row in rows] == [True, False]
    undone = run("withdraw", "alice/toy@1.1.0", "--from", "./m", "--undo", "--json")
    assert json.loads(undone.out)["withdrawn"] is False
    assert run("verify").code == 2
    for verb in ("list", "verify"):
        absent = run(verb, "--from", "./absent")
        assert (absent.code, absent.out) == (3, "")
        assert "no folder ./absent" in absent.err


def test_what_is_withdrawn_is_not_to_be_tried(run, tmp_path, ready, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("push", "ready", "alice/toy", "--to", "./m").code == 0
    assert run("withdraw", "alice/toy@v1.0.0", "--from", "./m", "--why", "a mistake").code == 0
    listed = run("list", "--from", "./m")
    assert "withdrawn: a mistake" in listed.out
    assert not listed.tried
