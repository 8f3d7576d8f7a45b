import json
import re
import subprocess
import sys

import pytest

import zoo
from zoo import catalog, registry
from zoo.card import Card, dumps
from zoo.cli.readme import with_classes
from zoo.errors import ConflictError, IntegrityError, NotFoundError, UnsafeError, UsageError
from zoo.registry import embedded, manifest
from zoo.registry.fit import check_fit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_an_embedded_id_resolves_to_its_folder(registry_root):
    folder = str(registry_root / "eae-toy")
    for revision in (None, "main", "1.2.0", "v1.2.0"):
        assert registry.resolve("genae/eae-toy", revision) == folder


def test_a_local_folder_wins_over_an_id(registry_root, tmp_path, make_model, card_table):
    make_model(tmp_path / "genae" / "eae-toy", card_table | {"version": "9.9.9"})
    assert registry.resolve("genae/eae-toy") == "genae/eae-toy"
    assert registry.resolve("genae/eae-toy", "v5") == "genae/eae-toy"
    assert registry.load_card("genae/eae-toy").version == "9.9.9"


@pytest.mark.parametrize("name", ["someone/model", "gpt2"])
def test_ids_of_other_owners_are_looked_for_in_the_cache_when_offline(registry_root, name):
    with pytest.raises(NotFoundError, match=f"^{name} at abc is not in the cache.*OFFLINE"):
        registry.resolve(name, "abc")


@pytest.mark.parametrize("offline", ["0", "1"])
@pytest.mark.parametrize("revision", [None, "main", "v1.2.0", COMMIT])
def test_a_recipe_is_not_published_with_or_without_network(
    registry_root, monkeypatch, offline, revision
):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    with pytest.raises(NotFoundError) as caught:
        registry.resolve("genae/eae-large", revision)
    assert str(caught.value) == (
        "genae/eae-large is not published: train it with `genae train cards/eae-large`; "
        "nearest shipped model: genae/eae-toy"
    )


def test_the_nearest_model_shares_the_architecture(registry_root, make_model, card_table):
    vae = card_table | {"id": "genae/vae-elsewhere", "architecture": "vae"}
    make_model(registry_root / "vae-elsewhere", vae)
    near = embedded.nearest_shipped(registry.load_card("genae/vae-toy"))
    assert near.id == "genae/vae-elsewhere"  # though eae-toy is the more similar name
    assert embedded.nearest_shipped(registry.load_card("genae/eae-large")).id == "genae/eae-toy"


def test_a_revision_that_nobody_published_is_not_found(registry_root):
    with pytest.raises(NotFoundError, match=r"'v2' of genae/eae-toy is not published.*v1\.2\.0"):
        registry.resolve("genae/eae-toy", "v2")


@pytest.mark.parametrize("name", ["genae/eae-tyo", "eae-toy", "eae-tyo"])
def test_a_misspelt_name_gets_the_nearest(registry_root, name):
    with pytest.raises(NotFoundError, match="Did you mean 'genae/eae-toy'"):
        registry.resolve(name)
    with pytest.raises(NotFoundError, match="Did you mean 'genae/eae-toy'"):
        registry.load_card(name)


@pytest.mark.parametrize(
    "name", ["./nope", "/nope/nope", "a/b/c", "a\\b", "genae/../eae-toy", "genae/"]
)
def test_a_path_that_is_not_there_is_not_found(registry_root, name):
    with pytest.raises(NotFoundError):
        registry.resolve(name)


