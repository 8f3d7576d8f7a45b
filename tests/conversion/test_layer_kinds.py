"""The table of layer kinds: shapes and weights as Keras itself recorded them."""

import copy
import random
import re
from pathlib import Path

import numpy as np
import pytest

import convert
from convert.layers.kinds import KINDS
from convert.layers.network import Network, build
from convert.layers.parsing import parse
from convert.layers.text import Source, read
from convert.layers.weights import make_plan, module_names, snake_case
from convert.readers import open_checkpoint
from tests.conversion.keras_files import KERAS, SHARED, case, cases, files
from zoo.errors import GenaeError, IntegrityError, UnsafeError, UsageError


def network(path) -> Network:
    return build(parse(read(path)))


def recorded_shapes(value, found) -> dict:
    """The shape of every tensor that a JSON of Keras 3 mentions."""
    if isinstance(value, dict):
        config = value.get("config")
        if value.get("class_name") == "__keras_tensor__":
            layer, call, output = config["keras_history"]
            found[layer, call, output] = tuple(config["shape"])
        else:
            for one in value.values():
                recorded_shapes(one, found)
    elif isinstance(value, list):
        for one in value:
            recorded_shapes(one, found)
    return found


def check_shapes(path) -> int:
    """Compare the shapes of a graph without models in it; how many were compared."""
    source = read(path)
    model = parse(source)
    if any(layer.model is not None for layer in model.layers):
        return 0
    net = build(model)
    made = {}
    for node in net.nodes:
        number = sum(key[:1] == (node.layer,) and key[2] == 0 for key in made)
        for output, tensor in enumerate(node.outputs):
            made[node.layer, number, output] = net.shapes[tensor]
    shared = made.keys() & (recorded := recorded_shapes(source.table, {})).keys()
    assert {key: made[key] for key in shared} == {key: recorded[key] for key in shared}, path
    return len(shared)


def test_shapes_are_those_that_keras_wrote_down():
    assert sum(check_shapes(path) for path in KERAS.glob("*/model.keras")) > 8


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_shapes_of_every_recorded_kind():
    found = [check_shapes(path) for path in files("keras_layers", "keras_models")
             if path.name == "model.keras"]  # fmt: skip
    assert sum(found) > 150


@pytest.mark.parametrize("path", cases(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_weight_has_its_tensor_and_comes_back(path):
    net = network(case(path))
    assert not net.problems
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(net, checkpoint)
        assert len({step.target for step in plan.steps}) == len(plan.steps)
        for step in plan.steps:
            for name, op in step.parts:
                stored = checkpoint[name].numpy()
                assert op.invert is not None
                np.testing.assert_array_equal(op.invert(op.apply(stored)), stored)


def dense(**options) -> dict:
    config = {"name": "d", "units": 3, "batch_input_shape": [None, 4], **options}
    first = {"class_name": "Dense", "config": config}
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first]}}


def problems(table: dict) -> list[GenaeError]:
    return build(parse(Source(table, "2.15.0", "a file"))).problems


def test_what_is_not_supported_is_named_with_its_place():
    assert not problems(dense())
    layer = {"class_name": "Quux", "config": {"name": "d"}}
    chain = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    for table, kind, words in (
        (dense(units=None), UsageError, "'d' .Dense.: option units is None, not a whole number"),
        (dense(units=-1), UsageError, "units is -1"),
        (dense(units=True), UsageError, "units is True"),
        (dense(units=10**12), UsageError, "units is 1000000000000"),
        (dense(activation="zigzag"), UsageError, "activation is 'zigzag'"),
        (dense(activation={"class_name": "PReLU", "config": {}}), UsageError, "activation"),
        (chain, UsageError, "'d' is a layer of the class Quux"),
    ):
        (found,) = problems(table)
        assert type(found) is kind
        assert re.search(words, str(found)), found
    layer["class_name"] = "Lambda"
    (found,) = problems(chain)
    assert type(found) is UnsafeError
    assert "never run" in str(found)


def test_models_in_models_grow_no_further_than_reason():
    name, last = "x", {"class_name": "Activation", "name": "a", "config": {"name": "a",
                       "activation": "relu"}, "inbound_nodes": [[["x", 0, 0]]]}  # fmt: skip
    model = {"layers": [last], "out": "a"}
    for level in range(15):
        config = {
            "name": f"m{level}",
            "layers": [
                {"class_name": "InputLayer", "name": name, "inbound_nodes": [],
                 "config": {"name": name, "batch_input_shape": [None, 2]}},
                *model["layers"],
            ],
            "input_layers": [[name, 0, 0]],
            "output_layers": [[model["out"], 1 if level else 0, 0]],
        }  # fmt: skip
        whole = {"class_name": "Functional", "config": config, "name": f"m{level}"}
        twice = [[[name, 0, 0]], [[f"m{level}", 0, 0]]]
        model = {"layers": [whole | {"inbound_nodes": twice}], "out": f"m{level}"}
    with pytest.raises(IntegrityError, match="too often"):
        problems(whole)


def test_random_options_end_in_errors_of_ours():
    chance = random.Random(7)
    junk = [None, -1, 0, 1, "", "same", [], {}, [[]], [1, 2], 2**70, True, 1e400, float("nan")]
    names = sorted(KINDS)
    for _ in range(2000):
        kind = chance.choice(names)
        options = {key: copy.deepcopy(chance.choice(junk)) for key in KINDS[kind].keys
                   if chance.random() < 0.7}  # fmt: skip
        rank = chance.choice((1, 2, 3, 4, 5))
        layer = {"class_name": kind, "config": {"name": "d", **options,
                 "batch_input_shape": [None, *[4] * rank]}}  # fmt: skip
        found = problems({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}})
        assert len(found) <= 2


def test_names_of_modules_are_each_their_own():
    names = module_names(["a.b", "a_b", "a/b", "ü b", "keys", "train"])
    assert len({*names.values()}) == 6
    assert not any("." in name for name in names.values())
    assert snake_case("Conv2DTranspose") == "conv2d_transpose"
    assert snake_case("PReLU") == "p_re_lu"
    assert snake_case("ConvLSTM2D") == "conv_lstm2d"


def test_an_output_that_a_model_lacks_is_an_error_with_its_place():
    source = read(KERAS / "shared_model/model.h5")
    inner = next(one for one in source.table["config"]["layers"] if "layers" in one["config"])
    table = copy.deepcopy(source.table)
    for one in table["config"]["layers"]:
        for node in one["inbound_nodes"]:
            for word in node:
                word[2] = 3 if word[0] == inner["name"] else word[2]
    found = problems(table)
    assert found
    assert re.search(
        rf"output 3 of layer '{inner['name']}' is read, which it lacks", str(found[0])
    )


def test_the_page_measures_every_kind():
    page = (Path(convert.__file__).parent / "README.md").read_text("utf-8")
    table = page.split("<!-- layers:begin -->")[1].split("| models |")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(KINDS)
    assert all(int(row[2]) > 0 and 0 <= float(row[3]) < 1e-5 for row in rows)
