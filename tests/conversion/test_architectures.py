"""Architectures of Keras's files as data: one normal form of every version, and nothing is run."""

import contextlib
import copy
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from convert.layers.form import Architecture, Reference
from convert.layers.parsing import parse
from convert.layers.text import Source, find, read
from tests.conversion.keras_files import SHARED, files
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError


def node(*names: str) -> list:
    return [[[name, 0, 0, {}] for name in names]]


def tensor(name: str, call: int = 0, output: int = 0) -> dict:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, output]}}


def functional(layers: list, kind: str = "Functional", outputs: object = None) -> dict:
    config = {
        "name": "net",
        "layers": layers,
        "input_layers": [["x", 0, 0]],
        "output_layers": outputs or [["sum", 0, 0]],
    }
    return {"class_name": kind, "config": config}


def layer(kind: str, name: str, nodes: object, /, **config: object) -> dict:
    return {"class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": nodes}  # fmt: skip


#: The same model as four versions write it.
KERAS_1 = functional(
    [
        layer("InputLayer", "x", [], batch_input_shape=[None, 8, 8, 2]),
        layer("Convolution2D", "conv", [[["x", 0, 0]]], nb_filter=3, nb_row=2, nb_col=4,
              border_mode="same", subsample=[1, 2], dim_ordering="tf", bias=True),
        layer("Merge", "sum", [[["conv", 0, 0], ["conv", 0, 0]]], mode="sum"),
    ],
    "Model",
)  # fmt: skip
OPTIONS = {"filters": 3, "kernel_size": [2, 4], "padding": "same", "strides": [1, 2],
           "data_format": "channels_last", "use_bias": True}  # fmt: skip
KERAS_2 = functional(
    [
        layer("InputLayer", "x", [], batch_input_shape=[None, 8, 8, 2]),
        layer("Conv2D", "conv", node("x"), **OPTIONS),
        layer("Add", "sum", node("conv", "conv")),
    ]
)
KERAS_3 = functional(
    [
        layer("InputLayer", "x", [], batch_shape=[None, 8, 8, 2]),
        layer("Conv2D", "conv", [{"args": [tensor("x")], "kwargs": {"mask": None}}],
              **OPTIONS | {"kernel_size": {"class_name": "__tuple__", "items": [2, 4]}}),
        layer("Add", "sum", [{"args": [[tensor("conv"), tensor("conv")]], "kwargs": {}}]),
    ],
    outputs=["sum", 0, 0],
)  # fmt: skip


def of(table: Any, version: str = "") -> Architecture:
    return parse(Source(table, version, "a file"))


def essence(model: Architecture) -> list:
    """What the versions have to agree on."""
    return [
        (one.name, one.kind, one.options.get("kernel_size"), one.options.get("filters"),
         one.options.get("batch_input_shape"), one.calls)
        for one in model.layers
    ] + [model.inputs, model.outputs]  # fmt: skip


def test_every_version_has_one_normal_form():
    found = [of(KERAS_1, "1.2.2"), of(KERAS_2, "2.15.0"), of(KERAS_3)]
    assert essence(found[0]) == essence(found[1]) == essence(found[2])
    assert found[0].layers[1].options.items() >= OPTIONS.items()
    assert [one.keras for one in found] == [1, 2, 2]
    assert of(KERAS_3 | {"build_config": {}}).keras == 3


def test_a_chain_is_a_graph_whose_input_may_be_left_out():
    dense = {"class_name": "Dense", "config": {"name": "d", "batch_input_shape": [None, 5]}}
    last = {"class_name": "Dense", "config": {"name": "e"}}
    for config in ([dense, last], {"name": "s", "layers": [dense, last]}):
        model = of({"class_name": "Sequential", "config": config})
        assert [one.kind for one in model.layers] == ["InputLayer", "Dense", "Dense"]
        assert model.layers[0].options["batch_input_shape"] == [None, 5]
        assert model.layers[2].calls[0].inputs == (Reference("d"),)
        assert model.outputs == [Reference("e")]


