"""What a person says that Lambdas and strangers compute: `--lambda NAME=MEANING`."""

import numpy as np
import pytest

import convert
from convert.layers.meanings import parse
from tests.conversion.keras_files import KERAS, SHARED
from tests.conversion.layer_graphs import given, layer, model, network, node, run
from zoo.errors import UnsafeError, UsageError
from zoo.models.images.modeling_layers import LayersModel

CHANCE = np.random.default_rng(7)
X, Y = CHANCE.normal(size=(2, 3, 4)), CHANCE.normal(size=(2, 3, 4))
IMAGE = CHANCE.normal(size=(2, 2, 3, 8))
CODE = ["4wEAAAAA", None, None]


def shuffled(x: np.ndarray, b: int) -> np.ndarray:
    n, h, w, c = x.shape
    split = x.reshape(n, h, w, b, b, c // b**2).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(n, h * b, w * b, c // b**2)


#: What scripts have as Lambdas, in words and in NumPy.
MEANINGS = [
    ("sampling", 2, lambda x, y: x),
    ("sampling:input=1", 2, lambda x, y: y),
    ("identity", 1, lambda x: x),
    ("l2_normalize:axis=-1", 1, lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True))),
    ("mean:axis=1", 1, lambda x: x.mean(1)),
    ("max:axis=[1,2],keepdims=true", 1, lambda x: x.max((1, 2), keepdims=True)),
    ("sum:axis=1,keepdims=false", 1, lambda x: x.sum(1)),
    ("expand_dims:axis=-1", 1, lambda x: x[..., None]),
    ("softmax:axis=1", 1, lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    ("rescale:scale=1/255", 1, lambda x: x / 255),
    ("rescale:scale=1/127.5,offset=-1", 1, lambda x: x / 127.5 - 1),
    ("slice:at=:,0", 1, lambda x: x[:, 0]),
    ("slice:at=:,-1", 1, lambda x: x[:, -1]),
    ("slice:at=:,1:3,::-1", 1, lambda x: x[:, 1:3, ::-1]),
    ("slice:at=...,:2", 1, lambda x: x[..., :2]),
    ("flatten", 1, lambda x: x.reshape(2, -1)),
    ("reshape:shape=[-1,4,3]", 1, lambda x: x.reshape(-1, 4, 3)),
    ("reverse:axis=1", 1, lambda x: x[:, ::-1]),
    ("abs", 1, np.abs),
    ("clip:low=0,high=1", 1, lambda x: x.clip(0, 1)),
    ("subtract", 2, lambda x, y: x - y),
    ("absolute_difference", 2, lambda x, y: np.abs(x - y)),
    ("distance:axis=-1", 2, lambda x, y: np.sqrt(((x - y) ** 2).sum(-1, keepdims=True))),
    ("add_scaled:scale=0.17", 2, lambda x, y: x + 0.17 * y),
    ("concatenate:axis=1", 2, lambda x, y: np.concatenate((x, y), 1)),
    ("reduce_mean:axis=1", 1, lambda x: x.mean(1)),
]


@pytest.mark.parametrize(("text", "count", "law"), MEANINGS,
                         ids=lambda one: "" if callable(one) else str(one)[:30])  # fmt: skip
def test_a_meaning_is_what_numpy_computes(text, count, law):
    names = ("x", "y")[:count]
    code = layer("Lambda", "lambda_1", node(*names), function=CODE)
    table = model(*[given(name, 3, 4) for name in names], code, outputs=("lambda_1",))
    arrays = (X, Y)[:count]
    (found,) = run(network(table, meanings={"lambda_1": text}), *arrays)
    np.testing.assert_allclose(found, law(*arrays), rtol=1e-12, atol=1e-14)


def test_blocks_of_channels_become_cells_and_come_back():
    there = layer("Lambda", "up", node("x"), function=CODE)
    back = layer("Lambda", "down", node("up"), function=CODE)
    table = model(given("x", 2, 3, 8), there, back, outputs=("up", "down"))
    meanings = {"up": "depth_to_space:block_size=2", "down": "space_to_depth:block=2"}
    up, down = run(network(table, meanings=meanings), IMAGE)
    np.testing.assert_array_equal(up, shuffled(IMAGE, 2))
    np.testing.assert_array_equal(down, IMAGE)


def test_images_are_resized_and_whole_numbers_become_vectors():
    code = layer("Lambda", "op", node("x"), function=CODE)
    net = network(model(given("x", 2, 3, 8), code),
                  meanings={"op": "resize:size=[4,6],method=nearest"})  # fmt: skip
    np.testing.assert_array_equal(run(net, IMAGE)[0], IMAGE.repeat(2, 1).repeat(2, 2))
    ids = np.array([[0, 2], [1, 3]])
    net = network(model(given("x", 2), code), meanings={"*": "one_hot:num_classes=4"})
    np.testing.assert_array_equal(run(net, ids)[0], np.eye(4)[ids])


def test_arguments_that_the_file_has_are_taken_where_nothing_else_is_said():
    code = layer("Lambda", "op", node("x", "y"), function="scaling", arguments={"scale": 0.5})
    table = model(given("x", 3, 4), given("y", 3, 4), code)
    for meanings, scale in (({"scaling": "add_scaled"}, 0.5), ({"op": "add_scaled:scale=2"}, 2)):
        (found,) = run(network(table, meanings=meanings), X, Y)
        np.testing.assert_allclose(found, X + scale * Y)


