"""A class loads models of its own architecture alone, and small ones without a bar."""

import json
import shutil

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.utils import logging

import zoo
from zoo.card import Card
from zoo.errors import NotFoundError, UsageError
from zoo.models import (
    EAEConfig,
    EAEModel,
    GenaeAlbertModel,
    GenaeNezhaForMaskedLM,
    GenaeNezhaModel,
    IWAEModel,
    VAEConfig,
    VAEModel,
    seam,
)
from zoo.registry import embedded

VAE = "genae/vae-mnist"
VAE_CARD = embedded.ROOT / "vae-mnist"


@pytest.mark.parametrize(
    ("wanted", "right"),
    [
        (EAEModel, "VAEModel"),
        (EAEConfig, "VAEConfig"),
        (IWAEModel, "VAEModel"),
        (GenaeNezhaModel, "VAEModel"),
    ],
)
def test_another_architectures_class_names_the_right_one(wanted, right, monkeypatch):
    monkeypatch.setattr("zoo.registry.safetensors_header", lambda path: pytest.fail("loaded"))
    with pytest.raises(UsageError) as error:
        wanted.from_pretrained(VAE)
    said = f"{VAE} is a variational autoencoder, no model for {wanted.__name__}: load it with "
    assert str(error.value) == f"{said}{right}.from_pretrained({VAE!r})"


def test_a_published_model_is_told_by_its_card_before_it_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "ROOT", tmp_path)
    folder = tmp_path / "vae-mnist"
    folder.mkdir()
    text = zoo.load_card(VAE_CARD).text
    (folder / "card.toml").write_text(f'{text}\n[published]\ncommit = "{"a" * 40}"\n')
    with pytest.raises(UsageError, match="no model for EAEModel"):
        EAEModel.from_pretrained(VAE)
    (folder / "card.toml").write_text(text)
    with pytest.raises(NotFoundError, match="not published"):
        EAEModel.from_pretrained(VAE)


def test_folders_are_told_by_their_configuration(tmp_path):
    place = tmp_path / "vae"
    shutil.copytree(zoo.registry.resolve(VAE), place)
    for name in (place, str(place)):
        with pytest.raises(UsageError, match=r"vae is a variational autoencoder.*VAEModel\.from"):
            EAEModel.from_pretrained(name)
    with pytest.raises(UsageError, match=r"from_pretrained\('.*', subfolder='vae'\)$"):
        EAEModel.from_pretrained(tmp_path, subfolder="vae")
    assert type(AutoModel.from_pretrained(place)) is type(VAEModel.from_pretrained(place))
    assert type(AutoConfig.from_pretrained(place)) is VAEConfig
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"model_type": "xlnet"}))
    (place / "manifest.json").unlink()
    with pytest.raises(UsageError, match=r"of type 'xlnet', no model for EAEModel.*AutoModel"):
        EAEModel.from_pretrained(place)


def test_what_is_named_for_a_model_of_transformers_loads_it():
    """Its classes take folders, and no ids of genae's."""
    place = str(zoo.registry.resolve("genae/tiny-bert"))
    for name in ("genae/tiny-bert", place):
        with pytest.raises(UsageError) as error:
            EAEModel.from_pretrained(name)
        advice = str(error.value).partition("load it with ")[2]
        loader = "transformers.BertForPreTraining" if name == place else "zoo"
        assert advice == f"{loader}.from_pretrained({name!r})"
        model = eval(advice, {"transformers": transformers, "zoo": zoo})
        assert type(model).__name__ == "BertForPreTraining"
        with pytest.raises(UsageError) as error:
            VAEConfig.from_pretrained(name)
        advice = str(error.value).partition("load it with ")[2]
        found = eval(advice, {"transformers": transformers, "zoo": zoo})
        assert type(found).__name__ == "BertConfig"


def test_heads_of_one_architecture_load_each_other(tmp_path):
    place = zoo.registry.resolve("genae/tiny-nezha")
    assert GenaeNezhaModel.from_pretrained(place).config.model_type == "genae_nezha"
    assert GenaeNezhaForMaskedLM.from_pretrained(place).config.model_type == "genae_nezha"
    with pytest.raises(UsageError, match=r"NEZHA, no .*GenaeNezhaFor\w+\.from_pretrained"):
        GenaeAlbertModel.from_pretrained(place)


