"""Every card of the zoo can be followed, and every shipped folder is what it says."""

import json
from pathlib import Path

import pytest
import torch

from zoo import catalog
from zoo.card import Card, dumps, render_readme
from zoo.card_schema import BINARIZATIONS
from zoo.data.sources import DATASETS
from zoo.evaluation import metrics
from zoo.registry import embedded, manifest, verify
from zoo.training.recipe import build_config, build_recipe

FOLDERS = embedded.folders()
SHIPPED = [folder for folder in FOLDERS if embedded.ships(folder)]
MOST_PARAMETERS, MOST_BYTES = 1_000_000, 4_000_000


def name(folder: Path) -> str:
    return folder.name


@pytest.fixture(params=FOLDERS, ids=name)
def folder(request):
    return request.param


@pytest.fixture
def card(folder):
    return Card.load(folder)


def build_on_meta(card):
    """The model of a card, without memory."""
    with torch.device("meta"):
        return catalog.load(catalog.find(card.architecture).model)(build_config(card))


def test_the_zoo_is_found(root):
    assert FOLDERS
    assert {path.parent for path in (root / "cards").glob("*/card.toml")} == set(FOLDERS)


def test_a_folder_is_named_for_its_model(folder, card):
    assert card.id == f"genae/{folder.name}"


def test_a_card_survives_being_written_again(card):
    assert Card.parse(dumps(card.to_dict())) == card


def test_a_card_can_be_followed(card):
    recipe = build_recipe(card)  # config, image processor and training arguments
    assert recipe.config.num_channels == recipe.processor.num_channels
    model = build_on_meta(card)
    assert model.num_parameters() > 0
    assert card.task == catalog.find(card.architecture).task


def test_a_card_trains_on_data_that_has_a_name(card):
    assert card.data.dataset in DATASETS
    assert card.data.binarization in BINARIZATIONS
    if card.config.get("likelihood") == "bernoulli":
        # Grey pixels are not outcomes of a Bernoulli variable; the likelihood would mean nothing.
        assert card.data.binarization != "none"


def test_results_name_metrics_that_can_measure_them(card):
    likelihood = build_config(card).to_dict().get("likelihood")
    for result in card.results:
        metric = metrics.find(result.metric)
        assert metric.refusal(card.architecture, likelihood) is None
        assert result.unit == metric.unit
        assert result.dataset in DATASETS
        assert result.protocol.startswith((f"genae evaluate {card.id}", "genae evaluate out/"))
        assert result.metric in result.protocol


def test_results_are_stated_only_of_weights_that_exist_or_that_a_minute_makes(folder, card):
    quick = card.budget is not None and card.budget["minutes"] <= 1
    assert not card.results or embedded.ships(folder) or card.published or quick


def test_a_recipe_has_no_weights_and_the_others_have(folder, card):
    assert (card.status == "recipe") == (not embedded.ships(folder) and not card.published)


@pytest.mark.parametrize("folder", SHIPPED, ids=name)
class TestShipped:
    """What holds of a folder with weights."""

    def test_its_files_are_what_the_manifest_says(self, folder):
        assert verify(folder).problems == []

    def test_its_readme_follows_from_card_and_manifest(self, folder):
        readme = render_readme(Card.load(folder), manifest.read(folder))
        assert (folder / "README.md").read_text(encoding="utf-8") == readme

    def test_it_is_the_model_of_its_card(self, folder):
        card = Card.load(folder)
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key, value in card.config.items():
            if key != "num_labels":  # stored as the labels' names
                assert stored[key] == value, key
        processor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        assert card.processor.items() <= processor.items()
        header = manifest.safetensors_header(folder / "model.safetensors")
        expected = {k: list(t.shape) for k, t in build_on_meta(card).state_dict().items()}
        found = {k: entry["shape"] for k, entry in header.items() if k != "__metadata__"}
        assert found == expected

    def test_it_is_small(self, folder):
        assert build_on_meta(Card.load(folder)).num_parameters() < MOST_PARAMETERS
        assert (folder / "model.safetensors").stat().st_size < MOST_BYTES

    def test_a_person_can_see_what_it_draws(self, folder):
        if catalog.find(Card.load(folder).architecture).task == "unconditional-image-generation":
            assert (folder / "samples.png").is_file()
