"""A small embedded registry in a temporary folder: one model that ships, two that do not."""

import copy
from pathlib import Path

import pytest

from zoo import catalog
from zoo.card import Card, dumps
from zoo.registry import embedded, manifest

CARD = {
    "schema": 1,
    "id": "genae/eae-toy",
    "version": "1.2.0",
    "architecture": "eae",
    "task": "unconditional-image-generation",
    "status": "experimental",
    "license": "apache-2.0",
    "summary": "A toy | with a bar.",
    "papers": ["Someone, 2020"],
    "tags": ["toy"],
    "intended_use": "Tests.",
    "limits": "It is\na toy.",
    "config": {"image_size": 8, "latent_size": 2, "network": "dense", "hidden_sizes": [3]},
    "processor": {"size": 8},
    "data": {"dataset": "mnist", "train_split": "train[:10]", "license": "cc-by-sa-3.0"},
    "train": {
        "num_train_epochs": 1,
        "learning_rate": 1e-05,
        "samplers": ["gaussian"],
        "budget": {"device": "cpu", "minutes": 0.5},
    },
    "results": [
        {
            "dataset": "mnist",
            "split": "test",
            "metric": "reconstruction_mse",
            "unit": "per pixel, [0, 1]",
            "value": 2e-05,
            "tolerance": 0,
            "seed": 0,
            "options": {"num_samples": 3},
            "training": {"seeds": 3, "mean": 0.1, "sd": 0.01},
            "protocol": "genae evaluate genae/eae-toy",
            "measured": {"date": "2026-11-22", "device": "cpu", "genae": "0.1.0"},
        }
    ],
}


@pytest.fixture
def card_table():
    """A valid card as TOML tables, free to be changed."""
    return copy.deepcopy(CARD)


@pytest.fixture
def make_model():
    """`make_model(folder, table, weights=True)`: a model's folder, manifest and all."""

    def make(folder: Path, table: dict, *, weights: bool = True) -> Path:
        folder.mkdir(parents=True)
        (folder / "card.toml").write_text(dumps(table), encoding="utf-8")
        if weights:
            entry = catalog.find(table["architecture"])
            config = catalog.load(entry.config)(**table["config"])
            catalog.load(entry.model)(config).save_pretrained(folder)
            manifest.write(folder, Card.load(folder), {"by": "a test"})
        return folder

    return make


@pytest.fixture
def registry_root(tmp_path, monkeypatch, make_model, card_table) -> Path:
    """An embedded registry: `eae-toy` ships, `eae-large` and `vae-toy` are recipes."""
    root = tmp_path / "embedded"
    make_model(root / "eae-toy", card_table)
    for name in ("eae-large", "vae-toy"):
        recipe = card_table | {"id": f"genae/{name}", "architecture": name[:3]}
        make_model(root / name, recipe | {"status": "recipe", "results": []}, weights=False)
    monkeypatch.setattr(embedded, "ROOT", root)
    monkeypatch.chdir(tmp_path)
    return root
