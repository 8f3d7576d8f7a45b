"""A small embedded registry in a temporary folder: one model that ships, two that do not."""

import copy
import hashlib
import json
import time
from pathlib import Path

import pytest

from zoo import catalog
from zoo.card import Card, dumps
from zoo.registry import embedded, manifest, upkeep

#: The full numbers of the reliability tests.
SOAK = (pytest.mark.slow, pytest.mark.soak)

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

#: What fetches a model's weights.
WEIGHTS = r"^GET /.*/resolve/.*safetensors$"


def content(folder):
    """Every file of a folder: path to bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*")}


def left(cache):
    """Everything but locks that a cache holds."""
    return [p for p in cache.root.rglob("*") if ".locks" not in p.parts and not p.is_dir()]


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
def ready(tmp_path, make_model, card_table):
    """A model's folder that may be pushed: its results are measured."""
    table = card_table | {"id": "alice/toy", "version": "1.0.0", "status": "recipe"}
    folder = make_model(tmp_path / "ready", table)
    upkeep.record(folder, card_table["results"])
    return folder


@pytest.fixture
def online(monkeypatch):
    """Let this process speak to servers on this machine; tests are offline otherwise."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)


@pytest.fixture
def haste(monkeypatch):
    """Waits before another attempt take a twentieth of their time."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 20))


@pytest.fixture
def server(online):
    """A hub of the test's own; alice may write, and so may the owner genae."""
    from tests.hubs.server import HubServer

    with HubServer() as hub:
        yield hub


@pytest.fixture
def open_hub(server, tmp_path):
    """`open_hub(cache="a", **settings)`: a client of that hub with a cache of its own."""
    from zoo.registry.cache import Cache
    from zoo.registry.hub.hub import Hub

    def make(cache: str = "a", **settings):
        settings = {"token": "tok"} | settings
        return Hub(server.url, cache=Cache(tmp_path / f"cache-{cache}"), **settings)

    return make


@pytest.fixture
def release(tmp_path):
    """`release(version, files)`: a release of a few made-up files, without a model's checks."""
    from zoo.registry.types import File, Release

    def make(version: str = "1.0.0", name: str = "alice/toy", **files: bytes) -> Release:
        folder = tmp_path / f"release-{name.replace('/', '-')}-{version}"
        folder.mkdir(exist_ok=True)
        content = release_files(version, name) | files
        for path, text in content.items():
            (folder / path).write_bytes(text)
        listed = [File(p, len(t), hashlib.sha256(t).hexdigest()) for p, t in content.items()]
        return Release(name, version, folder, tuple(sorted(listed, key=lambda f: f.path)))

    return make


def release_files(version: str, name: str = "alice/toy", weights: int = 300) -> dict[str, bytes]:
    """The content of a small sound model, different for each version."""
    values = (f"{name} {version} ".encode() * weights)[: 4 * weights]
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [weights], "data_offsets": [0, 4 * weights]}}
    ).encode()
    files = {
        "README.md": f"---\nlicense: apache-2.0\n---\n\n# {name} {version}\n".encode(),
        "config.json": b'{"model_type": "genae_eae"}',
        "model.safetensors": len(header).to_bytes(8, "little") + header + values,
    }
    listed = [
        {"path": path, "size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        for path, text in files.items()
    ]
    table = {"schema": 1, "id": name, "version": version, "files": listed, "parameters": weights}
    return files | {"manifest.json": json.dumps(table).encode()}


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
