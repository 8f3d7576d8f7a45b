"""Export of layers: the same graph and the same bits again, in files that Keras loads."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import convert
from convert.backward import layer_weights
from convert.backward.layer_names import renamed
from convert.backward.layers import KERAS_TARGETS, KerasReport
from convert.layers.activations import LAYERS, NAMES, activation, written
from convert.layers.dialects import ANY
from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.settings import original, settings
from convert.layers.text import Source, read
from tests.conversion.keras_files import KERAS, SHARED, case, cases
from tests.conversion.layer_models import allowed
from zoo.errors import ConflictError, IntegrityError, UsageError
from zoo.models.images.modeling_layers import LayersModel

GATES = "hard_sigmoid of Keras 3 is another function; use --to keras-h5"
OPERATION = "is an operation, or was given a meaning: no layer of Keras computes it"
REFUSED = {
    ("keras_1_sequence", "keras"): GATES,
    **{(name, to): OPERATION for name in ("tf_ops", "keras3_ops") for to in KERAS_TARGETS},
}


def bring_over(path: Path, out: Path, **more) -> None:
    given = case(path)
    convert.convert_checkpoint(
        path, out, config=None if given == path else given, family="layers", **more
    )


def go_back(folder: Path, out: Path, to: str, **more) -> KerasReport:
    report = convert.export_checkpoint(folder, out, to=to, **more)
    assert isinstance(report, KerasReport)
    return report


def config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text("utf-8"))


def edit(folder: Path, **fields) -> None:
    (folder / "config.json").write_text(json.dumps(config(folder) | fields), "utf-8")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Every small file as a folder, by its name and its folder's."""
    found = {}
    for path in cases():
        name = f"{path.parent.name}/{path.name}"
        found[name] = tmp_path_factory.mktemp("layers") / "in"
        bring_over(path, found[name])
    return found


def plain(name: str) -> str:
    """A name as every version of Keras can have it: TensorFlow's scopes take ASCII alone."""
    return re.sub(r"[^A-Za-z0-9_.\\>-]", "_", name)


def graph(table: dict) -> dict:
    """All that a configuration says of what is computed, tensors numbered as they come."""
    numbers: dict[int, int] = {}

    def number(one):
        return numbers.setdefault(one, len(numbers))

    return {
        "inputs": [(plain(one["name"]), one["shape"], number(one["tensor"]))
                   for one in table["inputs"]],
        "nodes": [
            (plain(table["layers"][node["layer"]]["name"]),
             table["layers"][node["layer"]] | {"name": ""},
             [number(one) for one in node["inputs"]],
             None if node.get("mask") is None else number(node["mask"]),
             [number(one) for one in node["outputs"]])
            for node in table["nodes"]
        ],
        "outputs": [number(one) for one in table["outputs"]],
        "parts": {plain(name): [[number(one) for one in ends] for ends in part.values()]
                  for name, part in table["parts"].items()},
    }  # fmt: skip


def check_round_trip(folder: Path, out: Path, to: str) -> None:
    """Raise unless a folder comes back as it was, its weights bit for bit."""
    report = go_back(folder, out / to, to)
    assert {path.name for path in (out / to).iterdir()} == {*report.files}
    convert.convert_checkpoint(report.file, out / "again", family="layers")
    first, again = config(folder), config(out / "again")
    assert graph(again) == graph(first)
    one, two = (load_file(place / "model.safetensors") for place in (folder, out / "again"))
    for a, b in zip(first["layers"].items(), again["layers"].items(), strict=True):
        for name in {**a[1].get("weights", {}), **a[1].get("statistics", {})}:
            before, after = one[f"layers.{a[0]}.{name}"], two[f"layers.{b[0]}.{name}"]
            assert before.astype(after.dtype).tobytes() == after.tobytes()


@pytest.mark.parametrize("to", KERAS_TARGETS)
def test_what_goes_back_comes_over_as_it_was(folders, tmp_path, to):
    for name, folder in folders.items():
        out = tmp_path / plain(name).replace(".", "_")
        if words := REFUSED.get((name.partition("/")[0], to)):
            with pytest.raises(UsageError, match=words):
                go_back(folder, out, to)
            assert not out.exists()
        else:
            check_round_trip(folder, out, to)


def refusal(call, *words) -> str:
    """What a call is refused with; nothing where it is not."""
    try:
        call(*words)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_every_recorded_file_comes_back_as_it_was(tmp_path):
    done = refused = 0
    for path in (one for folder in FOLDERS for one in cases(SHARED / folder)):
        folder = tmp_path / f"{done + refused}"
        bring_over(path, folder / "in")
        for to in KERAS_TARGETS:
            why = refusal(check_round_trip, folder / "in", folder / f"back-{to}", to)
            assert not why or "; use --to " in why
            done, refused = done + (not why), refused + bool(why)
    assert done > 50 * refused > 0