def test_a_users_own_class_loads_what_it_is_made_of():
    class OwnConfig(VAEConfig):
        model_type = "own_vae"

    class OwnModel(VAEModel):
        config_class = OwnConfig

    assert isinstance(OwnModel.from_pretrained(VAE), OwnModel)
    with pytest.raises(UsageError, match="no model for OwnModel"):
        OwnModel.from_pretrained("genae/eae-mnist")


@pytest.fixture
def bars():
    """Bars of transformers drawn, as in a user's script."""
    before = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    yield
    if not before:
        logging.disable_progress_bar()


@pytest.mark.parametrize(
    "load",
    [
        lambda: VAEModel.from_pretrained(VAE),
        lambda: zoo.from_pretrained(VAE),
        lambda: AutoModel.from_pretrained(zoo.registry.resolve(VAE)),
        lambda: zoo.from_pretrained("genae/tiny-bert"),  # transformers' own class
        lambda: GenaeNezhaModel.from_pretrained("genae/tiny-nezha"),
    ],
)
def test_a_small_model_draws_no_bar_and_settings_stay(bars, capfd, load):
    load()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    assert logging.is_progress_bar_enabled()
    assert logging.set_tqdm_hook(None) is None


def test_large_models_and_users_hooks_keep_their_bars(bars, capfd, monkeypatch):
    seen = []

    def hook(factory, args, kwargs):
        seen.append(kwargs.get("desc"))
        return factory(*args, **kwargs | {"disable": True})

    logging.set_tqdm_hook(hook)
    VAEModel.from_pretrained(VAE)
    assert logging.set_tqdm_hook(None) is hook
    assert seen == ["Loading weights"]
    monkeypatch.setattr(seam, "LARGE", 10)
    VAEModel.from_pretrained(VAE)
    assert "Loading weights" in capfd.readouterr().err
    AutoModelForMaskedLM.from_pretrained(zoo.registry.resolve("genae/tiny-bert"))
    assert "Loading weights" in capfd.readouterr().err  # not genae's to say


def test_a_card_is_shown_in_one_line():
    card = zoo.load_card(VAE)
    shown = f"Card({VAE!r}, version={card.version!r}, architecture='vae', status={card.status!r})"
    assert repr(card) == shown
    assert "\n" not in repr(Card.load(card.path))


class Linear(VAEModel):
    """A subclass that no catalog names, with an encoder of its own."""

    def make_encoder(self, config):
        width = self.encoder_width(config)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, width))


class Halved(VAEModel):
    """Another, whose tensors are those of its base."""

    def decode(self, latents):
        return super().decode(latents) / 2


OWN = VAEConfig(image_size=8, latent_size=2, network="dense", hidden_sizes=[3])


def test_a_class_that_genae_does_not_know_is_named_when_it_is_loaded(tmp_path, caplog):
    Halved(OWN).save_pretrained(tmp_path / "halved")
    Linear(OWN).save_pretrained(tmp_path / "linear")
    assert type(zoo.from_pretrained(tmp_path / "halved")) is VAEModel
    assert "the class Halved, which genae does not know" in caplog.text
    assert "loaded as VAEModel, without what it changes" in caplog.text
    with pytest.raises(UsageError, match=r"the class Linear.*VAEModel cannot take") as error:
        zoo.from_pretrained(tmp_path / "linear")
    assert "trust_remote_code" not in str(error.value)
    caplog.clear()
    for kind in (Halved, Linear):
        assert type(kind.from_pretrained(tmp_path / kind.__name__.lower())) is kind
    VAEModel(OWN).save_pretrained(tmp_path / "plain")
    zoo.from_pretrained(tmp_path / "plain")
    assert not caplog.text


def test_a_class_that_travels_with_its_folder_is_loaded_where_its_code_is_trusted(tmp_path):
    Halved(OWN).save_pretrained(tmp_path)
    code = "from zoo.models import VAEModel\n\n\nclass Halved(VAEModel):\n    mine = True\n"
    (tmp_path / "modeling_halved.py").write_text(code)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_halved.Halved"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert type(zoo.from_pretrained(tmp_path)) is VAEModel
    assert zoo.from_pretrained(tmp_path, trust_remote_code=True).mine
