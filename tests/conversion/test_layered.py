"""From Keras files to folders: weights bit for bit, outputs as recorded; nothing on failure."""

import json
import shutil

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

import convert
from convert.layers.opening import open_model
from convert.layers.text import read
from tests.conversion.keras_files import KERAS, SHARED
from zoo.errors import GenaeError, IntegrityError, NotFoundError, ToleranceError, UsageError
from zoo.models.images.modeling_layers import LayersModel

CASES = [
    ("nested_two_deep", "model.h5", None),
    ("nested_two_deep", "model.keras", None),
    ("keras_1_sequence", "weights.h5", "model.json"),
    ("keras_2_12_autoencoder", "model_v3.keras", None),
    ("names", "model.h5", None),
    ("mha", "model.keras", None),
]


@pytest.mark.parametrize(("name", "file", "config"), CASES)
def test_a_folder_computes_what_was_recorded(tmp_path, name, file, config):
    source, out = KERAS / name / file, tmp_path / "out"
    given = None if config is None else KERAS / name / config
    report = convert.convert_checkpoint(source, out, config=given, verify=KERAS / name / "io.npz")
    assert report.parity
    assert all(one.ok for one in report.parity)
    assert {path.name for path in out.iterdir()} == {*report.files}
    model = LayersModel.from_pretrained(out)
    stored = load_file(out / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()
    told = json.loads((out / "conversion.json").read_text("utf-8"))
    assert told["parameters"] == sum(array.size for array in stored.values())
    with convert.open_checkpoint(source) as checkpoint:
        for step in report.plan.steps:
            parts = [op.apply(checkpoint[each].numpy()) for each, op in step.parts]
            np.testing.assert_array_equal(np.concatenate(parts, -1), stored[step.target])


def test_the_architecture_next_to_weights_is_found(tmp_path):
    report = convert.convert_checkpoint(KERAS / "keras_1_sequence/weights.h5", tmp_path / "out")
    assert report.to_dict()["family"] == "layers"


def test_what_differs_leaves_nothing(tmp_path):
    record = dict(np.load(KERAS / "mha/io.npz"))
    record["out1"] = record["out1"] + 0.01
    np.savez(tmp_path / "io.npz", **record)
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4")
    np.savez(tmp_path / "empty.npz", in0=record["in0"])
    source = KERAS / "mha/model.h5"
    for name, error in (
        ("io.npz", ToleranceError), ("broken.npz", IntegrityError), ("empty.npz", UsageError),
    ):  # fmt: skip
        with pytest.raises(error):
            convert.convert_checkpoint(source, tmp_path / "out", verify=tmp_path / name)
        assert not (tmp_path / "out").exists()


def test_an_architecture_alone_is_not_converted(tmp_path):
    with pytest.raises(NotFoundError, match="--config"):
        convert.convert_checkpoint(KERAS / "keras_1_sequence/model.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_float16_is_written_where_it_is_asked_for(tmp_path):
    convert.convert_checkpoint(KERAS / "names/model.h5", tmp_path / "out", dtype="float16")
    assert {str(one.dtype) for one in load_file(tmp_path / "out/model.safetensors").values()} == {
        "float16"
    }
    assert json.loads((tmp_path / "out/config.json").read_text("utf-8"))["dtype"] == "float16"


def test_the_command_answers_in_a_line(run, tmp_path):
    done = run("convert", str(KERAS / "names/model.h5"), str(tmp_path / "out"))
    assert done.code == 0
    assert "LayersModel, " in done.out
    shown = run("inspect", str(KERAS / "names/model.h5"))
    assert shown.code == 0
    assert "Conv2D" in shown.out


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_what_cannot_be_converted_leaves_nothing(tmp_path):
    out = tmp_path / "out"
    for path in sorted((SHARED / "keras_odd").glob("*/model.*")):
        if (model := open_model(path)) is None:
            continue
        with model:
            stopped = bool(model.problems)
        if not stopped:
            continue
        with pytest.raises(GenaeError):
            convert.convert_checkpoint(path, out)
        assert not out.exists()


def recorded(folder, source, **changes):
    """A record with some arrays others, or none."""
    arrays = dict(np.load(source)) | changes
    np.savez(folder / "io.npz", **{name: one for name, one in arrays.items() if one is not None})
    return folder / "io.npz"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"in1": None}, UsageError, r"in it are in0; the model takes in0 \(input_1\), in1 \(inp"),
        ({"in2": np.ones(3)}, UsageError, "in it are in0, in1, in2; the model takes"),
        ({"in0": np.ones((2, 9), np.float32)}, UsageError, r"input_1 has the shape \(2, 9\)"),
        ({"out7": np.ones(3)}, UsageError, r"out7 is recorded, and the model gives out0 \("),
        ({"out0": np.ones((2, 1))}, IntegrityError, r"out0 \(.*the shape .* recorded is \(2, 1\)"),
        ({"out0_f64": np.ones((2, 1))}, IntegrityError, r"out0_f64 \(.*the shape"),
    ],
)
def test_a_record_of_another_model_is_told_apart(tmp_path, changes, error, words):
    record = recorded(tmp_path, KERAS / "mha/io.npz", **changes)
    with pytest.raises(error, match=words):
        convert.convert_checkpoint(KERAS / "mha/model.h5", tmp_path / "out", verify=record)
    assert not (tmp_path / "out").exists()