def hdf5_layers(path: Path) -> dict[str, list[np.ndarray]]:
    """Arrays of a whole model's file, in the order of its lists."""
    with h5py.File(path) as file:
        group = file["model_weights"]
        names = [name.decode() if isinstance(name, bytes) else name
                 for name in group.attrs["layer_names"]]  # fmt: skip
        return {
            name: [group[name][one][()] for one in group[name].attrs["weight_names"]]
            for name in names
        }


@pytest.mark.parametrize("name", ["names", "nested_two_deep", "shared_model", "gru_reset_before"])
def test_a_file_has_the_arrays_that_the_original_had(folders, tmp_path, name):
    file = go_back(folders[f"{name}/model.h5"], tmp_path / "model.h5", "keras-h5").file
    theirs, ours = hdf5_layers(KERAS / name / "model.h5"), hdf5_layers(file)
    assert list(ours) == list(theirs)
    for layer, arrays in theirs.items():
        assert len(ours[layer]) == len(arrays)
        for one, two in zip(ours[layer], arrays, strict=True):
            assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


def test_an_archive_has_the_places_that_the_original_had(folders, tmp_path):
    for name, folder in folders.items():
        if not name.endswith("model.keras") or (Path(name).parent.name, "keras") in REFUSED:
            continue
        file = go_back(folder, tmp_path / plain(name), "keras").file
        found = []
        for path in (KERAS / name, file):
            with convert.open_checkpoint(path) as checkpoint:
                found.append({key: one.numpy().tobytes() for key, one in checkpoint.items()
                              if "seed_generator" not in key})  # fmt: skip
        assert found[0] == found[1], name


def test_the_words_kept_say_the_whole_graph(folders):
    """What `original` says is parsed again as what it was written from."""
    for name in folders:
        path = case(KERAS / name)
        network = build(parse(read(path)))
        kept = json.loads(json.dumps(original(network)))
        again = build(parse(Source(kept, "", "kept")))
        if REFUSED.get((path.parent.name, "keras")) == OPERATION:
            continue
        assert not again.problems
        assert json.loads(json.dumps(original(again))) == kept
        assert graph(json.loads(json.dumps(settings(again)))) == graph(
            json.loads(json.dumps(settings(network)))
        )


def test_functions_come_back_from_what_they_are_written_as():
    functions = [activation(name, 3) for name in [*NAMES, "hard_sigmoid"]]
    functions += [
        activation({"class_name": kind, "config": {key: 0.5 for key in keys if key != "axis"}}, 2)
        for kind, (keys, _) in LAYERS.items()
    ]
    only_3 = {"celu", "log_softmax", "glu", "hard_silu", "soft_shrink", "hard_shrink", "hard_tanh",
              "log_sigmoid", "squareplus", "sparse_plus", "sparse_sigmoid", "tanh_shrink",
              "sparsemax", "hard_sigmoid"}  # fmt: skip
    for function in functions:
        for keras in (ANY, 2, 3):
            if keras == 2 and function["name"] in only_3:
                with pytest.raises(ValueError, match=function["name"]):
                    written(function, keras)
            else:
                assert activation(written(function, keras), keras or 3) == function


def test_pieces_change_nothing_and_the_same_model_gives_the_same_bytes(
    folders, tmp_path, monkeypatch
):
    for to, target in KERAS_TARGETS.items():
        for name in ("whole", "again"):
            go_back(folders["mha/model.keras"], tmp_path / name / to, to)
        with monkeypatch.context() as patch:
            patch.setattr(layer_weights, "STRIP", 64)
            go_back(folders["mha/model.keras"], tmp_path / "pieces" / to, to)
        found = [(tmp_path / name / to / target.file).read_bytes()
                 for name in ("whole", "again", "pieces")]  # fmt: skip
        assert found[0] == found[1]
        if to == "keras":
            with zipfile.ZipFile(tmp_path / "pieces" / to / target.file) as archive:
                assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert found[0] == found[2]


