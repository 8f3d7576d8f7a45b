"""Published checkpoints by their names and shapes: the right family, and nothing is missing.

Their `.index` files need no weights: a sparse data file beside one lets the check run.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

import convert
from convert import families
from convert.names.leftovers import why_left_over
from convert.weights.rows import expand
from zoo.errors import IntegrityError

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/data/published"
pytestmark = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="needs ../shared/data/published, which is not shipped"
)

#: Folder with an index -> family, layers where tensors tell them, and what a person is asked.
INDEXED = {
    "albert_base_zh_google": ("albert", None, ""),
    "albert_large_v1_en": ("albert", None, ""),
    "albert_large_zh_brightmart": ("albert", None, ""),
    "albert_small_zh_google": ("albert", None, ""),
    "albert_tiny_google_zh_489k_bojone": ("albert", None, ""),
    "albert_tiny_zh_google": ("albert", None, ""),
    "cased_L-12_H-768_A-12": ("bert", 12, ""),
    "chinese_L-12_H-768_A-12": ("bert", 12, ""),
    "chinese_simbert_L-12_H-768_A-12": ("bert", 12, ""),
    "finetuned_run_classifier_chinese_L-12": ("bert", 12, "a classifier of 8 labels: output_weig"),
    "gpt2_ml_15g_bert_tok": ("gpt2_ml", 48, ""),
}
#: Folder of names alone, told by a conversion script -> family.
NAMED = {"CPM_LM_2.6B": "gpt2", "chinese_GAU-alpha-char_L-24_H-768": "gau_alpha"}


def rows_of(folder: str) -> list[list[str]]:
    """Name, shape and type of every tensor."""
    lines = (PUBLISHED / folder / "tensors.txt").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line]


@pytest.fixture
def laid_out(tmp_path):
    """A published folder with a sparse data file beside its index."""

    def lay(folder):
        place = tmp_path / folder
        place.mkdir()
        for path in (PUBLISHED / folder).iterdir():
            shutil.copyfile(path, place / path.name)
        files = json.loads((PUBLISHED / "facts.json").read_text("utf-8"))[folder]["files"]
        (index,) = place.glob("*.index")
        data = place / f"{index.stem}.data-00000-of-00001"
        with data.open("wb") as file:
            os.truncate(file.fileno(), files[index.name]["bytes_of_data"])
        return place

    return lay


QUICK = ("albert_tiny_zh_google", *[name for name in INDEXED if name[:6] != "albert"])


@pytest.mark.parametrize(
    "folder",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in INDEXED],
)
def test_what_a_published_checkpoint_is_follows_from_its_index(folder, laid_out):
    family, layers, asked = INDEXED[folder]
    place = laid_out(folder)
    found = convert.inspect(place)
    assert found.families == [family]
    assert found.tensors == len(rows_of(folder))
    assert found.sizes.get("layers") == layers
    slots = [name for name, *_ in rows_of(folder) if why_left_over(name)]
    assert found.dropped == len(slots)
    assert len(found.missing) == bool(asked)
    assert all(asked in line for line in found.missing)
    if "classifier" in asked:
        assert convert.inspect(place, options={"head": "none"}).missing == []


@pytest.mark.parametrize(
    "folder", ["albert_tiny_google_zh_489k_bojone", "albert_large_zh_brightmart"]
)
def test_without_its_weights_a_conversion_fails_at_the_checksums(folder, laid_out, tmp_path):
    with pytest.raises(IntegrityError, match="checksum"):
        convert.convert_checkpoint(laid_out(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_published_index_is_expected():
    assert {path.parent.name for path in PUBLISHED.glob("*/*.index")} == set(INDEXED)


@pytest.mark.parametrize("folder", NAMED)
def test_names_told_by_a_script_are_those_of_a_family(folder):
    names = {name for name, *_ in rows_of(folder)}
    (family,) = families.fitting(names)
    assert family.name == NAMED[folder]
    parts = {part: True for row in family.rows for part in row.part.split("+")}
    layers = max(int(name.partition("layer_")[2].partition("/")[0] or 0) for name in names) + 1
    known = {row.source for row in expand(family.rows, parts, layers)}
    assert names <= known


def test_nezha_says_in_its_configuration_what_it_is():
    nezha = json.loads((PUBLISHED / "NEZHA-Base/bert_config.json").read_text("utf-8"))
    assert families.find("nezha").is_named_by(nezha)
    assert not families.find("roformer").is_named_by(nezha)
    roformer = PUBLISHED / "chinese_roformer_L-12_H-768_A-12/config.json"
    told = json.loads(roformer.read_text("utf-8"))
    assert families.find("roformer").is_named_by(told)
    assert not families.find("nezha").is_named_by(told)
