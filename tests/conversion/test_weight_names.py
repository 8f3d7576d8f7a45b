"""Weights inside a Keras layer are identified by their names, in whatever order they lie."""

import random
import shutil

import h5py
import numpy as np
import pytest

import convert
from convert.names.layer_weights import by_name, kind_of
from tests.conversion.records import LEGACY, options, record
from tests.weights import content
from zoo.errors import IntegrityError

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
#: Layers in the order of places, as their savers name the weights.
LAYERS = {
    "attention": [
        f"A/A/dense_{i}/{kind}:0" for i in (9, 10, 11, 12) for kind in ("kernel", "bias")
    ],
    "feed forward": [
        f"F/F/dense{i}/{kind}:0" for i in ("", "_1", "_2") for kind in ("kernel", "bias")
    ],
    "conditional": ["N/beta:0", "N/gamma:0", *(f"N/dense{i}/kernel:0" for i in ("", "_1", "_2"))],
    "suffixed": ["N/N_1/beta_1:0", "N/N_1/gamma_1:0"],
    "another scope": ["N/N_1/beta:0", "N/N/gamma:0"],
    "gated": [
        *("G/dense_9/kernel:0", "G/scale_offset_9/gamma:0"),
        *("G/scale_offset_10/gamma:0", "G/dense_10/kernel:0"),
    ],
    "keras-bert": [f"E/E_{kind}{to}:0" for to in "qkvo" for kind in "Wb"],
    "one scope": ["F/kernel:0", "F/bias:0", "F/kernel_1:0", "F/bias_1:0"],
    "attributes": [
        f"layer_with_weights-4/{path}{VALUE}"
        for path in ("beta", "gamma", "beta_dense/kernel", "gamma_dense/kernel")
    ],
    "in words": [
        f"m/{name}/{kind}:0"
        for name in ("query", "key", "value", "attention_output")
        for kind in ("kernel", "bias")
    ],
}


@pytest.mark.parametrize("kind", list(LAYERS))
def test_any_order_gives_the_places(kind):
    names = LAYERS[kind]
    for seed in range(10):
        mixed = random.Random(seed).sample(names, len(names))
        assert by_name(mixed) == names


@pytest.mark.parametrize(
    "names",
    [
        ["N/w1:0", "N/w0:0"],
        ["layers/n/vars/1", "layers/n/vars/0"],
        ["crf/trans:0", "crf/bias:0"],
        ["N/gamma:0", "N/extra:0", "N/beta:0"],
        ["lstm/recurrent_kernel:0", "lstm/kernel:0", "lstm/bias:0"],
        ["x/second/kernel:0", "x/first/kernel:0"],
    ],
)
def test_names_that_do_not_say_it_leave_the_order(names):
    assert by_name(names) == names


def test_kinds():
    words = ["dense_1/W", "E_Wq:0", "E_b2", "n/gain:0", "n/beta_3:0", "x/rebias", "vars/0"]
    kinds = ["kernel", "kernel", "bias", "gamma", "beta", None, None]
    assert [kind_of(word) for word in words] == kinds


def relisted(name, folder, change):
    """A fixture's HDF5 file with each layer's list of weights changed."""
    folder.mkdir()
    path = shutil.copy(LEGACY / name / "model.weights", folder)
    with h5py.File(path, "r+") as file:
        for layer in file.attrs["layer_names"]:
            group = file[layer.decode()]
            names = change([word.decode() for word in group.attrs["weight_names"]])
            if names:
                group.attrs["weight_names"] = [word.encode() for word in names]
    return path


def bring_over(name, source, out):
    told = options(record(name))
    family = record(name)["model"]
    config = LEGACY / name / "bert_config.json"
    convert.convert_checkpoint(source, out, family=family, config=config, options=told)
    return content(out / "model.safetensors")


@pytest.mark.parametrize("name", ["bert_full", "bert_cln", "gau_alpha", "albert", "t5_v1_1"])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_file_may_list_its_weights_in_any_order(name, seed, tmp_path):
    def change(names):
        turned = list(reversed(names))
        return turned if seed is None else random.Random(seed).sample(names, len(names))

    source = relisted(name, tmp_path / "in", change)
    there = bring_over(name, LEGACY / name / "model.weights", tmp_path / "one")
    assert bring_over(name, source, tmp_path / "two") == there


def test_keras_own_normalization_lists_gamma_first(tmp_path):
    """A model of a user's own, whose layers have no names but Keras's: identified by order."""
    with convert.open_checkpoint(LEGACY / "bert_full" / "model.weights") as found:
        layers = [
            (layer, [(n, found[n].numpy()) for n in layer.tensors]) for layer in found.layers
        ]
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [f"layer_{i}".encode() for i in range(len(layers))]
        for i, (_, weights) in enumerate(layers):
            group = file.create_group(f"layer_{i}")
            names = [name.rpartition("/")[2] for name, _ in weights]
            inner = [name.split("/")[-2] for name, _ in weights]
            keys = [f"layer_{i}/{a}/{b}" for a, b in zip(inner, names, strict=True)]
            for key, (_, array) in zip(keys, weights, strict=True):
                group[key] = array
            gamma_first = sorted(keys, key=lambda key: "gamma" not in key)
            group.attrs["weight_names"] = [key.encode() for key in gamma_first]
    there = bring_over("bert_full", LEGACY / "bert_full" / "model.weights", tmp_path / "one")
    assert bring_over("bert_full", path, tmp_path / "two") == there


def test_two_gammas_are_an_error_in_words(tmp_path):
    def change(names):
        return [name.replace("beta", "gamma_1") for name in names]

    source = relisted("bert_full", tmp_path / "in", change)
    with h5py.File(source, "r+") as file:
        group = file["MLM-Norm/MLM-Norm"]
        group["gamma_1:0"] = np.array(group["beta:0"])
        del group["beta:0"]
    with pytest.raises(
        IntegrityError, match=r"MLM-Norm/gamma_1:0 is by its name a scale .* offset"
    ):
        bring_over("bert_full", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
