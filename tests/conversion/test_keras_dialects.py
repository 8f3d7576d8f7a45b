"""Keras files under the layer names of other releases give the same model as under today's."""

import json
import re

import h5py
import numpy as np
import pytest

import convert
from tests.conversion.records import LEGACY, options, record
from tests.weights import content
from zoo.errors import IntegrityError, UsageError

BERT_HEADS = {"Pooler-Dense": "NSP-Dense", "NSP-Proba": "NSP", "MLM-Bias": "MLM-Sim"}
SHORT = ("Wq", "bq", "Wk", "bk", "Wv", "bv", "Wo", "bo")


def old(layer, word="Encoder", start=1):
    """A layer's name in releases that count from 1; ALBERT's shared block is number 1."""
    if layer.startswith(("Transformer-Multi", "Transformer-Feed")):
        layer = layer.replace("Transformer-", "Transformer-0-")
    number = re.sub(r"^Transformer-(\d+)", lambda match: f"{word}-{int(match[1]) + start}", layer)
    return number if start == 0 else {"MLM-Bias": "MLM-Proba"}.get(number, number)


def keras_bert(layer):
    return BERT_HEADS.get(layer, old(layer))


def weights_of(layer, names, release):
    """What a release calls a layer's weights: (today's place, name) in its order."""
    found = list(enumerate(names))
    if layer in ("MLM-Sim", "MLM-Proba"):
        return [(0, f"{layer}/bias:0")]
    if layer.endswith("-Norm") and release != "0.5.6":
        found[:2] = found[1::-1]
    if release == "unnamed":
        return [(place, f"{layer}/w{number}:0") for number, (place, _) in enumerate(found)]
    if release == "keras-bert" and layer.endswith(("Attention", "FeedForward")):
        words = SHORT if len(found) == 8 else ("W1", "b1", "W2", "b2")
        return [(i, f"{layer}/{layer}_{word}:0") for i, word in enumerate(words)]
    return [
        (place, re.sub(r"^.*?(?=(dense_\d+/)?\w+:0)", f"{layer}/", name)) for place, name in found
    ]


def rewritten(name, path, rename=old, release="0.1", form="weights", extra=None):
    """A fixture's HDF5 file as another release writes it."""
    with convert.open_checkpoint(LEGACY / name / "model.weights") as found:
        layers = [(layer, [found[one].numpy() for one in layer.tensors]) for layer in found.layers]
        names = {
            layer.name: [one.split("/", 1)[1] for one in layer.tensors] for layer, _ in layers
        }
    with h5py.File(path, "w") as file:
        root = file if form == "weights" else file.create_group("model_weights")
        if form != "weights":
            file.create_group("optimizer_weights/Adam")["iter:0"] = np.array(3)
        listed, members = ["Input-Token"], {"Input-Token": []}
        root.create_group("Input-Token")
        for layer, arrays in layers:
            called = rename(layer.name)
            outer = "model_1" if form == "nested" else called
            group = root.require_group(outer)
            if outer not in members:
                listed.append(outer)
                members[outer] = []
            for place, key in weights_of(called, names[layer.name], release):
                group[key] = arrays[place]
                members[outer].append(key)
            if extra and called.endswith("MultiHeadSelfAttention"):
                key = f"{called}/{extra[0]}:0"
                group[key] = extra[1]
                members[outer].append(key)
        for one, keys in members.items():
            root[one].attrs["weight_names"] = np.array([key.encode() for key in keys] or [], "S")
        half = len(listed) // 2
        parts = {"layer_names": listed}
        if form == "chunks":
            parts = {"layer_names0": listed[:half], "layer_names1": listed[half:]}
        for attribute, words in parts.items():
            root.attrs[attribute] = np.array([word.encode() for word in words])
    return path


def bring_over(name, source, out, **more):
    config = more.pop("config", LEGACY / name / "bert_config.json")
    told = options(record(name)) | more.pop("options", {})
    report = convert.convert_checkpoint(source, out, config=config, options=told, **more)
    return report, contents(out)


def contents(out):
    config = json.loads((out / "config.json").read_text())
    return content(out / "model.safetensors"), config


@pytest.fixture(scope="module")
def today(tmp_path_factory):
    made = {}

    def reference(name):
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "out"
            made[name] = bring_over(name, LEGACY / name / "model.weights", out)[1]
        return made[name]

    return reference


@pytest.mark.parametrize("release", ["0.1", "0.5.6", "unnamed"])
@pytest.mark.parametrize("form", ["weights", "whole", "nested", "chunks"])
def test_names_of_the_first_releases(release, form, today, tmp_path):
    source = rewritten("bert_full", tmp_path / "best.h5", release=release, form=form)
    if release == "unnamed":  # gamma first, as these releases have it
        assert bring_over("bert_full", source, tmp_path / "out")[1] == today("bert_full")
        return
    report, found = bring_over("bert_full", source, tmp_path / "out", family="bert")
    assert found == today("bert_full")
    assert any("bert4keras 0.1 to 0.5.1" in note for note in report.notes)


