import re
import tomllib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo import catalog
from zoo.card import Card, dumps, render_readme, schema
from zoo.card.meanings import MEANINGS
from zoo.errors import NotFoundError, UsageError

ANY_TEXT = st.text(max_size=12)
TEXTS = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters="\n\t\u3000"),
    max_size=12,
)
NUMBERS = st.booleans() | st.integers() | st.floats(allow_nan=False)
VALUES = st.recursive(
    NUMBERS | ANY_TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(ANY_TEXT, v, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(ANY_TEXT, VALUES, max_size=5))
def test_toml_text_reads_back_as_the_same_tables(table):
    assert tomllib.loads(dumps(table)) == table


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=4))
def test_a_card_survives_its_own_text(card_table, config):
    card = Card.parse(dumps(card_table | {"config": config}))
    assert Card.parse(dumps(card.to_dict())) == card
    assert card.config == config


def test_training_arguments_are_apart_from_budget_and_samplers(card_table):
    card = Card.parse(dumps(card_table))
    assert card.train.arguments == {"num_train_epochs": 1, "learning_rate": 1e-05}
    assert card.train.samplers == ["gaussian"]
    assert card.train.budget == {"device": "cpu", "minutes": 0.5}
    assert (card.name, card.data.binarization) == ("eae-toy", "none")


def test_a_card_keeps_augmentations_views_and_graph_through_its_tables(card_table):
    card_table["data"] |= {"augmentations": ["crop", "flip"], "num_views": 2}
    card_table["train"]["cuda_graph"] = True
    card = Card.parse(dumps(card_table))
    assert (card.data.augmentations, card.data.num_views) == (["crop", "flip"], 2)
    assert card.train.cuda_graph
    assert "cuda_graph" not in card.train.arguments
    assert Card.parse(dumps(card.to_dict())) == card


def test_a_folder_and_its_file_are_the_same_card(tmp_path, card_table):
    (tmp_path / "card.toml").write_text(dumps(card_table))
    card = Card.load(tmp_path)
    assert card == Card.load(tmp_path / "card.toml")
    assert card.path == tmp_path / "card.toml"


def test_no_card_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"card\.toml"):
        Card.load(tmp_path)


def _change(**values):
    return lambda table: table | values


def _inside(place, /, **values):
    return lambda table: table | {place: table[place] | values}


def _result(**values):
    return lambda table: table | {"results": [table["results"][0] | values]}


def _without(*path):
    def drop(table):
        *parents, last = path
        inner = table
        for part in parents:
            inner = inner[part]
        del inner[last]
        return table

    return drop


