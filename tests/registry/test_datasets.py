"""A published card names its data by their own name, not by where they lay."""

import json
from pathlib import Path

import pytest

from zoo.card import Card, dumps
from zoo.registry import manifest, upkeep
from zoo.registry.comparison import diff
from zoo.registry.datasets import bare_name, bare_names
from zoo.registry.release import prepare


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("../../images", "images"),
        ("./images/", "images"),
        ("..", "me"),
        ("/home/me/images.parquet", "images.parquet"),
        ("~/images", "images"),
        ("mnist", "mnist"),
        ("owner/name", "owner/name"),
    ],
)
def test_a_path_that_leaves_the_folder_becomes_a_name(dataset, name):
    assert bare_name(dataset, "/home/me/model") == name


def test_two_data_sets_of_one_name_stay_apart(card_table):
    result = card_table["results"][0]
    data = card_table["data"] | {"dataset": "../one/images"}
    others = [result | {"dataset": "../other/images"}]
    table = card_table | {"data": data, "results": others}
    assert bare_names(Card.parse(dumps(table)), Path("model")) == {}


def test_no_path_of_the_maker_is_published(tmp_path, make_model, card_table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    away = "../my drawings"
    result = card_table["results"][0] | {
        "dataset": away,
        "protocol": f"genae evaluate me/toy --metric reconstruction_mse --data '{away}'",
    }
    table = card_table | {
        "id": "local/toy",
        "base_model": "me/toy",
        "data": card_table["data"] | {"dataset": away},
        "results": [result],
    }
    upkeep.record(make_model(tmp_path / "toy", table), [result])
    with prepare("toy", "me/toy") as release:
        published = Card.load(release.folder)
        assert published.data.dataset == published.results[0].dataset == "my drawings"
        assert published.results[0].protocol.endswith('--data "my drawings"')
        assert published.base_model is None  # a model is not its own original
        (measured,) = manifest.read(release.folder)["results"]
        assert measured["dataset"] == "my drawings"
        texts = [path.read_text("utf-8") for path in release.folder.glob("*.[tmj][odms]*")]
        assert len(texts) >= 3
        assert not [text for text in texts if away in text]
        assert "data.dataset" not in (found := diff("toy", release.folder)).settings
        assert json.dumps(found.numbers) == "[]"
        assert found.same_numbers == 1