@pytest.mark.parametrize("name", ["bert_encoder", "bert_cln", "albert", "albert_unshared"])
@pytest.mark.parametrize("word", ["Encoder", "Transformer"])
def test_families_under_old_names(name, word, today, tmp_path):
    source = rewritten(name, tmp_path / "best.weights", lambda layer: old(layer, word))
    report, found = bring_over(name, source, tmp_path / "out")
    assert found == today(name)
    assert any("names of bert4keras 0." in note for note in report.notes)


def test_albert_that_is_asked_for_has_one_block(today, tmp_path):
    """The only block of a file is BERT's, or ALBERT's, as the family says."""
    source = rewritten("albert", tmp_path / "best.weights")
    report, found = bring_over("albert", source, tmp_path / "out", family="albert")
    assert (report.family, found) == ("albert", today("albert"))


@pytest.mark.parametrize("word", ["Encoder", "Transformer"])
def test_nezha_kept_its_table_in_every_layer(word, today, tmp_path):
    table = np.zeros((129, 6), np.float32)

    def rename(layer):
        return old(layer, word)

    source = rewritten("nezha", tmp_path / "b.h5", rename, extra=("relative_embeddings", table))
    with h5py.File(source, "r+") as file:
        listed = [one for one in file.attrs["layer_names"] if b"Relative-Position" not in one]
        file.attrs["layer_names"] = np.array(listed)
        del file["Embedding-Relative-Position"]
    report, found = bring_over("nezha", source, tmp_path / "out")
    assert (report.family, found) == ("nezha", today("nezha"))
    assert set(report.plan.dropped.values()) == {"computed from the configuration"}


def test_blocks_counted_from_1_need_names(tmp_path):
    def rename(layer):
        return old(layer, "Transformer")

    source = rewritten("bert_full", tmp_path / "b.h5", rename, release="unnamed")
    with pytest.raises(UsageError, match=r"Embedding-Norm have no names .* gamma .* beta"):
        bring_over("bert_full", source, tmp_path / "out")
    found = convert.inspect(source, config=LEGACY / "bert_full" / "bert_config.json")
    assert any("have no names" in line for line in found.missing)
    assert not (tmp_path / "out").exists()


def test_output_bias_of_a_release_between(today, tmp_path):
    """Blocks counted from 0, and the bias of the output still in `MLM-Proba`."""
    names = {"MLM-Bias": "MLM-Proba"}
    source = rewritten("bert_full", tmp_path / "b.h5", lambda n: names.get(n, n), release="0.5.6")
    assert bring_over("bert_full", source, tmp_path / "out")[1] == today("bert_full")


@pytest.mark.parametrize("form", ["weights", "whole"])
def test_keras_bert(form, today, tmp_path):
    source = rewritten("bert_full", tmp_path / "m.h5", keras_bert, "keras-bert", form)
    report, found = bring_over("bert_full", source, tmp_path / "out")
    assert found == today("bert_full")
    assert "names of keras-bert, read as those of the original" in report.notes


def test_keras_bert_without_heads_and_with_fewer_positions(today, tmp_path):
    """`training=False`, and `seq_len` shorter than the configuration's."""
    source = rewritten("bert_encoder", tmp_path / "m.h5", keras_bert, "keras-bert")
    config = json.loads((LEGACY / "bert_encoder" / "bert_config.json").read_text())
    longer = config | {"max_position_embeddings": config["max_position_embeddings"] * 4}
    report, found = bring_over("bert_encoder", source, tmp_path / "out", config=longer)
    assert found == today("bert_encoder")
    assert any("keras-bert" in note for note in report.notes)


def test_the_way_back_gives_todays_names(tmp_path):
    source = rewritten("bert_full", tmp_path / "m.h5", keras_bert, "keras-bert")
    bring_over("bert_full", source, tmp_path / "out")
    convert.export_checkpoint(tmp_path / "out", tmp_path / "back", to="keras-hdf5")
    with convert.open_checkpoint(tmp_path / "back" / "model.weights") as back:
        names = [layer.name for layer in back.layers]
    with convert.open_checkpoint(LEGACY / "bert_full" / "model.weights") as there:
        assert names == [layer.name for layer in there.layers]


def test_another_family_is_told_in_todays_names(tmp_path):
    """What a family that was named lacks is said of the names that the dialect gives."""
    source = rewritten("bert_encoder", tmp_path / "m.h5")
    with pytest.raises(IntegrityError, match=r"not in the map: Embedding-Position") as error:
        bring_over("bert_encoder", source, tmp_path / "out", family="nezha")
    assert "Encoder-1" not in str(error.value)


def test_keras_albert_is_named(tmp_path):
    layers = {
        "Embed-Token": ("embeddings:0", (9, 4)), "Attention-Normal": ("gamma:0", (6,)),
        "Embedding-Norm": ("gamma:0", (6,)),
    }  # fmt: skip
    with h5py.File(tmp_path / "m.h5", "w") as file:
        for layer, (name, shape) in layers.items():
            file[f"{layer}/{layer}/{name}"] = np.zeros(shape, np.float32)
    config = LEGACY / "albert" / "bert_config.json"
    with pytest.raises(UsageError, match="layers of keras-albert"):
        convert.convert_checkpoint(tmp_path / "m.h5", tmp_path / "out", config=config)