def test_changed_sizes_stop_loading_and_hashes_only_when_asked(registry_root, monkeypatch):
    weights = registry_root / "eae-toy" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    registry.resolve("genae/eae-toy")
    monkeypatch.setenv("GENAE_VERIFY", "always")
    with pytest.raises(IntegrityError, match="SHA-256"):
        registry.resolve("genae/eae-toy")
    monkeypatch.delenv("GENAE_VERIFY")
    (registry_root / "eae-toy" / "config.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"config\.json: 2 bytes"):
        registry.resolve("genae/eae-toy")


def test_text_may_be_missing_where_a_model_is_loaded(registry_root):
    (registry_root / "eae-toy" / "README.md").unlink()
    assert registry.resolve("genae/eae-toy")


def test_only_pickled_weights_are_unsafe(tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(UnsafeError, match=r"pytorch_model\.bin"):
        registry.resolve(tmp_path)


def test_a_folder_without_a_manifest_needs_sound_weights(registry_root):
    folder = registry_root / "eae-toy"
    (folder / "manifest.json").unlink()
    assert registry.resolve(folder) == str(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="sound"):
        registry.resolve(folder)


def test_cards_are_found_by_id_folder_and_recipe_path(registry_root):
    card = registry.load_card("genae/vae-toy")
    assert registry.load_card(registry_root / "vae-toy") == card
    assert registry.load_card(registry_root / "vae-toy" / "card.toml") == card
    for name in ("cards/vae-toy", "cards/vae-toy/", "cards/vae-toy/card.toml"):
        assert registry.load_card(name) == card
    assert [c.name for c in registry.list_models()] == ["eae-large", "eae-toy", "vae-toy"]


def test_descriptions_come_from_card_and_manifest(registry_root):
    toy = registry.describe(registry.load_card("genae/eae-toy"))
    counted = manifest.read(registry_root / "eae-toy")["parameters"]
    assert (toy["parameters"], toy["ships"], toy["published"]) == (counted, True, None)
    assert toy["bytes"] == (registry_root / "eae-toy" / "model.safetensors").stat().st_size
    recipe = registry.describe(registry.load_card("genae/vae-toy"))
    assert (recipe["parameters"], recipe["bytes"], recipe["ships"]) == (None, None, False)


def test_pull_copies_every_listed_file_and_verifies(registry_root, tmp_path):
    (registry_root / "eae-toy" / "stray.txt").touch()
    target = registry.pull("genae/eae-toy", tmp_path / "new" / "place")
    source = registry_root / "eae-toy"
    assert {p.name: p.read_bytes() for p in target.iterdir()} == {
        p.name: p.read_bytes() for p in source.iterdir() if p.name != "stray.txt"
    }
    assert registry.verify(target).ok
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["place"]  # nothing left behind
    assert registry.verify(registry.pull(target, tmp_path / "again")).ok


def test_pull_fills_an_empty_folder_and_no_other(registry_root, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    registry.pull("genae/eae-toy", target)
    with pytest.raises(ConflictError, match="target --update"):
        registry.pull("genae/eae-toy", target)
    (tmp_path / "file").touch()
    with pytest.raises(ConflictError):
        registry.pull("genae/eae-toy", tmp_path / "file")
    with pytest.raises((ConflictError, OSError)):
        registry.pull("genae/eae-toy", tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConflictError):
        registry.pull("genae/eae-toy", tmp_path / "link")


def test_a_pull_that_fails_leaves_nothing(registry_root, tmp_path):
    (registry_root / "eae-toy" / "config.json").write_text('{"model_type": "genae_xxx"}')
    with pytest.raises(IntegrityError, match=r"config\.json"):
        registry.pull("genae/eae-toy", tmp_path / "out" / "toy")
    assert list((tmp_path / "out").iterdir()) == []


def test_pull_needs_a_model_of_ours(registry_root, tmp_path):
    with pytest.raises(NotFoundError, match="not published"):
        registry.pull("genae/vae-toy", tmp_path / "x")
    with pytest.raises(NotFoundError, match="someone/model at main"):
        registry.pull("someone/model", tmp_path / "x")
    with pytest.raises(NotFoundError, match="genae/eae-toy"):
        registry.pull("eae-toy", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def _rewrite(folder, name, change):
    table = json.loads((folder / name).read_text())
    change(table)
    (folder / name).write_text(json.dumps(table))


def _edit_card(folder):
    text = (folder / "card.toml").read_text().replace("1.2.0", "1.3.0")
    (folder / "card.toml").write_text(text)


def _relist(folder):
    """Make the manifest agree with the files again."""
    manifest.write(folder, Card.load(folder), {})


def _other_type(folder):
    _rewrite(folder, "config.json", lambda t: t.update(model_type="genae_vae"))
    _relist(folder)


def _other_class(folder):
    _rewrite(folder, "config.json", lambda t: t.update(architectures=["VAEModel"]))
    _relist(folder)


DAMAGE = {
    "changed": (_edit_card, "card.toml"),
    "version": (_edit_card, "version is '1.3.0', in the manifest '1.2.0'"),
    "missing": (lambda f: (f / "config.json").unlink(), "config.json: missing"),
    "extra": (lambda f: (f / "x.json").touch(), "x.json: not in the manifest"),
    "model_type": (_other_type, "model_type is 'genae_vae'"),
    "class": (_other_class, r"architectures is \['VAEModel'\]"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json does not exist"),
    "no card": (lambda f: (f / "card.toml").unlink(), "no card at"),
    "weights": (lambda f: (f / "model.safetensors").write_bytes(b"{}"), "not a sound"),
    "parameters": (
        lambda f: _rewrite(f, "manifest.json", lambda t: t.update(parameters=10**9)),
        r"1000000000 parameters, the weights have \d+ values",
    ),
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_verify_names_what_differs(registry_root, damage, problem):
    folder = registry_root / "eae-toy"
    assert registry.verify(folder).ok
    damage(folder)
    report = registry.verify(folder)
    assert not report.ok
    assert any(re.search(problem, line) for line in report.problems), report.problems


def test_weights_over_several_files_are_one_model(registry_root):
    folder = registry_root / "eae-toy"
    model = zoo.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="2KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    _relist(folder)
    assert registry.verify(folder).problems == check_fit(folder) == []


def test_tied_weights_may_be_stored_under_any_of_their_names(registry_root, monkeypatch):
    from safetensors.torch import load_file, save_file

    class Tied(zoo.EAEModel):
        _tied_weights_keys = {"copy.weight": "encoder.layers.2.weight"}  # noqa: RUF012

        def post_init(self):
            self.config.tie_word_embeddings = True
            output = self.encoder.layers[2]
            self.copy = type(output)(output.in_features, output.out_features, bias=False)
            self.register_buffer("scratch", output.bias.new_zeros(7), persistent=False)
            super().post_init()

    monkeypatch.setattr("zoo.models.images.modeling_eae.EAEModel", Tied)
    folder = registry_root / "eae-toy"
    path = folder / "model.safetensors"
    Tied(zoo.EAEConfig.from_pretrained(folder)).save_pretrained(folder)
    _rewrite(folder, "config.json", lambda t: t.update(architectures=["EAEModel"]))
    weights = load_file(path)
    assert "scratch" not in weights
    tied = {"copy.weight", "encoder.layers.2.weight"}
    [stored] = tied & weights.keys()
    values = weights.pop(stored)
    for names in (tied, *({name} for name in tied), set()):
        content = weights | {name: values.clone() for name in names}
        save_file(content, path, metadata={"format": "pt"})
        problems = check_fit(folder)
        assert ("1 missing, such as copy.weight" in " ".join(problems)) == (not names)
        assert len(problems) == (not names)


def test_verify_refuses_a_pickle(registry_root):
    (registry_root / "eae-toy" / "extra.pkl").touch()
    with pytest.raises(UnsafeError):
        registry.verify("genae/eae-toy")


def _modules_after(code, root):
    script = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines())


HEAVY = {"torch", "transformers", "numpy", "huggingface_hub", "fsspec", "datasets", "PIL"}


@pytest.mark.parametrize(
    "code",
    ["import zoo", "import zoo.registry", "import zoo; zoo.list_models(); zoo.Card; dir(zoo)"],
)
def test_the_front_of_the_house_is_light(code, root):
    assert not _modules_after(code, root) & HEAVY


def test_the_facade_knows_every_class_of_the_catalog():
    assert set(catalog.classes()) <= set(zoo.__all__) <= set(dir(zoo))
    for name in zoo.__all__:
        assert getattr(zoo, name) is not None
    with pytest.raises(AttributeError, match="EAEModle"):
        _ = zoo.EAEModle


def test_type_checkers_see_the_same_names(root):
    text = (root / "zoo" / "__init__.pyi").read_text()
    for name in catalog.classes():
        assert f"import {name} as {name}\n" in text, "run: make readme"
    assert with_classes(text) == text


def test_every_card_of_the_house_is_sound_and_in_its_folder():
    for card in registry.list_models(fixtures=True):
        assert card.id == f"genae/{card.path.parent.name}"


@pytest.mark.parametrize("architecture", ["ae", "vae", "eae", "classifier"])
def test_from_pretrained_finds_the_class(registry_root, card_table, tiny_config, architecture):
    entry = catalog.find(architecture)
    model = catalog.load(entry.model)(tiny_config(architecture))
    folder = registry_root / f"{architecture}-tiny"
    model.save_pretrained(folder)
    table = card_table | {"id": f"genae/{folder.name}", "architecture": architecture}
    (folder / "card.toml").write_text(dumps(table))
    manifest.write(folder, Card.load(folder), {})
    assert registry.verify(folder).problems == []
    for name in (f"genae/{folder.name}", folder):
        loaded = zoo.from_pretrained(name)
        assert type(loaded).__name__ == entry.model_class
        assert not loaded.training
    loaded = getattr(zoo, entry.model_class).from_pretrained(f"genae/{folder.name}")
    for key, value in model.state_dict().items():
        assert loaded.state_dict()[key].equal(value)
    with pytest.raises(NotFoundError, match="not published"):
        getattr(zoo, entry.model_class).from_pretrained("genae/vae-toy")
    with pytest.raises(NotFoundError, match="revision"):
        zoo.from_pretrained(f"genae/{folder.name}", revision="v7")


def test_a_model_of_another_library_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="'llama' is not one of genae's"):
        zoo.from_pretrained(tmp_path)


def test_anothers_model_that_is_out_of_reach_is_named(registry_root):
    for load in (zoo.load_image_processor, zoo.from_pretrained, zoo.EAEConfig.from_pretrained):
        with pytest.raises(NotFoundError, match="someone/model at main is not in the cache"):
            load("someone/model")


@pytest.mark.parametrize(
    "name",
    "EAEModel EAEConfig GenaeImageProcessor GenaeBertForMaskedLM GenaeBertConfig GenaeT5Model "
    "GenaeT5Config GenaeWordTokenizer".split(),
)
def test_every_class_asks_the_registry(name):
    import zoo.models

    kind = getattr(zoo.models, name)
    with pytest.raises(NotFoundError, match="someone/model at v1"):
        kind.from_pretrained("someone/model", revision="v1")


def test_a_model_is_checked_once_however_it_is_loaded(monkeypatch, registry_root):
    from zoo.registry import _check_folder

    seen = []
    monkeypatch.setattr("zoo.registry._check_folder", lambda f: (seen.append(f), _check_folder(f)))
    zoo.from_pretrained("genae/eae-toy")
    zoo.EAEModel.from_pretrained("genae/eae-toy")
    assert len(seen) == 2


def test_a_command_hashes_a_model_once(monkeypatch, tmp_path):
    from zoo.evaluation.measure import open_context

    seen = []
    hashed = manifest.check_hashes
    monkeypatch.setenv("GENAE_VERIFY", "always")
    monkeypatch.setattr(manifest, "check_hashes", lambda f: (seen.append(f), hashed(f))[1])
    zoo.sample("genae/eae-mnist", 1, seed=0)
    zoo.reconstruct("genae/eae-mnist", ["examples-mnist"])
    open_context("genae/eae-mnist", device=None, quiet=True)
    zoo.density("genae/vae-mnist-2d", ["examples-mnist"], samples=1, binarize="stochastic")
    zoo.sample("genae/dde-gaussians-2d", 1, seed=0)
    zoo.energy("genae/dde-gaussians-2d", grid=True)
    assert len(seen) == 6


@pytest.mark.parametrize("load", ["EAEModel", "zoo.from_pretrained"])
def test_loading_a_small_model_draws_no_bar_and_leaves_bars_as_they_were(
    load, capsys, monkeypatch
):
    from transformers.utils import logging

    monkeypatch.setattr(logging, "_tqdm_active", True)
    kinds = {"zoo.from_pretrained": zoo.from_pretrained, "EAEModel": zoo.EAEModel.from_pretrained}
    kinds[load]("genae/eae-mnist")
    said = capsys.readouterr()
    assert said.out + said.err == ""
    assert logging.is_progress_bar_enabled()


def test_weights_that_are_not_the_configs_are_refused(tmp_path, tiny_config):
    from safetensors.torch import load_file, save_file

    from zoo.models import EAEModel

    EAEModel(tiny_config("eae")).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name, change in {
        "missing": {k: v for k, v in weights.items() if not k.startswith("decoder.")},
        "unexpected": weights | {"stray": weights["encoder.output.bias"].clone()},
        "output.bias": weights | {"encoder.output.bias": weights["encoder.output.bias"][:2]},
    }.items():
        save_file(change, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(IntegrityError, match=name):
            zoo.from_pretrained(tmp_path)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert zoo.from_pretrained(tmp_path).config.model_type == "genae_eae"
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"latent_size": 4', '"latent_size": 0'))
    with pytest.raises(IntegrityError, match="latent_size"):
        zoo.from_pretrained(tmp_path)


def test_the_current_folder_can_be_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.pull("genae/eae-mnist", ".")
    assert registry.verify(tmp_path).ok