def test_tensors_given_by_name_and_numbers_are_kept_apart():
    start = [layer("InputLayer", "x", [], batch_input_shape=[None, 3])]
    older = layer("MultiHeadAttention", "sum", [[["x", 0, 0, {"value": ["x", 0, 0]}]]])
    states = {"initial_state": [tensor("x"), tensor("x")]}
    newer = layer("LSTM", "sum", [{"args": [tensor("x")], "kwargs": states}])
    doubled = layer("TFOpLambda", "sum", [["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0]}]],
                    function="math.multiply")  # fmt: skip
    x = Reference("x")
    for last, kind, inputs, roles, arguments in (
        (older, "MultiHeadAttention", (x,), {"value": (x,)}, {}),
        (newer, "LSTM", (x,), {"initial_state": (x, x)}, {}),
        (doubled, "tf.math.multiply", (), {"y": (x,)}, {"0": 2.0}),
    ):
        found = of(functional([*start, last])).layers[1]
        call = found.calls[0]
        assert (found.kind, call.inputs, call.roles, call.arguments) == (
            kind, inputs, roles, arguments,
        )  # fmt: skip


def test_the_making_of_a_model_may_count_as_its_first_call():
    inner = functional(KERAS_2["config"]["layers"]) | {"name": "net"}
    for number, first in ((0, 0), (1, 1)):
        outer = functional(
            [
                layer("InputLayer", "x", [], batch_input_shape=[None, 8, 8, 2]),
                inner | {"inbound_nodes": node("x")},
            ],
            outputs=[["net", number, 0]],
        )
        model = of(outer)
        assert model.layers[1].first == first
        assert [path for path, _ in model.walk()] == ["x", "net", "net/x", "net/conv", "net/sum"]


def test_code_is_left_out_and_strangers_are_named_with_their_module():
    start = layer("InputLayer", "x", [], batch_input_shape=[None, 3])
    code = layer("Lambda", "sum", node("x"), function=["4wEAAAA=", None, None])
    assert of(functional([start, code])).layers[1].options == {}
    named = layer("Lambda", "sum", node("x"), function="scaled")
    assert of(functional([start, named])).layers[1].options == {"function": "scaled"}
    for more, kind in (
        ({"class_name": "system", "module": "os"}, "os.system"),
        ({"class_name": "Shift", "registered_name": "acme>Shift"}, "acme>Shift"),
        ({"class_name": "Add", "module": "keras.src.ops.numpy"}, "ops.Add"),
        ({"class_name": "Add", "module": "keras.layers"}, "Add"),
    ):
        assert of(functional([start, layer("X", "sum", node("x")) | more])).layers[1].kind == kind


def damaged(change) -> dict:
    table = copy.deepcopy(KERAS_2)
    change(table["config"], table["config"]["layers"])
    return table


def nested(depth: int) -> dict:
    table: dict = {"class_name": "Dense", "config": {"name": "d"}}
    for i in range(depth):
        table = {"class_name": "Sequential", "config": {"name": f"s{i}", "layers": [table]}}
    return table


deep: list = []
for _ in range(100):
    deep = [deep]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "class_name"),
        ({"class_name": 3}, "not a name"),
        ({"class_name": "Sequential", "config": []}, "no layer"),
        ({"class_name": "Sequential", "config": 7}, "not a list"),
        ({"class_name": "Functional", "config": 7}, "not an object"),
        (nested(30), "deep"),
        (damaged(lambda c, _: c.update(output_layers=[])), "no output"),
        (damaged(lambda c, _: c.update(output_layers=deep)), "nested"),
        (damaged(lambda c, _: c.update(output_layers=[["nobody", 0, 0]])), "'nobody'"),
        (damaged(lambda c, _: c.update(output_layers=[["conv", 5, 0]])), "call 5"),
        (damaged(lambda c, _: c.update(output_layers=[["conv", 0, -1]])), "no tensor"),
        (damaged(lambda _, ls: ls.append(ls[1])), "two layers"),
        (damaged(lambda _, ls: ls[1].update(inbound_nodes=node("sum"))), "circle"),
        (damaged(lambda _, ls: ls[1].update(inbound_nodes=node("conv"))), "circle"),
        (damaged(lambda _, ls: ls[1].update(inbound_nodes=[[3]])), "not a list"),
        (damaged(lambda _, ls: ls[1].update(inbound_nodes=node("x") * 2000)), "2000 times"),
        (damaged(lambda _, ls: ls[1].update(name=None, config=None)), "not a name"),
        (damaged(lambda _, ls: ls[1].update(class_name=["Dense"])), "not a name"),
    ],
)
def test_damage_is_said(table, words):
    with pytest.raises(IntegrityError, match=words):
        of(table)


