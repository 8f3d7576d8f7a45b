"""Damaged Keras models and damaged graphs of layers end in errors of ours, at little cost."""

import json
import os
import random

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.settings import settings
from convert.layers.text import read
from tests.conversion.keras_files import KERAS
from tests.conversion.layer_fuzz import fuzz, mutated
from zoo.models.images.configuration_layers import LayersConfig
from zoo.models.images.layer_graph import check_graph
from zoo.models.images.modeling_layers import LayersModel

MANY = pytest.param(
    int(os.environ.get("GENAE_FUZZ", 100_000)) // 3,
    marks=[pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(6 * 3600)],
)


@pytest.mark.parametrize("count", [20, MANY])
@pytest.mark.parametrize("kind", ["h5", "keras", "json"])
def test_damaged_models_end_in_our_errors(tmp_path, scratch, kind, count):
    (tmp_path / "in").mkdir()
    record = fuzz(kind, tmp_path / "in", count, count)
    assert 0 < record.counts.get("IntegrityError", 0) < count


GRAPH = ("layers", "nodes", "inputs", "outputs", "parts")


def graph(name: str) -> dict:
    """What a configuration says of a model, as JSON has it."""
    table = settings(build(parse(read(KERAS / name / "model.h5"))))
    return json.loads(json.dumps({key: table[key] for key in GRAPH}))


@pytest.mark.parametrize("count", [120, MANY])
def test_damaged_configurations_are_refused_in_words(count):
    """What is let through can be made, and its forward passes raise no other error either."""
    chance = random.Random(count)
    graphs = [graph(name) for name in ("nested_two_deep", "mha", "lstm_options")]
    refused = made = failed = 0
    said: list[str] = []
    for turn in range(count):
        plain = graphs[turn % len(graphs)]
        table = json.loads(mutated(plain, chance, texts=False))
        if not isinstance(table, dict) or not table.keys() <= {*GRAPH}:
            continue
        try:
            config = LayersConfig(**table)
        except StrictDataclassError as error:
            refused += 1
            said.append(str(error))
            continue
        with torch.device("meta"):
            model = LayersModel(config)
            made += 1
            given = [torch.ones([size or 2 for size in one["shape"] or ()])
                     for one in plain["inputs"]]  # fmt: skip
            try:
                model(*given)
            except (ValueError, RuntimeError):  # in words, or PyTorch's own
                failed += 1
    assert not [words for words in said if "Error(" in words or "object" in words]
    assert made > failed > 0
    assert refused > count // 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": [{}]}, r"nodes\[0\] is of the layer None"),
        ({"nodes": [3]}, r"nodes\[0\] is no table: 3"),
        ({"nodes": {"a": 1}}, "nodes is no list"),
        ({"layers": [1]}, "layers is no table"),
        ({"layers": {"a": {"kind": ["dense"]}}}, "layers.a has no kind"),
        ({"layers": {"a.b": {"kind": "identity"}}}, "'a.b' is no name"),
        ({"layers": {"keys": {"kind": "identity"}}}, "'keys' is no name"),
        ({"layers": {"a": {"kind": "identity", "weights": [1]}}}, "layers.a.weights is no table"),
        ({"layers": {"a": {"kind": "identity", "weights": {"w": 5}}}}, "layers.a.w is no list"),
        ({"layers": {"a": {"kind": "identity", "weights": {"w": [0]}}}}, "a.w has the shape"),
        ({"inputs": [{"tensor": 0}]}, r"inputs\[0\].name is no text: None"),
        ({"parts": {"enc": 1}}, "parts.enc is no table"),
        ({"parts": {"enc": {"inputs": [0], "outputs": [5]}}}, "parts.enc .* no node makes"),
        ({"inputs": [{"name": "x"}]}, r"inputs\[0\].tensor is no list of whole numbers"),
        (
            {"inputs": [{"name": "x", "tensor": 0, "shape": ["2"]}]},
            r"inputs\[0\].shape is no list of",
        ),
        ({"outputs": [[1]]}, "outputs is no list of whole numbers"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said_with_its_place(change, words):
    plain = {
        "layers": {"a": {"kind": "identity"}},
        "nodes": [{"layer": "a", "inputs": [0], "outputs": [1]}],
        "inputs": [{"name": "x", "tensor": 0, "shape": [None, 2]}],
        "outputs": [1],
    }
    check_graph(plain)
    with pytest.raises(ValueError, match=words):
        check_graph(plain | change)


def test_a_layer_that_lacks_an_option_is_named():
    table = graph("nested_two_deep")
    record = next(one for one in table["layers"].values() if "strides" in one)
    del record["strides"]
    model = LayersModel(LayersConfig(**table))
    given = [torch.ones([size or 2 for size in one["shape"]]) for one in table["inputs"]]
    with pytest.raises(ValueError, match=rf"layer '{record['name']}' .*'strides'"):
        model(*given)
