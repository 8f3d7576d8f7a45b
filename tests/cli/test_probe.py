"""`genae probe` and `genae neighbors`, as a person runs them."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image

from zoo import catalog
from zoo.models.images.image_processing_genae import GenaeImageProcessor


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Lying and standing bars, `0001-<label>.png`, in two splits."""
    folder = tmp_path_factory.mktemp("bars")
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 24)):
        (folder / split).mkdir()
        for number in range(count):
            image = generator.integers(0, 60, (16, 16), dtype=np.uint8)
            place = int(generator.integers(1, 14))
            image[(slice(None), place) if number % 2 else place] = 255
            Image.fromarray(image).save(folder / split / f"{number:04}-{number % 2}.png")
    return folder


@pytest.fixture
def saved(tmp_path, tiny_config):
    def save(architecture):
        folder = tmp_path / architecture
        config = tiny_config(architecture)
        catalog.load(catalog.ARCHITECTURES[architecture].model)(config).save_pretrained(folder)
        GenaeImageProcessor(num_channels=config.num_channels, size=16).save_pretrained(folder)
        return folder

    return save


def test_every_layer_and_probe_stands_beside_the_untrained(saved, bars, run):
    code, out, err = run("probe", saved("infomax"), "--data", bars)
    assert code == 0, err
    for word in ("conv", "features", "code", "200 hidden units", "untrained", "%"):
        assert word in out
    assert out.count("%") == 27  # trained, untrained, gain of 3 layers and 3 probes
    assert "24 images" in err


def test_what_is_printed_for_a_card_can_be_parsed(saved, bars, run):
    model, words = saved("infomax"), ("--data", bars, "--tap", "code", "--probe", "knn")
    code, out, err = run("probe", model, *words, "--toml")
    assert code == 0, err
    (result,) = tomllib.loads(out)["results"]
    assert result["metric"] == "probe_accuracy"
    assert result["options"] == {
        "probe": "knn", "tap": "code", "fit_split": "train", "num_images": 24,
    }  # fmt: skip
    assert "untrained encoder" in out
    code, out, _ = run("probe", model, *words, "--json")
    (row,) = json.loads(out)
    assert row["measured"] == pytest.approx(result["value"], abs=1e-4)
    assert 0 <= row["floor"] <= 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--probe", "svm"], 2, "no probe 'svm'"),
        (["--tap", "fc"], 2, "no tap 'fc'"),
        (["--split", "train"], 2, "has seen the answers"),
        (["--json", "--toml"], 2, "two formats"),
    ],
)
def test_wrong_requests_are_told(saved, bars, run, words, code, said):
    found, out, err = run("probe", saved("infomax"), "--data", bars, *words)
    assert found == code
    assert bool(out) == ("--json" in words)
    assert said in (out or err)


def test_without_card_and_data_it_asks_for_data(saved, run):
    code, _, err = run("probe", saved("infomax"))
    assert code == 2
    assert "--data" in err


@pytest.mark.parametrize("by", ["cosine", "l2"])
def test_neighbours_come_from_the_images_or_a_data_set(saved, bars, run, tmp_path, by):
    output, query = tmp_path / "grid.png", bars / "train" / "0003-1.png"
    words = "-o", output, "-n", "3", "--by", by, "--json"
    model = saved("infomax")
    code, out, err = run("neighbors", model, bars / "test", *words)
    assert code == 0, err
    facts = json.loads(out)
    assert len(facts["images"]) == 24
    for row in facts["images"]:
        assert row["file"] not in [other["image"] for other in row["neighbors"]]
        far = [other["distance"] for other in row["neighbors"]]
        assert far == sorted(far)
    code, out, err = run("neighbors", model, query, "--data", bars, "--tap", "conv", *words)
    assert code == 0, err
    (row,) = json.loads(out)["images"]
    assert row["neighbors"][0]["image"].endswith("image 3")  # the image itself is there
    assert row["neighbors"][0]["distance"] == pytest.approx(0, abs=1e-2)
    with Image.open(output) as grid:
        assert grid.size[0] > 3.5 * grid.size[1]  # one row of four


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "dot"], "no distance 'dot'"),
        (["--tap", "fc"], "no tap 'fc'"),
        (["-n", "30"], "there are 23"),
    ],
)
def test_a_wrong_request_for_neighbours_leaves_no_file(saved, bars, run, tmp_path, words, said):
    output = tmp_path / "grid.png"
    code, _, err = run("neighbors", saved("infomax"), bars / "test", "-o", output, *words)
    assert code == 2
    assert said in err
    assert not output.exists()


def test_a_classifier_has_no_code_to_compare(saved, bars, run, tmp_path):
    code, _, err = run("neighbors", saved("classifier"), bars / "test", "-o", tmp_path / "a.png")
    assert code == 2
    assert "needs a model that turns images into vectors of features (ae, vae," in err