def test_what_is_allowed_goes_by_the_types_of_both_sides(tmp_path):
    """A difference of 1e-4 is too much for float32 and little for what is stored in halves."""
    source = KERAS / "names/model.h5"
    plain = dict(np.load(KERAS / "names/io.npz"))
    off = {name: one * 1.0001 for name, one in plain.items() if name == "out0"}
    record = recorded(tmp_path, KERAS / "names/io.npz", **off)
    with pytest.raises(ToleranceError, match=r"out0 \(.*1e-05 of the largest value \(float32\)"):
        convert.convert_checkpoint(source, tmp_path / "no", verify=record)
    report = convert.convert_checkpoint(source, tmp_path / "half", verify=record, dtype="float16")
    assert {one.rule for one in report.parity} == {"2e-02 of the largest value (float16)"}
    told = json.loads((tmp_path / "half/conversion.json").read_text("utf-8"))["parity"]
    assert [one["rule"] for one in told] == [one.rule for one in report.parity]
    half = recorded(tmp_path, record, out0=off["out0"].astype(np.float16), out0_f64=None)
    (one,) = convert.convert_checkpoint(source, tmp_path / "told", verify=half).parity
    assert one.rule == "2e-02 of the largest value (float16)"


def test_mixed_precision_is_known_by_the_layers_policies(tmp_path):
    with h5py.File(shutil.copy(KERAS / "names/model.h5", tmp_path), "r+") as file:
        table = json.loads(file.attrs["model_config"])
        for layer in table["config"]["layers"]:
            policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
            layer["config"]["dtype"] = policy
        file.attrs["model_config"] = json.dumps(table)
    record = KERAS / "names/io.npz"
    report = convert.convert_checkpoint(tmp_path / "model.h5", tmp_path / "out", verify=record)
    assert [one.rule[:5] for one in report.parity] == ["2e-02", "1e-09"]


def test_text_that_is_no_unicode_is_refused(tmp_path):
    text = (KERAS / "keras_1_sequence/model.json").read_text("utf-8")
    for half in ("\\ud83d", "\ud83d"):
        spoilt = text.replace('"name": "', f'"name": "{half}', 1).encode("utf-8", "surrogatepass")
        (tmp_path / "model.json").write_bytes(spoilt)
        with pytest.raises(IntegrityError, match=r"model\.json: .* no Unicode"):
            convert.convert_checkpoint(
                KERAS / "keras_1_sequence/weights.h5", tmp_path / "out",
                config=tmp_path / "model.json",
            )  # fmt: skip
        assert not (tmp_path / "out").exists()
    whole = text.replace('"name": "', '"name": "\\ud83d\\ude00', 1)
    (tmp_path / "model.json").write_text(whole)
    read(tmp_path / "model.json")


def test_a_version_that_is_no_unicode_stops_nothing(tmp_path):
    source = shutil.copy(KERAS / "names/model.h5", tmp_path)
    with h5py.File(source, "r+") as file:
        for place in (file, file["model_weights"]):
            del place.attrs["keras_version"]
            place.attrs.create("keras_version", b"2.15\xb5", dtype=h5py.string_dtype())
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert "2.15?" in report.to_dict()["model"]["form"]
