"""From Keras files to folders: weights bit for bit, outputs as recorded; nothing on failure."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import convert
from convert.layers.opening import open_model
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
