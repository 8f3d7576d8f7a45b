"""The same weights in every layout of a saver give the same model, its own head left or named."""

import numpy as np
import pytest

import convert
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY, options, record, spread
from tests.conversion.wrappers import BY_ORDER, FORMS, layers_of
from tests.weights import content
from zoo.errors import IntegrityError, UsageError

HDF5 = sorted(path.parent.name for path in LEGACY.glob("*/model.weights"))
HDF5 = [name for name in HDF5 if not record(name)["loads_checkpoint_of"]] + ["albert_unshared"]
#: GPT-2 and GPT2-ML have layers of the same shapes: order alone does not tell them apart.
UNDECIDED = ("gpt2", "gpt2_ml")


def bring_over(name, source, out, family=None, **more):
    fixture = record(name)
    told = options(fixture) | more.pop("options", {})
    return convert.convert_checkpoint(
        source, out, family=family, config=LEGACY / name / "bert_config.json", options=told, **more
    )


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Weights and configuration that each recorded HDF5 file gives, made once."""
    made = {}

    def reference(name):
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "out"
            bring_over(name, LEGACY / name / "model.weights", out)
            made[name] = contents(out)
        return made[name]

    return reference


def contents(folder):
    names = ("model.safetensors", "config.json")
    return {name: content(folder / name) for name in names}


@pytest.mark.parametrize(("name", "form"), spread(HDF5, list(FORMS)))
def test_every_layout_gives_the_same_model(name, form, references, tmp_path):
    source = FORMS[form](layers_of(LEGACY / name / "model.weights"), tmp_path)
    family = record(name)["model"] if name in UNDECIDED else None
    if family and form in BY_ORDER:
        with pytest.raises(UsageError, match="--family gpt2 or --family gpt2_ml"):
            bring_over(name, source, tmp_path / "out")
    report = bring_over(name, source, tmp_path / "out", family)
    assert contents(tmp_path / "out") == references(name)
    assert any("by shape and order" in note for note in report.notes) == (form in BY_ORDER)


TF = sorted(path.parent.name for path in LEGACY.glob("*/bert_model.ckpt.index"))


@pytest.mark.parametrize(("name", "how"), spread(TF, ["big-endian", "suffixed", "in a scope"]))
def test_byte_order_endings_and_scopes_change_nothing(name, how, tmp_path):
    with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt") as found:
        tensors = {key: tensor.numpy() for key, tensor in found.items()}
    before, after = {"in a scope": ("model/", ""), "big-endian": ("", "")}.get(how, ("", ":0"))
    tensors = {f"{before}{key}{after}": array for key, array in tensors.items()}
    more = {"big_endian": how == "big-endian", "strings": ["text/of_a_table"], "shards": 2}
    family = record(name)["model"]
    (tmp_path / "in").mkdir()
    bring_over(name, LEGACY / name / "bert_model.ckpt", tmp_path / "one", family)
    report = bring_over(
        name, write_bundle(tmp_path / "in", tensors, **more), tmp_path / "two", family
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert report.unreadable == {"text/of_a_table": "contains strings"}
    assert any("without model/" in note for note in report.notes) == (how == "in a scope")


@pytest.mark.parametrize(
    ("name", "form", "place"),
    spread(["bert_encoder", "roformer_v2", "t5_v1_1"], list(FORMS), ["before", "behind"]),
)
def test_a_fine_tuned_model_gives_its_backbone_and_its_head_is_named(
    name, form, place, references, tmp_path
):
    backbone = layers_of(LEGACY / name / "model.weights")
    own = [("dense_5", [np.ones((24, 7), np.float32), np.ones(7, np.float32)])]
    layers = [*own, *backbone] if place == "before" else [*backbone, *own]
    source = FORMS[form](layers, tmp_path)
    with pytest.raises(UsageError, match="a classifier of 7 labels: ") as told:
        bring_over(name, source, tmp_path / "out")
    left = str(told.value).partition("labels: ")[2].partition(". To convert")[0].split(", ")
    assert len(left) == 2, "the head's kernel and bias, and nothing of the backbone"
    kept = {"with_lm": True} if name == "t5_v1_1" else {}  # which is a head as well
    bring_over(name, source, tmp_path / "without", options={"head": "none"} | kept)
    assert contents(tmp_path / "without") == references(name)
    report = bring_over(name, source, tmp_path / "out", allow_unused=left)
    assert contents(tmp_path / "out") == references(name)
    assert {*left} <= {*report.plan.dropped}


@pytest.mark.parametrize("head", ["output_weights", "classifier/dense/kernel", "cls/squad/w"])
def test_a_fine_tuned_checkpoint_gives_its_backbone_and_its_head_is_named(head, tmp_path):
    source = LEGACY / "bert_full/bert_model.ckpt"
    with convert.open_checkpoint(source) as found:
        tensors = {key: tensor.numpy() for key, tensor in found.items()}
    tensors |= {head: np.ones((3, 24), np.float32), f"{head}/adam_m": np.ones(3, np.float32)}
    (tmp_path / "in").mkdir()
    tuned = write_bundle(tmp_path / "in", tensors)
    known = head != "cls/squad/w"
    said = (
        rf"a classifier of \d+ labels(, of two maps)?: {head}\. To"
        if known
        else rf"map: {head} \(3, 24\)\nAre they"
    )
    with pytest.raises(UsageError if known else IntegrityError, match=said):
        bring_over("bert_full", tuned, tmp_path / "out")
    bring_over("bert_full", tuned, tmp_path / "out", allow_unused=[head])
    bring_over("bert_full", source, tmp_path / "plain")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
