"""Every form of weights beside an architecture: what is in it goes where HDF5's own lists say."""

import json
import shutil

import h5py
import numpy as np
import pytest

import convert
from convert.layers.network import build
from convert.layers.opening import open_model
from convert.layers.parsing import parse
from convert.layers.text import read
from convert.readers import open_checkpoint
from convert.writers.table import field
from tests.conversion.keras_files import KERAS, SHARED, cases
from tests.conversion.keras_variables import as_names, as_objects, plan_of
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError

WHOLE = [path for path in cases() if path.name == "model.h5"]
#: A layer whose variables have names without its own.
UNNAMED = "normalization_adapted"


def check(path, folder, make):
    """Raise unless a rewritten file has the weights of the first, bit for bit, where they were."""
    network = build(parse(read(path)))
    expected = plan_of(network, path)
    found = plan_of(network, make(path, folder))
    assert found.keys() == expected.keys()
    for target, parts in expected.items():
        for one, other in zip(parts, found[target], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [as_names, as_objects])
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.parent.name)
def test_checkpoints_of_tensorflow(tmp_path, path, make):
    check(path, tmp_path, make)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_checkpoints_of_every_recorded_model(tmp_path):
    """Keras 1 kept gates apart, and Keras 3 has no such checkpoints."""
    found = [
        path
        for folder in ("keras_layers", "keras_models", "keras_era")
        for path in cases(SHARED / folder)
        if path.name == "model.h5" and not {"keras122", "keras30"} & {*path.parts}
        if build(parse(read(path))).layers and any(open_checkpoint(path))
    ]
    assert len(found) > 100
    for number, path in enumerate(found):
        for make in (as_names, as_objects):
            if (path.parent.name, make) != (UNNAMED, as_names):
                folder = tmp_path / f"{number}{make.__name__}"
                folder.mkdir()
                check(path, folder, make)


def convert_with(source, config, out):
    """Convert weights beside an architecture and compare with the record."""
    record = KERAS / "nested_two_deep/io.npz"
    report = convert.convert_checkpoint(source, out, config=config, verify=record)
    assert all(one.ok for one in report.parity)
    return report


NESTED = KERAS / "nested_two_deep/model.h5"


def test_one_of_several_models_of_a_checkpoint_is_found(tmp_path):
    """Such as the networks of a GAN and their optimizers, saved together."""
    prefix = as_objects(NESTED, tmp_path, ("generator", "average"))
    with pytest.raises(IntegrityError, match=r"generator, average .*--allow-unused 'average/\*'"):
        convert_with(prefix, NESTED, tmp_path / "out")
    with open_model(prefix, NESTED, allow_unused=["average/*"]) as model:
        _, _, plan = model.require()
    assert all(source.startswith("generator/") for step in plan.steps for source in step.sources)
    assert {why for name, why in plan.dropped.items() if name.startswith("average/")} == {
        "allowed by average/*"
    }


def test_a_saved_model_has_its_architecture(tmp_path):
    """In `keras_metadata.pb`; before TensorFlow 2.5 in the graph's file."""
    folder = tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    as_objects(NESTED, folder / "variables")
    for path in (folder / "variables").iterdir():
        path.rename(path.with_name(path.name.replace("model.ckpt", "variables")))
    with h5py.File(NESTED) as file:
        text = file.attrs["model_config"]
    text = text.encode() if isinstance(text, str) else text
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UsageError, match="--config FILE"):
        convert.convert_checkpoint(folder, tmp_path / "none")
    node = field(2, 0) + field(3, b"root") + field(5, text)
    layer = field(2, 1) + field(3, b"root.layer-0") + field(5, b"{}")
    (folder / "keras_metadata.pb").write_bytes(field(1, layer) + field(1, node))
    convert_with(folder, None, tmp_path / "new")
    (folder / "keras_metadata.pb").unlink()
    user = field(4, field(1, b"_tf_keras_network") + field(3, text))
    graph = field(1, 1) + field(2, field(1, b"meta") + field(7, field(1, user) + field(1, user)))
    (folder / "saved_model.pb").write_bytes(graph)
    convert_with(folder, None, tmp_path / "old")
    (folder / "saved_model.pb").write_bytes(graph[:-30])
    with pytest.raises(UsageError, match="--config FILE"):
        convert.convert_checkpoint(folder, tmp_path / "damaged")
    (folder / "keras_metadata.pb").write_bytes(field(1, node)[:-30])
    with pytest.raises(IntegrityError, match=r"keras_metadata\.pb: it is damaged"):
        convert.convert_checkpoint(folder, tmp_path / "damaged")


@pytest.fixture
def shards(tmp_path):
    """Weights of Keras 3 cut into files, and the table that names them."""
    source = KERAS / "nested_two_deep/model.keras"
    with open_checkpoint(source) as checkpoint:
        folders = sorted({name.rpartition("/")[0] for name in checkpoint})
        table = {}
        for number, folder in enumerate(folders):
            name = f"model_{number:05}.weights.h5"
            table[f"/{folder}"] = [name]
            with h5py.File(tmp_path / name, "w") as file:
                for each in (each for each in checkpoint if each.rpartition("/")[0] == folder):
                    file[each] = checkpoint[each].numpy()
    path = tmp_path / "model.weights.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return path


