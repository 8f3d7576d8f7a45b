"""What differs between models: settings, numbers, files, wherever they lie."""

import json
import logging

import pytest

from zoo import registry
from zoo.card import dumps
from zoo.registry import order, shown
from zoo.registry.cache import Cache
from zoo.registry.comparison import diff
from zoo.registry.folder import Folder
from zoo.registry.release import prepare


@pytest.fixture
def two(tmp_path, make_model, card_table, monkeypatch):
    """Two folders of one architecture: other settings, one number of two, other weights."""
    monkeypatch.chdir(tmp_path)
    result = card_table["results"][0]
    second = result | {"metric": "elbo"}
    one = card_table | {"results": [result, second]}
    other = one | {
        "version": "1.3.0",
        "train": card_table["train"] | {"learning_rate": 0.1},
        "config": card_table["config"] | {"latent_size": 3},
        "results": [result | {"value": 0.5}, second],
    }
    make_model(tmp_path / "one", one)
    make_model(tmp_path / "other", other)
    return "one", "other"


def test_it_names_settings_numbers_and_files(two):
    found = diff(*two)
    assert found.settings == {
        "version": ("1.2.0", "1.3.0"),
        "train.learning_rate": (1e-05, 0.1),
        "config.latent_size": (2, 3),
    }
    (number,) = found.numbers
    assert (number["metric"], number["a"], number["b"]) == ("reconstruction_mse", 2e-05, 0.5)
    assert found.same_numbers == 1
    assert {"card.toml", "config.json", "model.safetensors"} <= set(found.files)
    assert not found.same
    assert diff("one", "one").same


def test_a_layer_that_one_lacks_is_one_setting(tmp_path):
    dense, norm = {"kind": "dense", "activation": {"name": "tanh"}}, {"kind": "norm", "axis": -1}
    other = dense | {"activation": {"name": "relu"}}
    configs = {"one": {"dense": dense, "norm": norm}, "other": {"dense": other}, "none": None}
    for name, layers in configs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"layers": layers, "size": 3}))
    one, other, none = (tmp_path / name for name in configs)
    assert diff(one, other).settings == {
        "config.layers.dense.activation.name": ("tanh", "relu"),
        "config.layers.norm": (norm, None),
    }
    assert diff(none, one).settings == {
        "config.layers.dense": (None, dense),
        "config.layers.norm": (None, norm),
    }


def test_the_other_way_round_is_the_mirror(two):
    found, back = diff(*two), diff(*two[::-1])
    assert {key: pair[::-1] for key, pair in back.settings.items()} == found.settings
    assert {path: pair[::-1] for path, pair in back.files.items()} == found.files
    assert (back.same_files, back.same_numbers) == (found.same_files, found.same_numbers)


@pytest.mark.parametrize("kind", ["disk", "memory", pytest.param("hub", marks=pytest.mark.slow)])
def test_versions_elsewhere_are_compared_without_their_weights(
    kind, ready, tmp_path, monkeypatch, request
):
    if kind == "hub":
        place = request.getfixturevalue("open_hub")()
    else:
        url = f"memory://{tmp_path.name}/m" if kind == "memory" else str(tmp_path / "m")
        place = Folder(url, cache=Cache(tmp_path / "cache"))
    monkeypatch.setattr(order, "open_remote", lambda _: place)
    for version in ("1.0.0", "1.1.0"):
        with prepare(ready, "alice/toy", version=version) as release:
            place.push(release)
    place.withdraw("alice/toy", "v1.0.0", "a mistake")  # which can still be looked at
    opened, read = [], type(place).read

    def spy(self, snapshot, file, *rest, **more):
        opened.append(file.path)
        return read(self, snapshot, file, *rest, **more)

    monkeypatch.setattr(type(place), "read", spy)
    found = diff("alice/toy@v1.0.0", "alice/toy", source="x")
    assert found.settings == {"version": ("1.0.0", "1.1.0")}
    assert "model.safetensors" in found.same_files
    assert "model.safetensors" not in opened
    assert (found.numbers, found.same_numbers) == ([], 1)
    assert diff("alice/toy@v1.1.0", "alice/toy@1.1.0", source="x").same
    local = diff(ready, "alice/toy@v1.1.0", source="x")
    assert "model.safetensors" in local.same_files


def test_a_hubs_files_without_a_manifest_are_compared_by_any_sum(
    server, open_hub, tmp_path, monkeypatch
):
    monkeypatch.setattr(order, "open_remote", lambda _: open_hub())
    files = {"config.json": b'{"a": 1}', "model.safetensors": b"x" * 40}
    server.storage.commit("alice/plain", files)
    (tmp_path / "plain").mkdir()
    for name, text in files.items():
        (tmp_path / "plain" / name).write_bytes(text)
    monkeypatch.chdir(tmp_path)
    assert diff("plain", "alice/plain", source="x").same
    assert diff("alice/plain", "plain", source="x").same
    (tmp_path / "plain" / "config.json").write_bytes(b'{"a": 2}')
    found = diff("alice/plain", "plain", source="x")
    assert (list(found.files), found.settings) == (["config.json"], {"config.a": (1, 2)})


def test_the_verb_ends_as_diff_does(run, two):
    same = run("diff", "one", "one")
    assert (same.code, "the same: 2 numbers" in same.out) == (0, True)
    other = run("diff", *two)
    assert other.code == 1
    assert "train.learning_rate" in other.out
    table = run("diff", *two, "--json")
    assert table.code == 1
    assert json.loads(table.out)["settings"]["train.learning_rate"] == {"a": 1e-05, "b": 0.1}
    assert run("diff", "one", "none/at-all", "--from", "./m").code == 3


def test_a_deprecated_model_says_so_when_it_is_loaded(
    tmp_path, make_model, card_table, caplog, monkeypatch
):
    monkeypatch.setattr(shown, "_TOLD", set())
    more = {"status": "deprecated", "reason": "It was a toy.", "replaced_by": "genae/eae-mnist"}
    folder = make_model(tmp_path / "old", card_table | more)
    with caplog.at_level(logging.WARNING, "zoo.registry"):
        registry.resolve(folder)
        registry.resolve(folder)
    (line,) = [record.getMessage() for record in caplog.records]
    told = "genae/eae-toy v1.2.0 is deprecated: It was a toy. Use genae/eae-mnist instead."
    assert line == f"genae: {told}"
    (folder / "card.toml").write_text(dumps(card_table), encoding="utf-8")
    caplog.clear()
    registry.resolve(folder)
    assert not caplog.records