WRONG = {
    "unknown key": (_change(licence="mit"), "unknown key 'licence'.*Did you mean 'license'"),
    "unknown in data": (_inside("data", datset="x"), r"'datset' in \[data\].*'dataset'"),
    "unknown in result": (_result(tolerence=1), r"'tolerence' in \[\[results\]\].*'tolerance'"),
    "missing": (_without("license"), "missing key 'license'"),
    "missing inside": (_without("results", 0, "seed"), "missing key 'seed'"),
    "missing table": (_without("train"), r"missing table \[train\]"),
    "bool is no number": (_result(value=True), "'value'.*finite number, not True"),
    "nan": (_result(value=float("nan")), "finite number, not nan"),
    "infinite tolerance": (_result(tolerance=float("inf")), "finite number"),
    "negative tolerance": (_result(tolerance=-1.0), "at least 0"),
    "schema": (_change(schema=2), "'schema' must be 1"),
    "id without owner": (_change(id="eae-toy"), "owner/name"),
    "id climbs": (_change(id="genae/../x"), "owner/name"),
    "version": (_change(version="1.0"), "'version'"),
    "status": (_change(status="stabel"), "one of recipe"),
    "summary": (_change(summary="two\nlines"), "one line"),
    "architecture": (_change(architecture="vea"), "no architecture named 'vea'.*'vae'"),
    "an import": (_change(architecture="os:system"), "no architecture named"),
    "table": (_change(config=3), "'config' must be a table"),
    "nested table": (_inside("train", budget=3), "budget.*must be a table"),
    "sampler": (_inside("train", samplers=["gausian"]), "any of gaussian, mixture"),
    "binarization": (_inside("data", binarization="coin"), "one of none, stochastic"),
    "augmentation": (_inside("data", augmentations=["flop"]), "any of shift, crop, flip"),
    "views": (_inside("data", num_views=3), "1 or 2"),
    "bool is no count": (_inside("data", num_views=True), "1 or 2"),
    "graph": (_inside("train", cuda_graph="yes"), "true or false"),
    "hash": (_inside("data", sha256={"a": "b"}), "SHA-256"),
    "commit": (_change(published={"commit": "main"}), "40 hex digits"),
    "escape": (_change(limits="\x1b[2J"), "cannot be printed"),
    "escape in key": (_inside("config", **{"a\x1b": 1}), "cannot be printed"),
    "deprecated": (_change(status="deprecated"), "replaced_by"),
    "two names": (_inside("data", name="a", config="b"), "two names"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path, card_table, change, message):
    file = tmp_path / "card.toml"
    file.write_text(dumps(change(card_table)), encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        Card.load(tmp_path)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_all_that_is_missing_is_named_at_once(card_table):
    lacking = {key: card_table[key] for key in ("schema", "id", "version", "data", "results")}
    lacking["data"] = {"dataset": "mnist"}
    lacking["results"] = [{"value": 1.0}]
    with pytest.raises(UsageError) as caught:
        Card.parse(dumps(lacking))
    said = str(caught.value)
    assert said.count("missing") == 1
    for name in ("'license' (one line of text)", "'train_split' in [data] (", "table [config]"):
        assert name in said
    for name in ("'metric' in [[results]] number 1 (", "'measured' in [[results]] number 1 ("):
        assert name in said
    assert said.endswith("`genae new` writes a card that has everything.")
    assert "\n" not in said


def test_what_a_deprecated_model_lacks_is_stated_by_one_command(card_table, tmp_path):
    file = tmp_path / "a card" / "card.toml"
    with pytest.raises(UsageError) as caught:
        Card.parse(dumps(card_table | {"status": "deprecated", "reason": "Old."}), file)
    (said,) = re.findall("`([^`]+)`", str(caught.value))
    assert said == (
        f'genae card "{file.parent}" --set status=deprecated --set replaced_by=OWNER/NAME '
        "--set reason=Old."
    )


def test_every_key_has_a_meaning():
    assert {place: set(keys) for place, keys in schema.TABLES.items()} == {
        place: set(keys) for place, keys in MEANINGS.items()
    }


HOSTILE = {
    "empty": b"",
    "no toml": b"{]",
    "twice": b'id = "a/b"\nid = "a/c"',
    "not utf-8": b"\xff\xfe",
    "deep": b"a = " + b"[" * 5000 + b"]" * 5000,
    "a date": b"config = {a = 2026-11-22}",
    "large": b"#" * 300_000,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_a_usage_error(tmp_path, content):
    (tmp_path / "card.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"card\.toml"):
        Card.load(tmp_path)


def test_the_readme_carries_every_result_in_its_front_matter(card_table):
    card = Card.parse(dumps(card_table))
    text = render_readme(card, {"parameters": 12345})
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["library_name"] == "genae"
    assert matter["license"] == card.license
    assert matter["pipeline_tag"] == card.task
    (result,) = matter["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 2e-05  # a number, where 2e-05 would be YAML text
    assert result["dataset"]["split"] == "test"
    assert "12,345 parameters" in body
    assert "± 0" in body
    assert render_readme(card, {"parameters": 12345}) == text


def test_the_readme_shows_the_images_that_the_manifest_lists(card_table):
    card = Card.parse(dumps(card_table))
    assert "![" not in render_readme(card)
    files = [{"path": name} for name in ("model.safetensors", "inpainting.png", "samples.png")]
    text = render_readme(card, {"parameters": 5, "files": files})
    assert text.index("![samples](samples.png)") < text.index("![inpainting](inpainting.png)")
    assert "trace.png" not in text
    text = render_readme(card, {"files": [*files, {"path": "figures/latent_plane.svg"}]})
    assert text.index("![inpainting]") < text.index("![latent plane](figures/latent_plane.svg)")
    assert "Latent plane." in text


@pytest.mark.parametrize(
    ("architecture", "fitted", "shown"),
    [
        ("ae", ["gaussian", "mixture"], "mixture"),
        ("ae", ["gaussian"], "gaussian"),
        ("ae", [], "prior"),
        ("vae", ["gaussian", "mixture"], "prior"),
    ],
)
def test_codes_that_nothing_shapes_are_drawn_by_what_was_fitted_to_them(
    card_table, architecture, fitted, shown
):
    card_table["architecture"] = architecture
    card_table["train"]["samplers"] = fitted
    card = Card.parse(dumps(card_table))
    assert card.shown_sampler == shown
    text = render_readme(card, {"files": [{"path": "samples.png"}]})
    assert (f'model.sample(4, sampler="{shown}", seed=0)' in text) == (shown != "prior")
    assert (f"Samples of the {shown} fitted to the codes" in text) == (shown != "prior")


@pytest.mark.parametrize("entry", catalog.IMAGES, ids=lambda entry: entry.name)
def test_every_reference_of_the_catalog_can_be_loaded(entry):
    for reference in (entry.config, entry.model, entry.processor):
        assert catalog.load(reference).__name__ == catalog.class_name(reference)
    assert catalog.load(entry.config).model_type == entry.model_type
    assert catalog.find_config(entry.model_type) is entry
    assert catalog.find_config(None, [entry.model_class]) is entry


def test_a_foreign_config_is_refused_with_a_way_out():
    with pytest.raises(UsageError, match=r"transformers\.AutoModel"):
        catalog.find_config("llama", ["VAEModel"])