def test_a_class_of_its_own_has_no_architecture():
    for table in ({"class_name": "Net", "config": {}},
                  {"class_name": "Model", "config": {"name": "n"}}):  # fmt: skip
        with pytest.raises(UsageError, match="program of its own"):
            of(table)


def test_random_damage_ends_in_errors_of_ours():
    chance = random.Random(5)
    junk = [None, -1, 1e400, "", "x", [], {}, [[]], 2**70, True, ["x", 0, 0], deep]

    def places(value, found):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in items:
            found.append((value, key))
            if isinstance(one, dict | list):
                places(one, found)
        return found

    for start in (KERAS_1, KERAS_2, KERAS_3) * 100:
        table = copy.deepcopy(start)
        for _ in range(2):
            where, key = chance.choice(places(table, []))
            where[key] = copy.deepcopy(chance.choice(junk))
        with contextlib.suppress(GenaeError):
            of(table)


def save(path: Path, text: str, form: str) -> Path:
    """The architecture in one of the forms of file."""
    if form == "json":
        path.write_text(text, "utf-8")
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr("metadata.json", '{"keras_version": "2.12.0"}')
    elif form == "folder":
        path.mkdir()
        (path / "config.json").write_text(text, "utf-8")
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = text.encode() if form == "bytes" else text
            file.attrs["keras_version"] = "2.2.4-tf"
    return path


def test_content_and_not_the_name_says_what_a_file_is(tmp_path):
    text = json.dumps(KERAS_2)
    for form in ("json", "zip", "folder", "text", "bytes"):
        found = read(save(tmp_path / f"model.{form}", text, form))
        assert found.table == KERAS_2, form
        assert essence(parse(found)) == essence(of(KERAS_2))
    assert found.version == "2.2.4-tf"


def test_what_is_no_architecture_is_said(tmp_path):
    for number, (text, words) in enumerate(
        [("{", "damaged"), ("[" * 100_000, "too deep"), ("[]", "list"), ("1" * 9999, "no ")]
    ):
        for form in ("json", "zip", "text"):
            path = save(tmp_path / f"{number}.{form}", text, form)
            with pytest.raises(IntegrityError, match=words):
                read(path)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["dense/kernel:0"] = [1.0]
    assert find(tmp_path / "weights.h5") is None
    with pytest.raises(NotFoundError, match="--config"):
        read(tmp_path / "weights.h5")


#: Odd files whose architecture cannot be read, and what is said of it.
UNREADABLE = {
    "bad_json": "JSON of the architecture is damaged",
    "cut_file": "not a sound",
    "cycle": "circle: 'first'",
    "dangling": "'nobody'",
    "deep_json": "too deep",
    "sharded/model.weights.json": "not the JSON of a Keras model",
    "subclassed/model.keras": "class Net",
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_every_recorded_file_is_read():
    read_well = 0
    for path in files():
        folder = path.parent.name
        words = UNREADABLE.get(folder) or UNREADABLE.get(f"{folder}/{path.name}")
        refused = pytest.raises(GenaeError, match=words) if words else contextlib.nullcontext()
        with refused:
            if (source := find(path)) is not None:
                parse(source)
                read_well += 1
    assert read_well > 400
