"""What `genae inspect` says of a Keras model before anything is converted."""

import json
import math
import re

import pytest

import convert
from convert.layers.opening import open_model
from convert.layers.summary import Summary, summarize
from tests.conversion.keras_files import KERAS, SHARED, cases
from tests.conversion.records import LEGACY
from zoo.errors import NotFoundError


@pytest.mark.parametrize("path", cases(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_parameters_are_those_of_the_file(path):
    found = convert.inspect(path)
    assert isinstance(found, Summary)
    assert not found.missing
    with convert.open_checkpoint(path) as checkpoint:
        names = [name for name in checkpoint if "optimizer" not in name]
        assert found.parameters == sum(math.prod(checkpoint[name].shape) for name in names)
    inside = sum(line.parameters for line in found.lines if line.name.count("/") == 0)
    nested = sum(line.parameters for line in found.lines if line.kind in ("Functional", "Model"))
    assert found.parameters == inside or nested or path.parent.name == "names"
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_every_layer_is_listed_with_its_place():
    lines = convert.inspect(KERAS / "nested_two_deep/model.h5").lines
    by_name = {line.name: line for line in lines}
    assert by_name["sequential"].inputs == ["conv2d_2"]
    inner = by_name["sequential/model/batch_normalization"]
    assert (inner.kind, inner.parameters) == ("BatchNormalization", 12)
    assert all(line.shapes for line in lines)
    assert convert.inspect(KERAS / "nested_two_deep/model.h5").parts == [
        "sequential/model", "sequential",
    ]  # fmt: skip


def test_an_architecture_alone_lacks_its_weights():
    found = convert.inspect(KERAS / "keras_1_sequence/model.json")
    assert (found.keras, found.exit_code, found.format) == (1, 3, "keras_json")
    with open_model(KERAS / "keras_1_sequence/model.json") as model:
        with pytest.raises(NotFoundError, match="--config"):
            model.require()
        assert summarize(model).parameters == found.parameters


def test_a_model_of_a_text_family_stays_one():
    found = convert.inspect(LEGACY / "bert_encoder/full_model.h5")
    assert found.families == ["bert"]


#: Odd files: the exit code, and what is said first.
ODD = {
    "bad_json/model.h5": (5, "JSON of the architecture is damaged"),
    "custom_layer/model.h5": (2, "'my_scale' is a layer of the class Scale"),
    "custom_registered/model.keras": (2, "acme>Shift"),
    "cycle/model.h5": (5, "circle"),
    "dangling/model.h5": (5, "'nobody'"),
    "deep_json/model.h5": (5, "too deep"),
    "cut_file/model.h5": (5, "cut off: 6000 bytes of 19336 are there"),
    "cut_file/model.keras": (5, "cut off after 9000 bytes"),
    "external_link/model.h5": (5, "'second'.* a link to another file, not followed"),
    "external_storage/model.h5": (8, "lie in other files"),
    "extra_weights/model.h5": (5, "ghost.* belongs to no layer(?s:.*)--allow-unused .*ghost"),
    "extra_weights/model.keras": (5, "belongs to no layer"),
    "foreign_module/model.keras": (2, "os.system"),
    "huge_consistent/model.h5": (5, "claims"),
    "huge_dataset/model.h5": (5, "claims"),
    "lambda/model.h5": (8, "'lambda' is a Lambda: program code"),
    "lambda_function/model.keras": (8, "the function scaled"),
    "missing_dataset/model.h5": (5, "'second', weight .* is not in the file"),
    "missing_option/model.h5": (2, "'first' .Dense.: option units is missing"),
    "missing_weights/model.h5": (5, "no weights of 'second'"),
    "missing_weights/model.keras": (5, "'second', weight"),
    "no_weights/model.keras": (3, "without weights.*--config"),
    "not_a_number/model.h5": (0, ""),
    "quantized_int8/model.keras": (2, "'dense_8' .Dense. is quantised .int8."),
    "sampling_encoder/model.h5": (2, "'z' is a layer of the class Sampling"),
    "saved_model/saved_model_dir": (0, ""),
    "shape_mismatch/model.h5": (5, "is .5, 3., not .5, 4."),
    "soft_link_loop/model.h5": (0, ""),
    "subclassed/model.keras": (2, "program of its own"),
    "keras3_ops/model.keras": (0, ""),
    "tf_ops/model.h5": (0, ""),
    "tf_ops_hard_swish/model.h5": (0, ""),
    "unknown_activation/model.h5": (2, "'zigzag'"),
    "unknown_class/model.h5": (2, "Quux"),
    "unzipped/model_dir": (0, ""),
    "zip_bomb/model.keras": (5, "claims"),
    "zip_slip/model.keras": (0, ""),
    "named_h5/model.h5": (0, ""),
    "named_h5/model.keras": (0, ""),
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_said_to_be_what_they_are(name):
    code, words = ODD[name]
    with open_model(SHARED / "keras_odd" / name) as model:
        found = summarize(model)
    assert found.exit_code == code, found.missing
    assert re.search(words, found.missing[0] if found.missing else "")