def test_a_stranger_goes_by_its_name_its_class_or_a_pattern():
    table = model(given("x", 3, 4), layer("Sampling", "z", node("x", "x")), outputs=("z",))
    assert "--lambda z=sampling" in str(network(table).problems[0])
    for pattern in ("z", "Sampling", "Samp*", "?"):
        net = network(table, meanings={pattern: "sampling"})
        assert not net.problems
        assert net.layers["z"].compute == "sampling"
    dense = layer("Dense", "z", node("x"), units=2)
    net = network(model(given("x", 4), dense, outputs=("z",)), meanings={"z": "sampling"})
    assert "no layer that is not known is called so; every layer is known" in str(net.problems[0])


def test_what_is_no_meaning_is_said():
    for text, words in (
        ("meen:axis=1", "Did you mean 'mean'"),
        ("mean:axes", "not NAME=VALUE"),
        ("mean:colour=1", "mean has no argument colour; it has axis, input, keepdims"),
        ("sampling:input=-1", "number of a tensor"),
    ):
        with pytest.raises(UsageError, match=words):
            parse(text)
    code = layer("Lambda", "op", node("x"), function=CODE)
    for text, words in (
        ("mean:axis=5", "no axis 5"),
        ("mean:axis=one", "option axis is 'one'"),
        ("add", "1 tensors go in, not 2"),
        ("identity:input=3", "none of them is number 3"),
        ("slice:at=:,a", "option slices"),
    ):
        (problem,) = network(model(given("x", 3, 4), code), meanings={"op": text}).problems
        assert words in str(problem), problem


def test_without_a_meaning_outputs_that_do_without_are_offered():
    code = layer("Lambda", "z", node("a", "b"), function=CODE)
    dense = [layer("Dense", name, node("x"), units=2) for name in "ab"]
    table = model(given("x", 4), *dense, code, outputs=("a", "b", "z"))
    (problem,) = network(table).problems
    assert type(problem) is UnsafeError
    assert "--lambda z=MEANING" in str(problem)
    assert "a, b do without it: --option outputs=a,b" in str(problem).replace('"', "")
    net = network(table, outputs=["a", 1])
    assert not net.problems
    assert (len(net.outputs), net.unused) == (2, ["z"])
    last = layer("Dense", "out", node("z"), units=2)
    net = network(model(given("x", 4), *dense, code, last, outputs=("out",)))
    (problem,) = net.problems
    assert not net.unused
    assert "before it is a model, too: --option outputs=a,b" in str(problem).replace('"', "")
    with pytest.raises(UsageError, match="no output 'c'; it has a, b, z"):
        network(table, outputs=["c"])


def test_inputs_of_what_is_left_out_go_too():
    code = layer("Lambda", "ctc", node("a", "labels"), function=CODE)
    table = model(given("x", 4), given("labels", 3), layer("Dense", "a", node("x"), units=2),
                  code, outputs=("ctc",))  # fmt: skip
    net = network(table, outputs=["a"])
    assert net.input_names == ["x"]
    assert {*net.unused} == {"ctc", "labels"}


def test_the_command_says_what_it_took(run, tmp_path):
    source = KERAS / "nested_two_deep/model.h5"
    done = run("convert", str(source), str(tmp_path / "out"), "--lambda", "nobody=mean")
    assert done.code == 2
    assert "--lambda nobody: no layer that is not known is called so" in done.err
    assert not (tmp_path / "out").exists()
    done = run("inspect", str(tmp_path), "--lambda", "x=mean")
    assert done.code == 2
    assert "--lambda is for Keras models of any layers" in done.err


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_recorded_files_with_strangers_compute_what_was_recorded(tmp_path):
    odd = SHARED / "keras_odd"
    cases = [
        ("lambda/model.h5", "io.npz", {"lambda": {"lambda": "rescale:scale=2,offset=1"}}, 1),
        ("lambda_function/model.keras", "io_keras3.npz",
         {"lambda": {"scaled": "rescale:scale=2,offset=1"}}, 1),
        ("sampling_encoder/model.h5", "io.npz", {"outputs": "z_mean,z_log_var"}, 2),
        ("sampling_encoder/model.keras", "io_keras3.npz", {"lambda": {"Sampling": "sampling"}}, 2),
    ]  # fmt: skip
    for number, (name, record, options, count) in enumerate(cases):
        source = odd / name
        io = source.with_name(record)
        io = io if io.is_file() else source.with_name("io.npz")
        out = tmp_path / str(number)
        report = convert.convert_checkpoint(source, out, options=options, verify=io)
        assert len(report.parity) == count
        assert all(one.ok for one in report.parity)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize(
    ("name", "lambdas", "code"),
    [
        ("vae_cnn/full.h5", {"lambda_1": "sampling"}, "z_mean"),
        ("vae_cnn/tfkeras/full.h5", {"lambda": "sampling"}, "z_mean"),
        ("celeba_vae/full.h5", {"ScaleShift": "sampling:input=1"}, "z_shift"),
        ("eae/full.h5", {}, "z"),
    ],
)
def test_codes_of_published_models_are_the_recorded_ones(tmp_path, name, lambdas, code):
    import torch

    source = SHARED / "keras_images" / name
    folder = SHARED / "keras_images" / name.split("/")[0]
    convert.convert_checkpoint(source, tmp_path / "out", options={"lambda": lambdas})
    model = LayersModel.from_pretrained(tmp_path / "out", dtype=torch.float64).eval()
    given, recorded = (dict(np.load(folder / name)) for name in ("inputs.npz", "ref_f64.npz"))
    with torch.no_grad():
        found = model.encode(torch.from_numpy(given["x"].astype(float)))
        scale = np.abs(recorded[code]).max()
        assert np.abs(found.numpy() - recorded[code]).max() < 1e-7 * scale
        if "decoder_in" in given and "decoder_out" in recorded:
            made = model.decode(torch.from_numpy(given["decoder_in"].astype(float))).numpy()
            expected = recorded["decoder_out"]
            np.testing.assert_allclose(made[: len(expected)], expected, atol=1e-7)