def test_weights_in_several_files(shards, tmp_path):
    config = KERAS / "nested_two_deep/model.keras"
    for number, source in enumerate((shards, shards.with_name("model_00001.weights.h5"))):
        convert_with(source, config, tmp_path / f"out{number}")
    with open_checkpoint(shards.parent) as checkpoint:
        assert checkpoint.files[0] == shards
    shards.with_name("model_00002.weights.h5").unlink()
    with pytest.raises(NotFoundError, match=r"missing: model_00002\.weights\.h5"):
        open_checkpoint(shards)


@pytest.mark.parametrize("names", [["../secret.h5"], [3], [], "a\\b"])
def test_a_table_of_files_leads_nowhere_else(shards, names):
    shards.write_text(json.dumps({"weight_map": {"/layers/dense/vars": names}}))
    with pytest.raises(IntegrityError, match=r"no name of a file|names 0 files"):
        open_checkpoint(shards)


def test_weights_alone_ask_for_the_architecture(tmp_path):
    for name in ("keras_1_sequence/weights.h5", "nested_two_deep/model.keras"):
        source = shutil.copy(KERAS / name, tmp_path)
        if name.endswith(".keras"):
            source = tmp_path / "only.weights.h5"
            with open_checkpoint(KERAS / name) as checkpoint, h5py.File(source, "w") as file:
                for each, tensor in checkpoint.items():
                    file[each] = tensor.numpy()
        with pytest.raises(UsageError, match=r"No architecture is in it.*to_json.*--config FILE"):
            convert.convert_checkpoint(source, tmp_path / "out")


def test_layers_go_by_their_order_where_names_were_swapped(tmp_path):
    """Keras reads weights by order: numbers in names are those of the process that wrote them."""
    layers = [{"class_name": "Dense", "config": {"name": name, "units": 3, "use_bias": False,
               "batch_input_shape": [None, 3]}} for name in ("dense_1", "dense")]  # fmt: skip
    table = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    values = {name: np.full((3, 3), number) for number, name in enumerate(("dense", "dense_1"))}
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in values]
        for name, array in values.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            group[f"{name}/kernel:0"] = array
    with open_model(tmp_path / "weights.h5", table) as model:
        _, checkpoint, plan = model.require()
        sources = [source for step in plan.steps for source in step.sources]
        assert sources == ["dense/dense/kernel:0", "dense_1/dense_1/kernel:0"]
        assert any("by their order" in note for note in checkpoint.notes)


def test_layers_that_compute_in_integers_are_refused():
    config = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}
    for dtype in ("int8_from_float32", config):
        layer = {"name": "d", "units": 3, "batch_input_shape": [None, 4], "dtype": dtype}
        table = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": layer}]}
        with open_model(NESTED, table) as model, pytest.raises(GenaeError, match=r"'d' .*int8"):
            model.require()


def as_theano(path, folder):
    """What a whole model would be, had Keras 2 saved it with Theano behind it."""
    copy = shutil.copy(path, folder / "theano.h5")
    with h5py.File(copy, "r+") as file:
        kernels: list[h5py.Dataset] = []
        file["model_weights"].visititems(
            lambda name, one: kernels.append(one) if name.endswith("kernel:0") else None
        )
        for one in (one for one in kernels if one.ndim == 4):
            one[...] = one[...][::-1, ::-1]
        for place in (file, file["model_weights"]):
            place.attrs["backend"] = "theano"
    return copy


@pytest.mark.parametrize("name", ["conv2d_same_s2", "conv2dt_outpad", "nested_two_deep"])
def test_kernels_that_theano_turned_are_turned_back(tmp_path, name):
    source = KERAS / name / "model.h5"
    turned = as_theano(source, tmp_path)
    with open_checkpoint(turned) as one, open_checkpoint(source) as other:
        assert one.backend == "theano"
        assert any(not np.array_equal(one[each].numpy(), other[each].numpy()) for each in one)
    record = KERAS / name / "io.npz"
    report = convert.convert_checkpoint(turned, tmp_path / "out", verify=record)
    assert all(one.ok for one in report.parity)
    for step in report.plan.steps:
        with open_checkpoint(turned) as checkpoint:
            stored = checkpoint[step.source].numpy()
        np.testing.assert_array_equal(step.op.invert(step.op.apply(stored)), stored)


def test_kernels_of_keras_1_with_channels_first_are_refused():
    layer = {"name": "c", "nb_filter": 3, "nb_row": 3, "nb_col": 3, "dim_ordering": "th",
             "batch_input_shape": [None, 3, 8, 8]}  # fmt: skip
    config = [{"class_name": "Convolution2D", "config": layer}]
    table = {"class_name": "Sequential", "config": config, "keras_version": "1.2.2"}
    with open_model(NESTED, table) as model, pytest.raises(UsageError, match=r"'c' .*Keras 1"):
        model.require()