def test_weights_that_were_changed_go_back(folders, tmp_path):
    import torch

    model = LayersModel.from_pretrained(folders["nested_two_deep/model.h5"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    model.save_pretrained(tmp_path / "saved")
    before = hdf5_layers(KERAS / "nested_two_deep/model.h5")
    report = go_back(tmp_path / "saved", tmp_path / "model.h5", "keras-h5")
    after = hdf5_layers(report.file)
    assert sum(len(arrays) for arrays in after.values()) > 4
    trained = 0
    for layer, arrays in before.items():
        for one, two in zip(arrays, after[layer], strict=True):
            twice = (2 * one == two).all()
            assert twice or (one == two).all()  # statistics are no parameters
            trained += bool(twice)
    assert trained


def test_half_precision_is_widened_and_said(tmp_path):
    bring_over(KERAS / "names/model.h5", tmp_path / "in", dtype="float16")
    report = go_back(tmp_path / "in", tmp_path / "out", "keras")
    assert report.notes[-1] == "weights in float16 are written as float32, of the same values"
    with convert.open_checkpoint(report.file) as checkpoint:
        assert {str(one.dtype) for one in checkpoint.values()} == {"float32"}


def test_images_turned_outside_go_back_as_the_original_was(tmp_path):
    source = KERAS / "conv2d_same_s2/model.h5"
    for name, options in (("last", {}), ("first", {"channels_last": False})):
        bring_over(source, tmp_path / name, options=options)
        go_back(tmp_path / name, tmp_path / f"{name}.keras", "keras")
    assert (tmp_path / "last.keras").read_bytes() == (tmp_path / "first.keras").read_bytes()


def test_names_that_a_version_cannot_have_are_changed_and_said(folders, tmp_path):
    report = go_back(folders["names/model.h5"], tmp_path / "out", "keras")
    assert "layer 'enc/conv' is 'enc_conv' there: Keras 3 has no such names" in report.notes
    table = dense_chain(["ü b", "u b", "_d"])
    model, changed = renamed(parse(Source(table, "3.15.1", "a file")), 2)
    names = [layer.name for layer in model.layers]
    assert changed == {"ü b": "layer__b", "u b": "u_b", "_d": "layer_d"}
    assert names == ["input_0", "layer__b", "u_b", "layer_d"]


def dense_chain(names: list[str], **options) -> dict:
    layers = [{"class_name": "Dense", "config": {"name": name, "units": 4, **options}}
              for name in names]  # fmt: skip
    layers[0]["config"]["batch_input_shape"] = [None, 4]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def test_outputs_of_a_shared_model_are_counted_from_its_making():
    """Keras 3 counts the calls of a graph from 0 in arguments, from 1 in the model's outputs."""

    def tensor(*history):
        shape = {"shape": [None, 4], "dtype": "float32", "keras_history": [*history]}
        return {"class_name": "__keras_tensor__", "config": shape}

    def node(*history):
        return [{"args": [tensor(*history)], "kwargs": {}}]

    def layer(kind, name, nodes, **config):
        config = {"name": name, **config}
        return {"class_name": kind, "module": "keras.layers", "config": config, "name": name,
                "inbound_nodes": nodes}  # fmt: skip

    start = layer("InputLayer", "a", [], batch_shape=[None, 4])
    inner = layer(
        "Functional", "f", [*node("a", 0, 0), *node("d", 0, 0)],
        layers=[layer("InputLayer", "i", [], batch_shape=[None, 4]),
                layer("Dense", "e", node("i", 0, 0), units=4)],
        input_layers=["i", 0, 0], output_layers=["e", 0, 0],
    )  # fmt: skip
    whole = layer(
        "Functional", "m", [],
        layers=[start, inner, layer("Dense", "d", node("f", 0, 0), units=4)],
        input_layers=["a", 0, 0], output_layers=[["f", 1, 0], ["f", 2, 0]],
    )  # fmt: skip
    network = build(parse(Source(whole, "3.15.1", "a file")))
    assert not network.problems
    first, second = (next(node for node in network.nodes if one in node.outputs)
                     for one in network.outputs)  # fmt: skip
    assert first.inputs == tuple(network.inputs)
    assert [node.layer for node in network.nodes if second.inputs[0] in node.outputs] == ["d"]


def test_what_disagrees_is_refused_before_anything_is_written(folders, tmp_path):
    source = folders["names_swapped/model.h5"]

    def attempt(error, words, fields=None, tensors=None):
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_bytes((source / name).read_bytes())
        edit(folder, **(fields or {}))
        if tensors:
            save_file(
                tensors(load_file(folder / "model.safetensors")), folder / "model.safetensors"
            )
        for to in KERAS_TARGETS:
            with pytest.raises(error, match=words):
                go_back(folder, out, to)
            assert not out.exists()

    table = config(source)
    layers = {
        name: one | {"activation": {"name": "tanh"}} for name, one in table["layers"].items()
    }
    first = next(iter(load_file(source / "model.safetensors")))
    attempt(UsageError, "has no `original`.*convert the Keras file again", {"original": None})
    attempt(IntegrityError, "a list, not an object", {"original": []})
    attempt(IntegrityError, "class_name and config", {"original": {}})
    attempt(IntegrityError, "compute something else", {"layers": layers})
    attempt(IntegrityError, "no graph of layers", {"nodes": [{}]})
    attempt(IntegrityError, "no graph of layers", {"layers": 7})
    attempt(IntegrityError, "is not in the folder", tensors=lambda found: {
        name: one for name, one in found.items() if name != first})  # fmt: skip
    attempt(IntegrityError, "belongs to no layer.*\n.*--allow-unused",
            tensors=lambda found: found | {"more": np.zeros(2, np.float32)})  # fmt: skip
    attempt(IntegrityError, r"is \(1,\), not",
            tensors=lambda found: found | {first: np.zeros(1, np.float32)})  # fmt: skip


def test_the_command_answers_with_the_line_that_loads_it(folders, run, tmp_path):
    folder = folders["names_swapped/model.keras"]
    done = run("export", folder, tmp_path / "out", "--to", "keras", "--map")
    assert (done.code, "for Keras 3" in done.out) == (0, True)
    assert re.search(r"layers\.dense_?\d*\.weight +layers/dense", done.out)
    assert "import keras; model = keras.models.load_model(" in done.err
    assert "model.keras" in done.err
    done = run("export", folder, tmp_path / "one.h5", "--to", "keras-h5", "--json", "-q")
    assert (done.code, json.loads(done.out)["files"]) == (0, ["one.h5"])
    assert {path.name for path in tmp_path.iterdir()} == {"out", "one.h5"}
    for words, code, said in (
        ((folder, tmp_path / "one.h5", "--to", "keras-h5"), 7, "exists"),
        ((folder, tmp_path / "two.h5", "--to", "keras"), 2, "--to keras writes model.keras"),
        ((folder, tmp_path / "b", "--to", "keras-hdf5"), 2, "give --to keras or --to keras-h5"),
        ((folder, tmp_path / "b", "--to", "keras", "--family", "bert"), 2, "models of texts"),
    ):
        done = run("export", *words)
        assert done.code == code
        assert said in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"out", "one.h5"}


def test_a_file_appears_whole_or_not_at_all(folders, tmp_path, monkeypatch):
    from convert.writers import keras_archive

    def broken(*words, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras_archive.shutil, "copyfileobj", broken)
    with pytest.raises(Exception, match="no space left"):
        go_back(folders["names_swapped/model.h5"], tmp_path / "model.keras", "keras")
    assert not list(tmp_path.iterdir())
    (tmp_path / "model.keras").touch()
    with pytest.raises(ConflictError):
        go_back(folders["names_swapped/model.h5"], tmp_path / "model.keras", "keras")


FOLDERS = ("keras_layers", "keras_models", "keras_era")
PYTHONS = {"keras": "GENAE_KERAS_PYTHON", "keras-h5": "GENAE_TF_KERAS_PYTHON"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("to", KERAS_TARGETS)
def test_keras_computes_with_it_what_it_computed_before(root, tmp_path, to):
    python = os.environ.get(PYTHONS[to])
    if not python:
        pytest.skip(f"{PYTHONS[to]} names no interpreter")
    jobs, bounds = [], []
    shared = [one for folder in FOLDERS for one in cases(SHARED / folder)]
    for number, path in enumerate(shared or cases()):
        bring_over(path, tmp_path / f"{number}")
        of_keras_3 = path.name == "model.keras" or "keras3" in path.name
        own = path.with_name("io_keras3.npz")
        record = own if of_keras_3 and own.is_file() else path.with_name("io.npz")
        back = tmp_path / f"{number}-back"
        if why := refusal(go_back, tmp_path / f"{number}", back, to):
            assert "; use --to " in why
            continue
        jobs.append({"file": str(back / KERAS_TARGETS[to].file), "record": str(record)})
        bounds.append(allowed(path)[0])
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    script = root / "tests/conversion/real_keras.py"
    done = subprocess.run(
        [python, script, tmp_path / "jobs.json"], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(jobs) > 20
    wrong = [
        line
        for line, most in zip(lines, bounds, strict=True)
        if "error" in line or max(line["differences"].values()) > most
    ]
    assert not wrong


def test_what_stands_for_an_input_is_one_whatever_its_class():
    table = {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [
                {"class_name": "GRU", "name": "a", "inbound_nodes": [],
                 "config": {"name": "a", "batch_input_shape": [None, 4]}},
                {"class_name": "Dense", "name": "d", "inbound_nodes": [[["a", 0, 0, {}]]],
                 "config": {"name": "d", "units": 3}},
            ],
            "input_layers": [["a", 0, 0]],
            "output_layers": [["d", 0, 0]],
        },
    }  # fmt: skip
    kept = original(build(parse(Source(table, "2.15.0", "a file"))))
    assert kept["config"]["layers"][0]["class_name"] == "InputLayer"
    table["config"]["layers"][1]["inbound_nodes"] = [[["a", 0, 1, {}]]]
    (problem,) = build(parse(Source(table, "2.15.0", "a file"))).problems
    assert re.search("output 1 of layer 'a' is read, which it lacks", str(problem))
